"""Microsoft's walkthrough for CJIS 6.0 in Azure Commercial: what this project has for each step.

The steps are in `walkthrough.toml`; the page docs/cjis-azure-commercial.md and a section of the packet are written from
it. Source of numbers and order: Microsoft, "Azure Government or Azure Commercial for CJIS 6.0: Choosing Your Compliance
Path".
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_audit.packet.checks import Result
from cji_audit.packet.document import Badge, Block, Heading, Table, Text
from cji_core.documents import toml

_LINK: Final = re.compile(r"\[([^]]+)\]\([^)]+\)")
_TONES: Final = {
    "holds": Badge("held", "good"),
    "fails": Badge("failed", "bad"),
    "missing": Badge("missing", "open"),
}


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables of the file."""


class Duty(_Table, frozen=True, kw_only=True):
    """A row of a step that a person must be able to point at."""

    what: str
    who: Literal["product", "agency"]
    text: str


class Step(_Table, frozen=True, kw_only=True):
    """One step. Texts are Markdown with links and code."""

    title: Annotated[str, Meta(pattern=r"^Step [1-7]b?: ")]
    file: str
    check: str
    evidence: str
    agency: str
    checks: tuple[str, ...]
    rows: tuple[Duty, ...] = ()


class _Steps(_Table, frozen=True, kw_only=True):
    steps: tuple[Step, ...]


@cache
def steps() -> tuple[Step, ...]:
    """The steps in the walkthrough's order, read once."""
    return toml(files("cji_audit.packet").joinpath("walkthrough.toml").read_bytes(), _Steps).steps


def blocks(checks: Mapping[str, Result]) -> Iterator[Block]:
    """The section of the packet: each step with the results of its checks. Raises KeyError for an unknown check."""
    yield Text(
        "The steps of Microsoft's walkthrough for Azure Commercial, in its order. A step rests on the checks that are "
        "named; where there is none, this product has no evidence, and the agency shows it."
    )
    for step in steps():
        yield Heading(step.title)
        facts = (("this project", step.file), ("evidence", step.evidence), ("agency", step.agency))
        yield Table(("", ""), [(name, _plain(text)) for name, text in facts], "step")
        if step.checks:
            rows = [(name, _TONES[checks[name].status], checks[name].why) for name in step.checks]
            yield Table(("check", "status", "what was found"), rows, "open")
        if step.rows:
            duties = [(each.what, f"acts: {each.who}", each.text) for each in step.rows]
            yield Table(("row", "who", "what is stated"), duties, "open")


def page() -> Iterator[str]:
    """The lines of docs/cjis-azure-commercial.md below its introduction."""
    for step in steps():
        yield f"\n## {step.title}\n"
        yield "| | |"
        yield "|---|---|"
        facts = (("file", step.file), ("check", step.check), ("evidence", step.evidence), ("agency", step.agency))
        yield from (f"| {name} | {text} |" for name, text in facts)
        if step.rows:
            yield "\n| in the packet | who acts | what is stated |"
            yield "|---|---|---|"
            yield from (f"| {each.what} | {each.who} | {each.text} |" for each in step.rows)
    yield ""


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text).replace("`", "")
