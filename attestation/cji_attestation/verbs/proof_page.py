"""A page that shows what evidence or a receipt proves, what failed, and what nobody checked. One file, for display."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from cji_attestation.checks import CATALOGUE, GROUPS, Check, Failure, remedy
from cji_core.page.markup import element, facts, page, section, table, value

Rows = Sequence[tuple[str, str]]

_OTHER: Final = "Time and file"
_SIMULATED: Final = "SIMULATED: the roots are those of a simulator. Nothing here is about a real machine."


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The content of a page. `outcome` is one sentence; `accepted` is None if nothing was verified.

    `about` has facts, `contents` rows by section: claims of the file itself.
    """

    title: str
    outcome: str
    accepted: bool | None
    simulated: bool = False
    about: Mapping[str, str]
    passed: Sequence[Check] = ()
    failed: Sequence[Failure] = ()
    unchecked: Mapping[str, str]
    contents: Mapping[str, Rows]


def proof_page(proof: Proof) -> Iterator[str]:
    """The page as text, a piece at a time."""
    notice = _SIMULATED if proof.simulated else _notice(proof)
    return page(proof.title, notice, _sections(proof))


def proof_text(proof: Proof) -> str:
    """The same in lines, without the file's contents. Text of a stranger cannot move the cursor."""
    about = [f"  {name:10} {json.dumps(text)[1:-1]}" for name, text in proof.about.items()]
    missing = [f"    {name:8} {json.dumps(text)[1:-1]}" for name, text in proof.unchecked.items()]
    return "\n".join([proof.outcome, *about, *(["  not checked:", *missing] if missing else [])])


def _notice(proof: Proof) -> str:
    if proof.accepted is None:
        return "Not verified: this page repeats the file's own claims."
    if proof.accepted:
        return "Verified by the machine that made this page. Anyone who has the file can verify it again."
    return "REFUSED: do not rely on anything in this file."


def _sections(proof: Proof) -> Iterator[Element]:
    yield element(
        "div",
        element("h2", proof.outcome),
        facts({name: value(text) for name, text in proof.about.items()}),
        class_="state" if proof.accepted else "state bad",
    )
    if proof.failed:
        yield section("What failed", *map(_failure, proof.failed))
    if proof.unchecked:
        rows = ((element("strong", name), text) for name, text in proof.unchecked.items())
        yield section("What was not checked", table(("subject", "left open"), rows, class_="open"))
    if proof.passed:
        yield section("What was proven", *_groups(proof.passed))
    if proof.contents:
        parts = (part for name, rows in proof.contents.items() for part in _content(name, rows))
        yield section(
            "What the file states",
            element("p", "Its own claims, in full. Only what is listed as proven was compared."),
            *parts,
        )


def _failure(failure: Failure) -> Element:
    rows = {"found": value(failure.found)} if failure.found else {}
    if failure.expected != _requires(failure.id):
        rows["expected"] = value(failure.expected)
    title = element("h3", element("span", failure.id, class_="chip bad"), " ", _requires(failure.id))
    return element("div", title, facts(rows), element("p", remedy(failure.id) or ""), class_="card")


def _groups(passed: Iterable[Check]) -> Iterator[Element]:
    """The checks under the headings of docs/attestation.md, in their order; a check may have passed more than once."""
    found: dict[str, list[Check]] = {}
    for check in passed:
        found.setdefault(check.id, []).append(check)
    grouped = {group.title: [info.id for info in group.checks if info.id in found] for group in GROUPS}
    known = {name for names in grouped.values() for name in names}
    for title, names in {**grouped, _OTHER: [name for name in found if name not in known]}.items():
        if names:
            rows = (
                (element("span", name, class_="chip good"), _establishes(name), value(check.finding))
                for name in names
                for check in found[name]
            )
            yield element("h3", title)
            yield table(("check", "establishes", "found"), rows, class_="open")


def _requires(check: str) -> str:
    return CATALOGUE[check].requires if check in CATALOGUE else ""


def _establishes(check: str) -> str:
    return CATALOGUE[check].establishes if check in CATALOGUE else ""


def _content(name: str, rows: Rows) -> Iterator[Element]:
    yield element("h3", name)
    yield table(("name", "value"), ((label, value(text)) for label, text in rows), class_="open", where="the file")
