"""`python -m tools.prose`: find phrases and retired names that must not come back.

Phrases are searched in Markdown, TOML, Bicep, units and the contract, and in the comments and string literals of Python
files: docstrings, messages, remedies, help. Retired names are searched in Python code too. Each hit is printed as
`path:line: found: suggestion`; the exit status is 1 if there is one.
"""

import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["NAMES", "PHRASES", "Hit", "main", "search"]

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDERS: Final = (
    *("core", "attestation", "operations", "client", "audit", "deploy", "worker", "simulator", "engine"),
    *("benchmarks", "docs", "examples", "protos", "tools"),
)
OTHERS: Final = ("tests/hardware",)
PROSE: Final = frozenset((".md", ".toml", ".bicep", ".service", ".conf", ".proto", ".svg"))
SKIPPED: Final = ("CHANGELOG.md", "tools/prose.py", "core/cji_core/wire/v1/")  # the first two name what was replaced

PHRASES: Final[dict[str, str]] = {
    r"(?:\"\"\"|^# )(?-i:What|Whatever|Who|Whoever|Where) (?!.*\?)": "start with the subject, a noun",
    r"\banew\b": "again, or a verb with re-",
    r"\bat work\b": "running",
    r"\b(?:its|their|whose) time is over\b": "it expired",
    r"\b(?:out of|in) (?:its|their) time\b": "expired, or valid, or within its dates",
    r"\b(?:is|proof|word) of now\b": "valid at the current time, current",
    r"\bso (?:many|long) at (?:once|most)\b|\bfor so (?:many|long)\b": "maximum number; duration in seconds",
    r"\bfor machines\b(?! that)": "as JSON",
    r"\ball the same\b": "anyway",
    r"\bwhatever (?:there )?is\b": "name it: the values that occur, everything that is",
    r"\b(?:operations|columns|rows|files|tables|parts|keys) are there\b": "exist, are present, are supported",
    r"(?<!there )(?<!^)\b(?:is|are) no (?!longer\b|more\b)[a-z]": "is not a",
    r"\bjudg(?:e|es|ed|ing)\b": "check, appraise, evaluate",
    r"\b(?:told|tells)\b": "called, reported, instructed",
    r"\bsays? (?:so|what|which|when|why|how|who|where|whether)\b": "reports, states, specifies",
    r"\blets? go(?: of)?\b": "drop, release",
    r"\bfind out who\b": "investigate which",
    r"\bholds? (?:the machine|it) for\b": "considers",
    r"\bstarted anew\b": "restarted",
    r"\bnobody (?:works|tells|asks|knows)\b": "name the subject",
    r"\bnot as it (?:is|was|came)\b": "changed; in the clear",
    r"\bpeople (?:read|write) it\b": "for display",
    r"\b(?:is|as) a thing of\b|\bthe business of\b": "belongs to, is checked by",
    r"\bwhoever\b": "anyone who, the person who, a role",
    r"\bone behind the other\b": "one after another",
    r"\bwith what has\b|\bhas structure\b": "a JSON document; name what it has",
}
"""A phrase to avoid (regular expression, any case) and what to write instead."""

NAMES: Final[dict[str, str]] = {
    r"\bshel(?:f|ves)\b": "resident reference, ReferenceSlot",
    r"\bhold_s\b": "retain_seconds",
    r"\bheld_reference\b": "resident_reference",
    r"\bnursery\b": "zygote_channel",
    r"\bUnfit\b": "StartupError",
    r"\bTell\b|\b_Told\b": "ProgressCallback, RangeFilter",
    r"\bWires\b": "CellChannels",
    r"\bRunningJob\b": "JobStream",
    r"\bfrequency_of\b": "tf_adjustment_column",
    r"\bcertain_recall\b": "recall",
    r"\bclerical\b(?!_review| review)": "clerical_review_threshold, clerical review",
    r"\bSocialRule\b|\bPrefixedRule\b": "SsnRule, StatePrefixRule",
    r"\bjudge_(?:snp|tdx)\b": "appraise_snp, appraise_tdx",
    r"\b_let_go\b": "_drop",
}
"""A retired name (regular expression, case matters) and its successor."""

_PHRASES: Final = [(re.compile(pattern, re.IGNORECASE), text) for pattern, text in PHRASES.items()]
_NAMES: Final = [(re.compile(pattern), text) for pattern, text in NAMES.items()]


class Hit(NamedTuple):
    """A phrase or name found at a line, counted from 1."""

    line: int
    found: str
    suggestion: str


def search(text: str, *, python: bool) -> list[Hit]:
    """All hits in the text of one file, in the order of its lines."""
    prose = _python_prose(text) if python else enumerate(text.splitlines(), 1)
    hits = [*_hits(prose, _PHRASES), *_hits(enumerate(text.splitlines(), 1), _NAMES)]
    return sorted(hits)


def _python_prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines of comments and string literals."""
    lines = iter(text.splitlines(keepends=True))
    for token in tokenize.generate_tokens(lambda: next(lines, "")):
        is_string = token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE"
        if token.type == tokenize.COMMENT or (is_string and " " in token.string):  # a string of one word is a name
            yield from enumerate(re.sub(r"\{[^{}]*\}", "{}", token.string).splitlines(), token.start[0])


def _hits(lines: Iterator[tuple[int, str]], patterns: list[tuple[re.Pattern[str], str]]) -> Iterator[Hit]:
    for number, line in lines:
        for pattern, suggestion in patterns:
            yield from (Hit(number, match.group(), suggestion) for match in pattern.finditer(line.strip()))


def _files() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in (*FOLDERS, *OTHERS):
        yield from (p for p in sorted((ROOT / folder).rglob("*")) if p.suffix in PROSE | {".py"})


def main() -> int:
    """Search the tree; 1 if anything was found."""
    found = 0
    for path in _files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(SKIPPED):
            continue
        for hit in search(path.read_text(), python=path.suffix == ".py"):
            print(f"{name}:{hit.line}: {hit.found}: {hit.suggestion}")
            found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
