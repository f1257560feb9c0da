"""Hand-written histories with what a paragraph of the law makes of each event, and their list for docs/clear-cases.md.

`python -m tests.support.clear_cases` prints the list.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from cji_core.operations.clear import Rules, read_rules

__all__ = ["CASES", "Case", "listed", "shipped"]

FOLDER: Final = Path("tests/unit/operations/clear/cases")
_INTRO: Final = """# Cases of the shipped tables of rules

Each case is a history with the outcome of each of its events, written by hand from the paragraph beside it, and run by
the unit tests: `tests/unit/operations/clear/cases`. An outcome is a relief and the rule that gives it, or the fact for
want of which the event is not decided; "no outcome" is an event that the table does not decide on. No lawyer has
reviewed the cases.
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A history, the paragraph that decides on it and the outcome of each event: `RELIEF by RULE`, a cause, or ""."""

    table: str
    as_of: date
    law: str
    says: str
    rows: Sequence[Mapping[str, Any]]
    expected: Sequence[str]


def shipped(name: str) -> Rules:
    """A table that is shipped."""
    return read_rules((files("cji_core.operations.clear") / f"{name}.toml").read_bytes())


def _read(path: Path) -> Iterator[Case]:
    text = tomllib.loads(path.read_text(encoding="utf-8"))
    for case in text["case"]:
        rows = [{"subject": "S1"} | text["row"] | row for row in case["rows"]]
        for row in rows:
            row.update({name: None for name, value in row.items() if value in ("", "unknown")})
        yield Case(
            table=case.get("table", text["table"]),
            as_of=case.get("as_of", text["as_of"]),
            law=case["law"],
            says=case["says"],
            rows=rows,
            expected=case["expected"],
        )


CASES: Final = tuple(case for path in sorted(FOLDER.glob("*.toml")) for case in _read(path))


def listed() -> str:
    """The text of docs/clear-cases.md."""
    lines = [_INTRO]
    for table in dict.fromkeys(case.table for case in CASES):
        lines += [f"## `{table}.toml`", "", "| paragraph | case | outcomes |", "|---|---|---|"]
        for case in (each for each in CASES if each.table == table):
            outcomes = "; ".join(f"`{each}`" if each else "no outcome" for each in case.expected)
            lines.append(f"| {case.law} | {case.says} | {outcomes} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(listed(), end="")
