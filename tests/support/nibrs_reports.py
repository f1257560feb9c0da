"""NIBRS reports made for tests: segments by field names, and valid reports of every kind to corrupt."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cji_operations.nibrs.specification import Field
from cji_operations.validate import load_rule_set

Values = Mapping[str, str | Sequence[str]]
Segment = tuple[str, dict[str, str | Sequence[str]]]
"""The table of a segment, and the fields that are not blank; a field that repeats has a sequence of values."""
Report = list[Segment]

_RULES = load_rule_set("nibrs/3.1")


def segment(table: str, **fields: str | Sequence[str]) -> Segment:
    """A segment with a good header."""
    actions = {"zero": "A", "group_b": "A", "deleted_incidents": "D", "deleted_arrests": "D"}
    header = {
        "level": str(_RULES.levels.get(table, 9)),
        "action": actions.get(table, "I"),
        "month": "04",
        "year": "2020",
        "ori": "VT0010000",
        "number": "20-12345",
    }
    return table, {**header, **fields}


def line(made: Segment) -> bytes:
    """The segment as a line, of the shortest length of its level that holds what it has."""
    table, fields = made
    specs = _specs(table)
    text = bytearray(b" " * 320)
    end = 0
    for name, given in fields.items():
        if name == "size" or name not in specs:  # of the line; and the action of a level that is none
            continue
        spec = specs[name]
        values = [given] if isinstance(given, str) else given
        for start, value in zip(spec.starts, values, strict=False):
            text[start : start + spec.width] = value.encode("latin-1")[: spec.width].ljust(spec.width)
            end = max(end, start + len(value.rstrip()))
    lengths = _RULES.lengths.get(table, (37,))
    length = next((length for length in lengths if length >= end), lengths[-1])
    if "length" not in fields:
        text[:4] = f"{length:04d}".encode()
    size = fields.get("size", str(length))
    return bytes(text[: int(str(size))])


@functools.cache
def _specs(table: str) -> dict[str, Field]:
    """The fields of a segment by name, those of its slots and of its report among them."""
    slots = [name for name, specs in _RULES.fields.items() if specs and specs[0].slots and _RULES.owner(name) == table]
    return {spec.name: spec for name in (table, *slots, "reports") for spec in _RULES.fields[name]}


def lines(report: Report) -> list[bytes]:
    """The report as lines."""
    return [line(made) for made in report]


def with_fields(report: Report, place: str, **fields: str | Sequence[str]) -> Report:
    """The report with other fields at `place`: a table, `table/2` for its second segment, or `*` for all."""
    table, _, nth = place.partition("/")
    seen = 0
    changed: Report = []
    for name, values in report:
        seen += name == table
        here = table == "*" or (name == table and seen == int(nth or 1))
        changed.append((name, {**values, **fields} if here else values))
    return changed


def without(report: Report, table: str) -> Report:
    """The report without its segments of a table."""
    return [made for made in report if made[0] != table]


def twice(report: Report, table: str, **fields: str | Sequence[str]) -> Report:
    """The report with the first segment of a table once more, behind it, with other fields."""
    place = next(i for i, made in enumerate(report) if made[0] == table)
    return [*report[: place + 1], (table, {**report[place][1], **fields}), *report[place + 1 :]]


def _incident(*others: Segment, **admin: str) -> Report:
    base = {"date": "20200401", "hour": "14", "cleared": "N", **admin}
    return [segment("admin", **base), *others]


def _offense(code: str, **fields: str | Sequence[str]) -> Segment:
    base: dict[str, Any] = {"offense": code, "completed": "C", "substance": ["N"], "location": "20", "bias": ["88"]}
    return segment("offenses", **{**base, **fields})


def _victim(*codes: str, **fields: str | Sequence[str]) -> Segment:
    base: dict[str, Any] = {
        "sequence": "001",
        "connected": codes,
        "type": "I",
        "age": "30",
        "sex": "F",
        "race": "W",
        "ethnicity": "N",
        "resident": "R",
    }
    return segment("victims", **{**base, **fields})


def _offender(**fields: str | Sequence[str]) -> Segment:
    return segment("offenders", **{"sequence": "01", "age": "25", "sex": "M", "race": "W", **fields})


def _arrestee(**fields: str | Sequence[str]) -> Segment:
    base: dict[str, Any] = {
        "sequence": "01",
        "transaction": "20-12345",
        "arrest_date": "20200410",
        "arrest_type": "T",
        "multiple": "N",
        "arrest_offense": "13A",
        "armed_with": ["01"],
        "age": "25",
        "sex": "M",
        "race": "W",
    }
    return segment("arrestees", **{**base, **fields})


_RELATED = {"offender_number": ["01"], "relationship": ["AQ"]}
_SOCIETY = {"type": "S", "age": "", "sex": "", "race": "", "ethnicity": "", "resident": ""}


def _property(loss: str, **fields: str | Sequence[str]) -> Segment:
    return segment("properties", loss=loss, **fields)


REPORTS: Mapping[str, Report] = {
    "assault": _incident(
        _offense("13A", weapon=["12"]),
        _victim("13A", circumstance=["01"], injury=["M"], **_RELATED),
        _offender(),
        _arrestee(),
    ),
    "simple assault": _incident(_offense("13B", weapon=["40"]), _victim("13B", injury=["N"], **_RELATED), _offender()),
    "murder": _incident(_offense("09A", weapon=["12"]), _victim("09A", circumstance=["01"], **_RELATED), _offender()),
    "negligence": _incident(
        _offense("09B", weapon=["12"]), _victim("09B", circumstance=["30"], **_RELATED), _offender()
    ),
    "justified": _incident(
        _offense("09C", weapon=["12"]),
        _victim("09C", circumstance=["20"], justifiable="C", **_RELATED),
        _offender(),
    ),
    "officer": _incident(
        _offense("13A", weapon=["12"]),
        _victim(
            "13A",
            type="L",
            circumstance=["02"],
            injury=["M"],
            officer_activity="01",
            officer_assignment="F",
            officer_ori="VT0020000",
            **_RELATED,
        ),
        _offender(),
    ),
    "intimidation": _incident(_offense("13C"), _victim("13C", **_RELATED), _offender()),
    "kidnapping": _incident(
        _offense("100", completed="A", weapon=["12"]),
        _property("1"),
        _victim("100", injury=["N"], **_RELATED),
        _offender(),
    ),
    "rape": _incident(_offense("11A", weapon=["40"]), _victim("11A", injury=["M"], **_RELATED), _offender()),
    "statutory": _incident(_offense("36B"), _victim("36B", age="15", **_RELATED), _offender()),
    "couple": _incident(
        _offense("13C"), _victim("13C", offender_number=["01"], relationship=["SE"]), _offender(age="32")
    ),
    "family": _incident(
        _offense("13C"), _victim("13C", age="05", offender_number=["01"], relationship=["CH"]), _offender(age="32")
    ),
    "brawl": _incident(
        _offense("13C"),
        _victim("13C", offender_number=["01"], relationship=["VO"]),
        _victim("13C", sequence="002", sex="M", offender_number=["02"], relationship=["VO"]),
        _offender(),
        _offender(sequence="02", sex="F", age="30"),
    ),
    "robbery": _incident(
        _offense("120", weapon=["12"]),
        _property("7", description=["20"], value=["000000100"]),
        _victim("120", injury=["N"], **_RELATED),
        _offender(),
        _arrestee(arrest_offense="120"),
    ),
    "burglary": _incident(
        _offense("220", entry="F"),
        _property("7", description=["20"], value=["000000100"]),
        _victim("220"),
        segment("offenders", sequence="00"),
    ),
    "larceny": _incident(
        _offense("23H"),
        _property("7", description=["20"], value=["000000100"]),
        _victim("23H"),
        segment("offenders", sequence="00"),
    ),
    "recovery": _incident(
        _offense("23H"),
        _property("5", description=["20"], value=["000000050"], recovered=["20200402"]),
        _property("7", description=["20"], value=["000000100"]),
        _victim("23H"),
        segment("offenders", sequence="00"),
    ),
    "vehicle": _incident(
        _offense("240"),
        _property("5", description=["03"], value=["000004000"], recovered=["20200402"], recovered_vehicles="01"),
        _property("7", description=["03"], value=["000005000"], stolen_vehicles="01"),
        _victim("240"),
        segment("offenders", sequence="00"),
    ),
    "cargo": _incident(
        _offense("23F"),
        _property("7", description=["20"], value=["000000100"]),
        _victim("23F"),
        segment("offenders", sequence="00"),
        cargo="N",
    ),
    "cargo of none": _incident(
        _offense("26D"),
        _property("7", description=["20"], value=["000000100"]),
        _victim("26D"),
        segment("offenders", sequence="00"),
        length="0088",
        size="88",
    ),
    "stolen goods": _incident(
        _offense("280", activity=["P"]),
        _property("5", description=["20"], value=["000000050"], recovered=["20200402"]),
        _victim("280"),
        _offender(),
    ),
    "drugs": _incident(
        _offense("35A", activity=["P"]),
        _property("6", description=["10"], drug=["E"], quantity=["000000001000"], measure=["GM"]),
        _victim("35A", **_SOCIETY),
        _offender(),
    ),
    "nothing seized": _incident(
        _offense("35A", activity=["P"]),
        _property("1", drug=["E"]),
        _victim("35A", **_SOCIETY),
        _offender(),
    ),
    "paraphernalia": _incident(
        _offense("35B", activity=["P"]),
        _property("6", description=["11"], value=["000000010"]),
        _victim("35B", **_SOCIETY),
        _offender(),
    ),
    "weapon law": _incident(_offense("520", activity=["P"], weapon=["12"]), _victim("520", **_SOCIETY), _offender()),
    "cruelty": _incident(_offense("720", activity=["A"]), _victim("720", **_SOCIETY), _offender()),
    "cleared": _incident(
        _offense("13C"),
        _victim("13C", **_RELATED),
        _offender(),
        _arrestee(arrest_offense="13C"),
        cleared="A",
        cleared_date="20200405",
    ),
    "arrest": [
        segment(
            "group_b",
            sequence="01",
            arrest_date="20200410",
            arrest_type="T",
            arrest_offense="90C",
            armed_with=["01"],
            age="25",
            sex="M",
            race="W",
        )
    ],
    "zero": [segment("zero", number="0" * 12, zero_month="03", zero_year="2020")],
    "deleted": [segment("deleted_incidents", date="20200401", cleared="N")],
    "deleted arrest": [segment("deleted_arrests", sequence="01", arrest_date="20200410")],
}
"""Valid reports, by both rule sets; but in 2016 a brawl of two offenders was 085."""

Edit = Callable[[Report], Report]


def edit(place: str, **fields: str | Sequence[str]) -> Edit:
    """What `with_fields` does, later."""
    return lambda report: with_fields(report, place, **fields)


def insert(made: Segment, at: int) -> Edit:
    """One more segment at a place."""
    return lambda report: [*report[:at], made, *report[at:]]


def swap(one: int, two: int) -> Edit:
    """Two segments, each in the place of the other."""

    def swapped(report: Report) -> Report:
        order = list(report)
        order[one], order[two] = order[two], order[one]
        return order

    return swapped


def more(table: str, **fields: str | Sequence[str]) -> Edit:
    """What `twice` does, later."""
    return lambda report: twice(report, table, **fields)


def less(table: str) -> Edit:
    """What `without` does, later."""
    return lambda report: without(report, table)


def then(*edits: Edit) -> Edit:
    """One edit after the other."""

    def all_of(report: Report) -> Report:
        for one in edits:
            report = one(report)
        return report

    return all_of
