"""Tables of docs/format.md, and the JSON beside its vectors, from the declarations that the programs use."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_core.errors import REASONS, Reason
from cji_core.format.job.ori import ORI_PREFIXES
from cji_core.trail.claims import Claims
from cji_core.trail.confirmations import ConfirmationClaims
from cji_core.trail.failures import FailureClaims
from cji_core.trail.statements import Statement
from cji_core.wire.v1 import worker_pb2
from cji_worker.front.status import CODES

ROOT: Final = Path(__file__).resolve().parents[1]
_RULED: Final = {"require", "distinct", "ascending", "require_wrapped_key", "MalformedError", "BadTextError"}
_READERS: Final = (
    "core/cji_core/format/job/fields.py",
    "core/cji_core/format/job/header.py",
    "core/cji_core/format/job/texts.py",
    "core/cji_core/format/columns/statement.py",
)
_WIDTH: Final = 118


def rules() -> tuple[str, ...]:
    """The names of the rules whose breach is MALFORMED_HEADER, in the order of the code that checks them."""
    found = dict[str, None]()
    for path in _READERS:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _RULED:
                found |= {
                    argument.value: None
                    for argument in node.args[-1:]
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                }
    return tuple(found)


def ori_prefixes() -> Iterator[str]:
    """The first two characters of an ORI that a worker knows without a policy."""
    words, line = sorted(ORI_PREFIXES), "Prefixes of an ORI:"
    for word in words:
        if len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}"
    yield f"{line}."


def refusals() -> Iterator[str]:
    """Every Reason with what a program does about it."""
    yield "| reason | gRPC status | retryable | blame | what to do |"
    yield "|---|---|---|---|---|"
    for row in _rows():
        retryable = "yes" if row["retryable"] else "no"
        yield f"| {row['reason']} | {row['status']} | {retryable} | {row['blame']} | {row['remedy']} |"
    yield ""
    yield f"MALFORMED_HEADER is one of these rules: {'; '.join(rules())}."


def refusals_json() -> str:
    """The same for programs: the number in the proto and that of the gRPC status too."""
    return _text(_rows())


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "reason": reason.value,
            "number": worker_pb2.Reason.Value(reason.value),
            "status": CODES[reason].name,
            "status_number": CODES[reason].value[0],
            "retryable": info.retryable,
            "blame": info.blame,
            "remedy": info.remedy,
            "rules": list(rules()) if reason is Reason.MALFORMED_HEADER else [],
        }
        for reason, info in REASONS.items()
    ]


def receipt_claims() -> Iterator[str]:
    """The claims of a receipt in their order, with the form of each."""
    return _claims(Claims)


def statement_claims() -> Iterator[str]:
    """The claims of a task's statement."""
    return _claims(Statement)


def _claims(document: type[msgspec.Struct]) -> Iterator[str]:
    yield "| claim | form |"
    yield "|---|---|"
    schema = _schema(document)
    definition = schema["$defs"][document.__name__]
    required = set(definition["required"])
    for name, kind in definition["properties"].items():
        yield f"| `{name}` | {_form(kind, schema['$defs'])}{'' if name in required else '; may be absent'} |"


def _form(kind: dict[str, Any], known: dict[str, Any]) -> str:  # noqa: PLR0911 - one for each kind
    if "$ref" in kind:
        kind = known[kind["$ref"].rpartition("/")[2]]
    if "enum" in kind:
        return " or ".join(f"`{value}`" for value in kind["enum"])
    match kind.get("type"):
        case "object" if "properties" in kind:
            return "object of " + ", ".join(f"`{name}`" for name in kind["properties"])
        case "object":
            few = " one or more" if kind.get("minProperties") else ""
            return f"object of{few} names, ascending, and of each: {_form(kind['additionalProperties'], known)}"
        case "array" if "prefixItems" in kind:
            return "array of " + ", ".join(_form(item, known) for item in kind["prefixItems"])
        case "array":
            return f"array{' of one or more' if kind.get('minItems') else ''}; each: {_form(kind['items'], known)}"
        case "string":
            return (
                f"text `{kind['pattern']}`".replace("|", "\\|")
                if len(kind.get("pattern", "-" * 99)) < 99
                else "text (§1)"
            )
        case "integer":
            low, high = kind.get("minimum"), kind.get("maximum")
            return f"{low}" if low == high else f"integer from {low} to {high}"
        case "boolean":
            return "`true` or `false`"
    raise ValueError(kind)


def claims_schema() -> str:
    """JSON Schema of the claims of receipts, failure receipts, confirmations and statements of tasks."""
    kinds = (Claims, FailureClaims, ConfirmationClaims, Statement)
    found = [_schema(kind) for kind in kinds]
    definitions = {name: each for schema in found for name, each in schema["$defs"].items()}
    for each in definitions.values():
        each.pop("description", None)
    return _text(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds],
            "$defs": definitions,
        }
    )


def kit() -> Iterator[str]:
    """The files of the conformance kit, and how many cases they have."""
    yield "| file | section | cases | of which invalid |"
    yield "|---|---|---|---|"
    for path in sorted((ROOT / "docs/vectors/kit").glob("*.json")):
        found = json.loads(path.read_text())
        if cases := found.get("cases"):
            invalid = sum(case["result"] == "invalid" for case in cases)
            name = f"[{path.stem}](vectors/kit/{path.name})"
            yield f"| {name} | {found['section']} | {len(cases)} | {invalid} |"


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Patterns end in `$`, as in ECMAScript, in place of what only Python has."""
    text = json.dumps(msgspec.json.schema(kind)).replace("\\\\Z", "$")
    found: dict[str, Any] = json.loads(text)
    return found


def _text(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
