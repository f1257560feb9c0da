r"""`parse_policy`: any bytes to an Azure Attestation policy, or `MaaPolicyError` with the id of a rule and a place.

    policy    = "version" "=" ("1.0" | "1.1" | "1.2") ";" [ "configurationrules" block ] "authorizationrules" block
                [ "issuancerules" block ]
    block     = "{" { rule } "}" ";"
    rule      = [ condition { "&&" condition } ] "=>" action ";"
    condition = [ "!" ] [ name ":" ] "[" test { "," test } "]"
    test      = ("type" | "value" | "valueType" | "issuer") ("==" | "!=" | "<" | "<=" | ">" | ">=") operand
    action    = ("permit" | "deny") "(" ")"
              | ("add" | "issue" | "issueproperty") "(" ("claim" "=" name | assignment { "," assignment }) ")"
    assignment = ("type" | "value" | "valueType") "=" operand
    operand   = text | integer | "true" | "false" | name "." property | function "(" operand { "," operand } ")"

Text is in double quotes with \" and \\ escaped; // begins a comment. Configuration rules came with 1.1, functions
and "!" with 1.2. Sources: learn.microsoft.com, "Azure Attestation claim rule grammar", "claim rule functions" and
"policy version 1.0", "1.1", "1.2". The samples there that write "=" for "==" are refused by the service, and here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from cji_attestation.provider_policy.grammar import (
    Action,
    Call,
    ClaimRule,
    Comparison,
    Condition,
    MaaPolicy,
    Operand,
    Reference,
    Version,
)
from cji_attestation.provider_policy.rules import MaaPolicyError

MAX_POLICY_BYTES: Final = 64 << 10
MAX_CALLS: Final = 8  # functions inside functions
FUNCTIONS: Final[Mapping[str, int]] = {  # with their number of arguments
    "JmesPath": 2,
    "JsonToClaimValue": 1,
    "IsSubsetOf": 2,
    "AppendString": 2,
    "NegateBool": 1,
    "ContainsOnlyValue": 2,
}
_VERSIONS: Final[Mapping[str, Version]] = {one: one for one in get_args(Version)}
_PROPERTIES: Final = frozenset({"type", "value", "valueType", "issuer"})
_ORDERS: Final = frozenset({"<", "<=", ">", ">="})
_OPERATORS: Final = _ORDERS | {"==", "!="}
_VERBS: Final[Mapping[str, frozenset[str]]] = {
    "configurationrules": frozenset({"issueproperty"}),
    "authorizationrules": frozenset({"permit", "deny", "add"}),
    "issuancerules": frozenset({"add", "issue", "issueproperty"}),
}
_TOKEN: Final = re.compile(
    r"""(?P<skip>[ \t\r\n]+|//[^\r\n]*)
      |(?P<text>"(?:[^"\\\x00-\x1f]|\\["\\])*")
      |(?P<number>[0-9]{1,18})
      |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
      |(?P<sign>=>|==|!=|<=|>=|&&|[=<>!:;,.(){}\[\]])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str  # text, number, name, sign or end
    text: str
    where: str


def parse_policy(data: bytes) -> MaaPolicy:
    """Policy from its text in UTF-8; MaaPolicyError MP40 to MP47."""
    if len(data) > MAX_POLICY_BYTES:
        raise MaaPolicyError("MP40")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MaaPolicyError("MP40") from error
    return _Parser(text).policy()


def _tokens(text: str) -> Iterator[_Token]:
    at, line, start = 0, 1, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        where = f"line {line}, column {at - start + 1}"
        if found is None:
            raise MaaPolicyError("MP41", where=where)
        if found.lastgroup != "skip":
            yield _Token(kind=str(found.lastgroup), text=found.group(), where=where)
        if newlines := found.group().count("\n"):
            line, start = line + newlines, at + found.group().rindex("\n") + 1
        at = found.end()
    yield _Token(kind="end", text="", where=f"line {line}, column {at - start + 1}")


class _Parser:
    """Recursive descent; nothing but the depth of calls recurses."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._version: Version = "1.0"
        self._known: set[str] = set()

    def policy(self) -> MaaPolicy:
        self._expect("version")
        self._expect("=")
        number = "".join(self._next().text for _ in range(3))
        if number not in _VERSIONS:
            raise self._error("MP42", back=1)
        self._version = _VERSIONS[number]
        self._expect(";")
        sections = {name: self._section(name) for name in _VERBS if self._peek().text == name}
        if self._peek().kind != "end":
            raise self._error("MP43" if self._peek().text in _VERBS else "MP41")
        if "authorizationrules" not in sections:
            raise self._error("MP43")
        return MaaPolicy(
            version=self._version,
            configuration=sections.get("configurationrules", ()),
            authorization=sections["authorizationrules"],
            issuance=sections.get("issuancerules", ()),
        )

    def _section(self, name: str) -> tuple[ClaimRule, ...]:
        if name == "configurationrules" and self._version == "1.0":
            raise self._error("MP46")
        self._expect(name)
        self._expect("{")
        rules: list[ClaimRule] = []
        while not self._accept("}"):
            rules.append(self._rule(name, len(rules) + 1))
        self._expect(";")
        return tuple(rules)

    def _rule(self, section: str, number: int) -> ClaimRule:
        self._known = set()
        conditions: list[Condition] = []
        if not self._accept("=>"):
            conditions.append(self._condition())
            while self._accept("&&"):
                conditions.append(self._condition())
            self._expect("=>")
        action = self._action(_VERBS[section])
        self._expect(";")
        return ClaimRule(conditions=tuple(conditions), action=action, where=f"{section} {number}")

    def _condition(self) -> Condition:
        absent = self._accept("!")
        if absent and self._version != "1.2":
            raise self._error("MP46", back=1)
        name = None
        if self._peek().kind == "name":
            name = self._next().text
            if absent or name in self._known:  # a claim that is not there has no name
                raise self._error("MP47", back=1)
            self._expect(":")
        self._expect("[")
        tests = [self._test()]
        while self._accept(","):
            tests.append(self._test())
        self._expect("]")
        if name is not None:
            self._known.add(name)
        return Condition(name=name, absent=absent, tests=tuple(tests))

    def _test(self) -> Comparison:
        prop = self._property(_PROPERTIES)
        operator = self._next()
        if operator.text not in _OPERATORS:
            raise self._error("MP41", back=1)
        operand = self._operand()
        literal = not isinstance(operand, Reference | Call)
        if operator.text in _ORDERS and (prop != "value" or (literal and type(operand) is not int)):
            raise self._error("MP45", back=1)
        if prop != "value" and literal and not isinstance(operand, str):
            raise self._error("MP45", back=1)
        return Comparison(property=prop, operator=operator.text, operand=operand)

    def _action(self, verbs: frozenset[str]) -> Action:
        verb = self._next()
        if verb.text not in verbs:
            raise self._error("MP45" if any(verb.text in one for one in _VERBS.values()) else "MP41", back=1)
        self._expect("(")
        claim: str | None = None
        assigned: dict[str, Operand] = {}
        if verb.text in {"permit", "deny"}:
            self._expect(")")
            return Action(verb=verb.text, claim=claim, assigned=assigned)
        if self._accept("claim"):
            self._expect("=")
            claim = self._next().text
            if claim not in self._known:
                raise self._error("MP47", back=1)
        else:
            self._assignment(assigned)
            while self._accept(","):
                self._assignment(assigned)
            if not {"type", "value"} <= assigned.keys():
                raise self._error("MP45")
        self._expect(")")
        return Action(verb=verb.text, claim=claim, assigned=assigned)

    def _assignment(self, assigned: dict[str, Operand]) -> None:
        prop = self._property(_PROPERTIES - {"issuer"} - assigned.keys())
        self._expect("=")
        assigned[prop] = self._operand()

    def _property(self, allowed: frozenset[str]) -> str:
        found = self._next()
        if found.text not in allowed:
            raise self._error("MP45", back=1)
        return found.text

    def _operand(self, depth: int = 0) -> Operand:
        token = self._next()
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1])
        if token.kind == "number":
            return int(token.text)
        if token.text in {"true", "false"}:
            return token.text == "true"
        if token.kind == "name" and self._accept("."):
            if token.text not in self._known:
                raise self._error("MP47", back=2)
            return Reference(name=token.text, property=self._property(_PROPERTIES))
        if token.kind == "name" and self._accept("("):
            return self._call(token.text, depth + 1)
        raise self._error("MP41", back=1)

    def _call(self, function: str, depth: int) -> Call:
        if self._version != "1.2" or depth > MAX_CALLS:
            raise self._error("MP46", back=2)
        arguments = [self._operand(depth)]
        while self._accept(","):
            arguments.append(self._operand(depth))
        self._expect(")")
        if FUNCTIONS.get(function) != len(arguments):
            raise self._error("MP47", back=1)
        return Call(function=function, arguments=tuple(arguments))

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _accept(self, text: str) -> bool:
        """Consume the next token if it is `text`. Quoted texts keep their quotes, so none is taken for a keyword."""
        if self._peek().text != text:
            return False
        self._next()
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._error("MP41")

    def _error(self, rule: str, *, back: int = 0) -> MaaPolicyError:
        return MaaPolicyError(rule, where=self._tokens[max(self._at - back, 0)].where)
