"""The page for a person who inspects the agency's record of disclosures: to whom records about that person went."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from cji_core.page.markup import Part, element, facts, number, page, section, table, value

MOST: Final = 5000
"""Disclosures on one page."""
_ROWS: Final = 200

_NOTICE: Final = (
    "Criminal justice information about one person: give it to that person, or to somebody whom the law names."
)
_PURPOSES: Final[Mapping[str, str]] = {
    "A": "administrative file maintenance",
    "C": "criminal justice",
    "D": "domestic violence and stalking",
    "F": "firearms check",
    "H": "public housing",
    "I": "licensing and employment",
    "J": "criminal justice employment",
    "R": "Federal Bureau of Investigation",
    "S": "national security",
    "V": "visa",
    "X": "exigent caregiver check",
}
"""NIEM `j:RapSheetPurposeCode`, in short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One disclosure as it is shown."""

    time: str
    purpose: str
    requestor: str
    requesting_ori: str
    secondary_recipient: str | None
    recipient_class: str
    file: str | None
    rows: int
    ledger: str


def disclosure_page(who: Mapping[str, str], rows: Sequence[Row], searched: Mapping[str, str]) -> Iterator[str]:
    """The page, a piece at a time: whom it is about, to whom records went, and what was searched for it."""
    return page("Disclosures of records about one person", _NOTICE, _content(who, rows, searched))


def _content(who: Mapping[str, str], rows: Sequence[Row], searched: Mapping[str, str]) -> Iterator[Element]:
    about: dict[str, Part] = {name: value(text) for name, text in who.items()}
    yield section("The person", facts(about))
    if not rows:
        yield section("Disclosures", element("p", "None of the ledgers that were searched has a disclosure."))
    for start in range(0, min(len(rows), MOST), _ROWS):
        some = rows[start : start + _ROWS]
        title = "Disclosures" if len(rows) <= _ROWS else f"Disclosures {start + 1} to {start + len(some)}"
        yield section(title, table(("when", "to whom", "for what", "records", "file", "ledger"), map(_shown, some)))
    if len(rows) > MOST:
        yield element("p", f"{len(rows) - MOST} more are in the JSON output.", class_="more")
    of_search: dict[str, Part] = dict(searched)
    yield section(
        "What was searched",
        facts(of_search),
        element(
            "p",
            "The list is as complete as the ledgers: disclosures by other means, and by other agencies, are not in it.",
        ),
    )


def _shown(row: Row) -> Sequence[Part]:
    to = element(
        "div", value(row.requestor), " of ", value(row.requesting_ori), f" ({row.recipient_class.replace('_', ' ')})"
    )
    if row.secondary_recipient:
        to.append(element("div", "passed on to ", value(row.secondary_recipient)))
    purpose = f"{row.purpose}: {_PURPOSES.get(row.purpose, 'a code of this state')}"
    when = f"{row.time[:10]} {row.time[11:16]} UTC"
    return (value(when), to, element("span", purpose), number(row.rows), value(row.file), value(row.ledger))
