"""LEOKA rule by rule: small incidents, and what the FBI's text of conversion says of each."""

import pytest

from cji_core.operations.aggregate import Aggregate, Code
from tests.reference.leoka import convert
from tests.support.leoka_tools import engine
from tests.support.return_a_tools import verdicts_of

ORI = "VT0010000"


def segment(level: int, fields: dict[int, str], length: int, number: str = "A1") -> bytes:
    """A segment with `fields` by their positions, from 1."""
    line = bytearray(b" " * length)
    for start, text in ({1: f"{length:04d}{level}I042020", 17: ORI, 26: f"{number:<12}"} | fields).items():
        line[start - 1 : start - 1 + len(text)] = text.encode()
    return bytes(line)


def admin(date: str = "20200401", hour: str = "23", cleared: str = "N", cleared_date: str = "") -> bytes:
    return segment(1, {38: date, 47: hour, 49: cleared, 50: cleared_date}, 87)


def offense(code: str, weapons: str) -> bytes:
    return segment(2, {38: code, 41: "C", **{53 + 3 * i: w for i, w in enumerate(weapons.split())}}, 63)


def officer(codes: str = "13A", activity: str = "01", assignment: str = "G", injuries: str = "N", **more: str) -> bytes:
    connected = {41 + 3 * i: code for i, code in enumerate(codes.split())}
    fields = {38: more.get("sequence", "001"), 71: more.get("type", "L"), 85: injuries, 130: activity, 132: assignment}
    return segment(4, {**connected, **fields, 133: more.get("ori", "")}, 141)


def found(*segments: bytes) -> dict[str, int]:
    """Column and line -> number, of one agency and month; the twin agrees."""
    cells, _ = engine(segments)
    assert cells == convert([s.decode() for s in segments])
    return {f"{column} {line}": n for (column, _, _, line), n in cells.items()}


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        pytest.param([admin(), offense("13A", "20 12"), officer()],
                     {"A 1": 1, "B 1": 1, "G 1": 1, "A 14": 1, "B 14": 1, "A 15l": 1}, id="a firearm before a knife"),
        pytest.param([admin(hour="00"), offense("13B", "99 95"), officer("13B", "11", "L", "M")],
                     {"A 11": 1, "D 11": 1, "L 11": 1, "A 13": 1, "D 13": 1, "A 15a": 1}, id="unknown before none"),
        pytest.param([admin(hour=""), offense("13B", "40"), offense("13A", "30"), officer("13B 13A")],
                     {"A 1": 1, "D 1": 1, "G 1": 1, "A 14": 1, "D 14": 1, "A 15u": 1}, id="the weapon of 13A"),
        pytest.param([admin(), offense("09A", "12"), officer("09A")], {"A killed": 1}, id="killed, not assaulted"),
        pytest.param([admin(), offense("13A", "12"), officer(type="I")], {}, id="no officer"),
        pytest.param([admin(), offense("13A", "12"), officer("290")], {}, id="not connected"),
        pytest.param([admin(), offense("13A", "12"), officer(activity="")], {"A unclassifiable": 1}, id="no activity"),
        pytest.param([admin(), offense("13A", ""), officer()], {"A unclassifiable": 1}, id="no weapon"),
        pytest.param([admin(cleared="A", cleared_date="20200402"), offense("13A", ""), officer()],
                     {"A unclassifiable": 1}, id="no weapon, cleared"),
        pytest.param([admin(), offense("13A", "12"), officer(assignment="", injuries="")],
                     {"A 1": 1, "B 1": 1, "A 15l": 1}, id="neither assignment nor injury"),
    ],
)  # fmt: skip
def test_lines_and_columns(segments: list[bytes], expected: dict[str, int]) -> None:
    totals = {f"{key.split()[0]} 12": n for key, n in expected.items() if key.split()[1] in {"1", "11"}}
    assert found(*segments) == {**expected, **totals}


def test_two_officers_and_a_clearance_in_another_month() -> None:
    segments = [
        admin(cleared="A", cleared_date="20200602"),
        offense("13A", "12"),
        officer(),
        officer(sequence="002", ori="VT0020000"),
    ]
    cells, _ = engine(segments)
    assert cells == convert([s.decode() for s in segments])
    assert cells["A", ORI, "202004", "12"] == cells["A", "VT0020000", "202004", "12"] == 1
    assert cells["M", ORI, "202006", "1"] == cells["M", "VT0020000", "202006", "12"] == 1
    of_june, outputs = engine(segments, months=["2020-06"])
    assert {month for _, _, month, _ in of_june} == {"202006"}
    assert [batch.num_rows for batch in outputs.parts["accounting"]] == [7]


def test_officers_on_no_line_are_marked_and_rejected_ones_left() -> None:
    segments = [admin(), offense("13A", "12"), officer(activity="")]
    _, outputs = engine(segments)
    assert outputs.status.codes.tolist() == [Code.FITS_NO_LINE]
    cells, outputs = engine(segments, verdicts=verdicts_of([(0, ORI, "A1".ljust(12), False)]))
    assert not cells
    assert outputs.status.codes.tolist() == [Code.REJECTED]
    assert engine([])[0] == {}


def test_the_sheets_hide_nothing() -> None:
    assert Aggregate(preset="srs_leoka", reports="all").hides_below == 1
    for preset in ("srs_leoka", "srs_shr"):
        with pytest.raises(ValueError, match=f"{preset} hides nothing"):
            Aggregate(preset=preset, reports="all", threshold=5)
