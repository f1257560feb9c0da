"""The choices that a form gives for columns, and the operations of answers that need a form of their own."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from cji_client.errors import SpecError
from cji_core.format.records import FREE_TEXT, SCHEMAS
from cji_core.operations.deidentify.declaration import ONE_EACH, PERSONS
from cji_core.operations.standardize import NAM

_DATES: Final = frozenset(
    column.name for schema in SCHEMAS.values() for column in schema.columns.values() if column.date
)
_NAMES_A_PERSON: Final = ONE_EACH | {"middle", "suffix", "OCA", "case", "VIN", "LIC"}
_PLACES: Final = frozenset(("street_number", "address_1", "address_2"))
_STATES: Final = frozenset(("state", "OLS", "LIS"))
_AREAS: Final = ("county", "ORI", "RAC")
"""Columns to count by, where nobody chose."""

KEEP, TOKEN, YEAR, MONTH, ZIP, REDACT, DROP = "keep", "token", "year", "month", "zip", "redact", "drop"
TREATMENTS: Final = {
    KEEP: "Keep it",
    TOKEN: "Replace it by a token",
    YEAR: "Keep the year alone",
    MONTH: "Keep year and month",
    ZIP: "Keep three digits of the ZIP code",
    REDACT: "Black out dates, numbers and addresses in it",
    DROP: "Leave it out",
}
VALUES, NOT = "values", ""
GROUPINGS: Final = {NOT: "Not by this", VALUES: "By its values", MONTH: "By month", YEAR: "By year"}


def treatments(column: str) -> tuple[str, ...]:
    """The transforms that fit a column before its records are given away, the suggested one first."""
    if column in FREE_TEXT:
        return (DROP, REDACT)  # never kept: it can hold anything
    if column in _DATES:
        return (YEAR, MONTH, DROP, TOKEN, KEEP)
    if column == "postcode":
        return (ZIP, DROP, TOKEN, KEEP)
    if column in _PLACES:
        return (DROP, TOKEN, KEEP)
    return (TOKEN, DROP, KEEP) if column in _NAMES_A_PERSON else (KEEP, DROP, TOKEN)


def deidentified(answers: Mapping[str, Any], _: Sequence[str]) -> list[dict[str, Any]]:
    """One rule for each column."""
    rules = {name: _rule(name, chosen) for name, chosen in answers["columns"].items()}
    given: dict[str, Any] = {"kind": "deidentify", "columns": rules}
    if any(chosen == TOKEN for chosen in answers["columns"].values()):
        if not answers["project"]:
            raise SpecError("the project has no name", remedy="Write one: tokens of one project can be compared.")
        given["project"] = answers["project"]
    return [given]


def _rule(column: str, chosen: str) -> Any:
    return {
        TOKEN: {"do": "hmac_token", "domain": column},
        YEAR: {"do": "date_to", "unit": "year"},
        MONTH: {"do": "date_to", "unit": "month"},
        ZIP: {"do": "zip_prefix"},
        REDACT: {"do": "redact"},
    }.get(chosen, chosen)


def groupings(column: str) -> tuple[str, ...]:
    """How records can be counted by a column; nothing is counted by free text."""
    if column in FREE_TEXT:
        return ()
    if column in _DATES:
        return (MONTH, YEAR, VALUES, NOT) if column == "date" else (NOT, MONTH, YEAR, VALUES)
    return (VALUES, NOT) if column in _AREAS else (NOT, VALUES)


def grouped(answers: Mapping[str, Any], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Counts, behind a step that leaves the month or the year of dates."""
    chosen = {name: how for name, how in answers["keys"].items() if how != NOT}
    if not chosen:
        raise SpecError("there is nothing to count by", remedy="Choose at least one column.")
    counts = {**answers, "kind": "aggregate", "keys": dict.fromkeys(chosen, ())}
    cut = {name: how for name, how in chosen.items() if how in (MONTH, YEAR)}
    if not cut:
        return [counts]
    rules = {name: DROP if name in FREE_TEXT else _rule(name, cut.get(name, KEEP)) for name in columns}
    return [{"kind": "deidentify", "columns": rules}, counts]


def persons(column: str) -> tuple[str, ...]:
    """Whether a column may be the number of a person: "" if it is not the one that is suggested."""
    return (column if column == "subject" else "",) if column in PERSONS | {"subject"} else ()


def forms(column: str) -> tuple[str, ...]:
    """The form that a column can be put into."""
    if column == NAM:
        return ("name", NOT)
    if column in _DATES:
        return ("date", NOT)
    known = {"address_1": "address", "postcode": "zip", "offense_code": "offense"} | dict.fromkeys(_STATES, "state")
    return (known[column], NOT) if column in known else ()


def standardized(answers: Mapping[str, Any], _: Sequence[str]) -> list[dict[str, Any]]:
    """The columns that are put into another form."""
    chosen = {name: form for name, form in answers["columns"].items() if form != NOT}
    if not chosen:
        raise SpecError("no column is to be put into one form", remedy="Choose at least one column.")
    return [{"kind": "standardize", "columns": chosen}]


def texts(column: str) -> tuple[str, ...]:
    """Whether a column has free text."""
    return (column,) if column in FREE_TEXT else ()


def cleared(answers: Mapping[str, Any], _: Sequence[str]) -> list[dict[str, Any]]:
    """With the file of a table of rules that is shipped."""
    file = files("cji_core.operations.clear") / f"{answers['rules']}.toml"
    return [{**answers, "kind": "clear", "rules": str(file)}]
