"""The Supplementary Homicide Report rule by rule: small incidents, and what the FBI's text says of each."""

import pytest

from cji_core.errors import Reason, Stage
from cji_core.operations.aggregate import SHR, Code
from cji_operations.aggregate import shr as module
from tests.reference.shr import Row, convert
from tests.support.refusals import refused
from tests.support.return_a_tools import verdicts_of
from tests.support.shr_tools import by_key, engine
from tests.unit.operations.aggregate.test_leoka import ORI, admin, segment

NAMES = SHR.arrow.names


def offense(code: str, weapons: str = "12", *, using: str = "N", location: str = "20") -> bytes:
    return segment(
        2, {38: code, 41: "C", 42: using, 45: location, **{53 + 3 * i: w for i, w in enumerate(weapons.split())}}, 63
    )


def victim(
    codes: str = "09A", sex: str = "M", circumstances: str = "10", *, relations: str = "01ST", **more: str
) -> bytes:
    connected = {41 + 3 * i: code for i, code in enumerate(codes.split())}
    fields = {38: more.get("sequence", "001"), 71: "I", 72: more.get("age", "25"), 76: sex, 77: "W", 78: "N"}
    return segment(4, {**connected, **fields, 80: circumstances, 84: more.get("further", ""), 90: relations}, 129)


def offender(sequence: str = "01", age: str = "30") -> bytes:
    return segment(5, {38: sequence, 40: age, 44: "M", 45: "B", 46: "U"}, 46)


UNKNOWN = segment(5, {38: "00"}, 46)


def found(*segments: bytes) -> list[dict[str, object]]:
    """The rows; the twin agrees."""
    rows, _ = engine(segments)
    assert by_key(rows) == by_key(convert([s.decode() for s in segments]))
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("victims", "offenders", "situation", "count"),
    [
        (1, [offender()], "A", 1),
        (1, [UNKNOWN], "B", 1),
        (1, [], "B", 1),
        (1, [offender(), offender("02")], "C", 2),
        (2, [offender()], "D", 2),
        (2, [offender(), offender("02")], "E", 4),
        (2, [UNKNOWN], "F", 2),
    ],
)
def test_situations(victims: int, offenders: list[bytes], situation: str, count: int) -> None:
    killed = [victim(sequence=f"{i + 1:03d}") for i in range(victims)]
    rows = found(admin(), offense("09A"), *killed, victim("120", sequence="009"), *offenders)
    assert [row["situation"] for row in rows] == [situation] * count
    assert {row["offender"] for row in rows} == ({None} if situation in "BF" else set(range(1, len(offenders) + 1)))


@pytest.mark.parametrize(
    ("more", "codes", "circumstance"),
    [
        ([offense("120")], "08", "03"),
        ([offense("23C"), offense("11A")], "10", "02"),
        ([offense("35A")], "10", "18"),
        ([], "03", "18"),
        ([], "0810", "26"),
        ([], "0106", "45"),
        ([], "09", "60"),
        ([], "10", "99"),
        ([], "", None),
    ],
)
def test_circumstances_of_murder(more: list[bytes], codes: str, circumstance: str | None) -> None:
    (row,) = found(admin(), offense("09A"), *more, victim(circumstances=codes), offender())
    assert row["circumstance"] == circumstance


def test_circumstances_that_depend_on_more() -> None:
    (row,) = found(admin(), offense("09A"), victim(circumstances="09", relations="01BE"), offender())
    assert (row["circumstance"], row["relationship"]) == ("41", "OK")
    (row,) = found(admin(), offense("09A", using="A"), victim(circumstances="10"), offender())
    assert row["circumstance"] == "42"
    (row,) = found(admin(), offense("09A", location="15"), victim(circumstances="10"), offender())
    assert row["circumstance"] == "48"
    for codes, further, expected in (("20", "C", "80"), ("21", "A", "81"), ("20", "A", None), ("10", "C", None)):
        (row,) = found(admin(), offense("09C"), victim("09C", circumstances=codes, further=further), offender())
        assert (row["offense"], row["circumstance"]) == ("09C", expected)


@pytest.mark.parametrize(
    ("relation", "sex", "expected"),
    [("SE", "M", "HU"), ("SE", "F", "WI"), ("PA", "F", "MO"), ("GP", "U", "OF"), ("SE", "U", None), ("XR", "F", None)],
)
def test_relationships(relation: str, sex: str, expected: str | None) -> None:
    rows = found(admin(), offense("09A"), victim(sex=sex, relations=f"02{relation}01RU"), offender(), offender("02"))
    assert [row["relationship"] for row in rows] == ["UN", expected]


def test_ages_weapons_and_numbers() -> None:
    ages = {
        "NN": "NB",
        "NB": "NB",
        "BB": "BB",
        "00": "00",
        "99": "99",
        "07": "07",
        "2030": "25",
        "": None,
        "3020": None,
    }
    for age, expected in ages.items():
        (row,) = found(admin(), offense("09A", "60 40"), victim(age=age), offender())
        assert (row["victim_age"], row["weapon"]) == (expected, "40")
    (row,) = found(admin(), offense("09A", "99 95"), victim(), offender())
    assert row["weapon"] == "90"
    second = [admin(), offense("09A"), victim(), offender()]
    second = [one[:25] + b"B2          " + one[37:] for one in second]
    rows = found(admin(), offense("09A"), victim(), offender(), *second)
    assert [(row["ori"], row["month"], row["incident"]) for row in rows] == [(ORI, "202004", 1), (ORI, "202004", 2)]


def rows_of(*segments: bytes) -> list[Row]:
    return engine(segments)[0]


def test_reports_are_marked_and_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = [admin(), offense("09A"), victim(circumstances=""), offender()]
    _, outputs = engine(killed)
    assert outputs.status.codes.tolist() == [Code.FITS_NO_LINE]
    assert engine(killed, months=["2020-05"])[0] == []
    rows, outputs = engine(killed, verdicts=verdicts_of([(0, ORI, "A1".ljust(12), False)]))
    assert (rows, outputs.status.codes.tolist()) == ([], [Code.REJECTED])
    assert rows_of() == []
    assert rows_of(admin(), offense("09B"), victim("09B"), offender()) == []
    monkeypatch.setattr(module, "MAX_ROWS", 1)
    with refused(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE):
        rows_of(admin(), offense("09A"), victim(), offender(), offender("02"))
