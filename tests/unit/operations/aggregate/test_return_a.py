"""Return A rule by rule: small incidents, and what the FBI's text of conversion says of each."""

from importlib import import_module

import numpy as np
import pytest

from cji_core.errors import Reason, Stage
from cji_core.operations.aggregate import Code
from cji_operations.aggregate.forms import FORMS, TITLES
from tests.reference.return_a import convert
from tests.support.refusals import refused
from tests.support.return_a_tools import Converted, engine, verdicts_of

conversion = import_module("cji_operations.aggregate.return_a")  # the package has a function of this name

ORI = "VT0010000"


def segment(level: int, fields: dict[int, str], *, number: str = "A1", action: str = "I") -> bytes:
    """A segment with `fields` by their positions, from 1."""
    line = bytearray(b" " * {1: 87, 2: 63, 3: 307, 4: 129, 5: 45, 6: 110}[level])
    placed = {1: f"{len(line):04d}{level}{action}042020", 17: ORI, 26: f"{number:<12}"} | fields
    for start, text in placed.items():
        line[start - 1 : start - 1 + len(text)] = text.encode()
    return bytes(line)


def admin(date: str = "20200401", cleared: str = "N", cleared_date: str = "", **more: str) -> bytes:
    return segment(1, {38: date, 49: cleared, 50: cleared_date}, **more)


def offense(code: str, completed: str = "C", **more: str) -> bytes:
    fields = {
        38: code,
        41: completed,
        45: more.get("location", "20"),
        47: more.get("premises", ""),
        49: more.get("entry", ""),
    }
    return segment(2, fields | {53 + 3 * i: weapon for i, weapon in enumerate(more.get("weapons", "").split())})


def victim(sequence: int, codes: str, sex: str = "F") -> bytes:
    connected = {41 + 3 * i: code for i, code in enumerate(codes.split())}
    return segment(4, {38: f"{sequence:03d}", 71: "I", 76: sex} | connected)


def stolen(vehicles: str, *descriptions: str) -> bytes:
    return segment(3, {38: "7", 229: vehicles} | {39 + 19 * i: word for i, word in enumerate(descriptions)})


def arrest(age: str, date: str = "20200503") -> bytes:
    return segment(6, {38: "01", 52: date, 71: age})


def offender(age: str) -> bytes:
    return segment(5, {38: "01", 40: age})


def actual(*segments: bytes, form: str = "return_a") -> dict[str, int]:
    """Line -> actual offenses, and the twin says the same."""
    found = engine(segments)
    assert found.cells == convert([s.decode() for s in segments])
    return {line: cell[0] for (name, _, _, line), cell in found.cells.items() if name == form and cell[0]}


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        pytest.param([offense("120", weapons="20"), offense("23H")], {"3b": 1}, id="robbery before larceny"),
        pytest.param([offense("23D"), offense("23H"), offense("13B", weapons="40"), victim(1, "13B")], {"6": 1},
                     id="one larceny, no simple assault beside a Part I offense"),
        pytest.param([offense("09A"), offense("220", entry="F"), victim(1, "09A"), victim(2, "09A")], {"1a": 2},
                     id="murders by victims, burglary below"),
        pytest.param([offense("120", weapons="20 12A")], {"3a": 1}, id="a firearm before a knife, automatic or not"),
        pytest.param([offense("120", weapons="99 95")], {"3c": 1}, id="unknown before none"),
        pytest.param([offense("120")], {"unclassifiable": 1}, id="a robbery without a weapon fits no line"),
        pytest.param([offense("13A", weapons="40 30"), victim(1, "13A"), victim(2, "13A 290"), victim(3, "290")],
                     {"4c": 2}, id="aggravated assaults by victims connected"),
        pytest.param([offense("13B", weapons="40"), offense("13C"), victim(1, "13B 13C"), victim(2, "13C")],
                     {"4e": 2}, id="simple assaults, each victim once; intimidation has no weapon"),
        pytest.param([offense("13B", weapons="20"), victim(1, "13B")], {"unclassifiable": 1}, id="no knife is simple"),
        pytest.param([offense("11A"), offense("11B", "A"), victim(1, "11A 11B"), victim(2, "11B", "M")],
                     {"2a": 1, "2b": 1}, id="rapes 2011, completed before attempted"),
        pytest.param([offense("11A"), victim(1, "11A", "U")], {"unclassifiable": 1}, id="a victim of unknown sex"),
        pytest.param([offense("11A"), victim(1, "11B")], {"unclassifiable": 1}, id="connected to what is not there"),
        pytest.param([offense("220", entry="F")], {"5a": 1}, id="forcible entry"),
        pytest.param([offense("220", entry="N")], {"5b": 1}, id="no force"),
        pytest.param([offense("220", "A", entry="N")], {"5c": 1}, id="attempted entry"),
        pytest.param([offense("220", entry="F", location="19", premises="07")], {"5a": 7}, id="rental storage"),
        pytest.param([offense("220", entry="F", location="20", premises="07")], {"5a": 1}, id="premises elsewhere"),
        pytest.param([offense("240"), stolen("05", "03", "05", "24")], {"7a": 3, "7b": 1, "7c": 1}, id="autos first"),
        pytest.param([offense("240"), stolen("05", "37", "24")], {"7b": 4, "7c": 1}, id="trucks and other vehicles"),
        pytest.param([offense("240"), stolen("02", "24")], {"7c": 2}, id="other vehicles alone"),
        pytest.param([offense("240"), stolen("00", "03")], {"7a": 1}, id="a number not known is one at least"),
        pytest.param([offense("240", "A"), stolen("02", "24")], {"7a": 1}, id="attempts on 7a"),
        pytest.param([offense("240"), stolen("02", "20")], {"unclassifiable": 1}, id="no vehicle among the property"),
        pytest.param([offense("35A")], {}, id="what is on no form"),
    ],
)  # fmt: skip
def test_actual_offenses(segments: list[bytes], expected: dict[str, int]) -> None:
    assert actual(admin(), *segments) == expected


def test_arson_and_trafficking_are_exempt_from_the_hierarchy() -> None:
    segments = (admin(), offense("09A"), offense("200"), offense("64A"), offense("64B"), victim(1, "09A 64A 64B"))
    assert actual(*segments) == {"1a": 1}
    assert actual(*segments, form="arson") == {"arson": 1}
    assert actual(*segments, form="human_trafficking") == {"A": 1, "B": 1}


def test_the_historical_rape_has_female_victims_of_11a_only() -> None:
    segments = (admin(), offense("11A"), offense("11B"), victim(1, "11A"), victim(2, "11A", "M"), victim(3, "11B"))
    assert actual(*segments) == {"2a": 3}
    assert actual(*segments, form="rape_historical") == {"2a": 1, "unclassifiable": 1}


@pytest.mark.parametrize(
    ("segments", "month", "cleared"),
    [
        pytest.param([admin(), arrest("25  ")], "202005", [1, 0], id="an adult"),
        pytest.param([admin(), arrest("17  ")], "202005", [1, 1], id="a juvenile"),
        pytest.param([admin(), arrest("18  ")], "202005", [1, 0], id="eighteen"),
        pytest.param([admin(), arrest("17  "), arrest("18  ")], "202005", [1, 0], id="adult and juvenile"),
        pytest.param([admin(), arrest("00  "), arrest("17  ")], "202005", [1, 1], id="juvenile and unknown"),
        pytest.param([admin(), arrest("00  ")], "202005", [1, 0], id="unknown"),
        pytest.param([admin(), arrest("1522")], "202005", [1, 0], id="a range of 18 on average"),
        pytest.param([admin(), arrest("25  ", "20200601"), arrest("25  ", "20200503")], "202005", [1, 0], id="first"),
        pytest.param([admin(cleared="A", cleared_date="20200701"), offender("16  "), arrest("25  ")], "202007", [1, 1],
                     id="an exceptional clearance goes by offenders"),
        pytest.param([admin(), arrest("25  ", "20201301")], "", [1, 0], id="an arrest in a month that is not known"),
    ],
)  # fmt: skip
def test_clearances(segments: list[bytes], month: str, cleared: list[int]) -> None:
    lines = [segments[0], offense("23H"), *segments[1:]]
    found = engine(lines)
    assert (
        found.cells
        == {
            ("return_a", ORI, "202004", "6"): [1, 0, 0],
            ("return_a", ORI, month, "6"): [0, *cleared],
        }
        == convert([line.decode() for line in lines])
    )


def reports(found: Converted) -> dict[str, int]:
    return {outcome: n for outcome, n in found.accounting.items() if n}


def test_an_incident_counts_as_the_submission_leaves_it() -> None:
    added, deleted = [admin(), offense("23H")], [segment(1, {}, action="D")]
    other = [
        segment(1, {38: "20200401", 49: "N"}, number="B2"),
        segment(2, {38: "120", 41: "C", 53: "40"}, number="B2"),
    ]
    found = engine([*added, *deleted])
    assert (found.cells, reports(found)) == ({}, {"deletion": 1, "not counted": 1})
    assert found.outputs.status.codes.tolist() == [Code.NOT_COUNTED]
    found = engine([*added, *deleted, *added, *other, *added])
    assert reports(found) == {"counted": 2, "deletion": 1, "not counted": 2}
    assert {key[3]: cell[0] for key, cell in found.cells.items()} == {"6": 1, "3d": 1}
    assert found.outputs.status.rows[found.outputs.status.codes == Code.NOT_COUNTED].tolist() == [0, 7]


def test_lines_that_count_no_offense_are_accounted_for() -> None:
    lines = [
        segment(1, {38: "20200401", 49: "N"}, action="M"),
        b"00430I042020    VT0010000000000000000042020",
        b"????",
        b"   ",
        b"00667A042020    VT0010000B3          0120200402O90J",
    ]
    found = engine(lines)
    assert reports(found) == {"not counted": 1, "zero report": 1, "unreadable": 1, "group b arrest": 1}
    assert found.cells == {}
    assert found.outputs.status.counts() == (3, 1, 0, 1)
    assert found.outputs.status.rows[found.outputs.status.codes == Code.UNREADABLE_SEGMENT].tolist() == [2]


def test_an_unreadable_month_is_its_own_sheet_and_a_warning() -> None:
    found = engine([admin(date="20200230"), offense("23H")])
    assert found.cells == {("return_a", ORI, "", "6"): [1, 0, 0]}
    assert found.outputs.status.codes.tolist() == [Code.FITS_NO_LINE]


TWO = [
    *(segment(1, {38: "20200401", 49: "N"}), segment(2, {38: "23H", 41: "C"})),
    *(segment(1, {38: "20200501", 49: "N"}, number="B2"), segment(2, {38: "120", 41: "C", 53: "40"}, number="B2")),
]
"""A larceny in April, a robbery in May."""


def lines_of(found: Converted) -> set[str]:
    return {line for _, _, _, line in found.cells}


@pytest.mark.parametrize(
    ("first", "second", "lines"),
    [(True, True, {"6", "3d"}), (True, False, {"6"}), (False, True, {"3d"}), (False, False, set())],
)
def test_rejected_reports_are_on_no_line(first: bool, second: bool, lines: set[str]) -> None:
    verdicts = [(2, ORI, "B2", second), (0, ORI, "A1", first)]  # in any order
    found = engine(TWO, verdicts=verdicts_of(verdicts))
    assert lines_of(found) == lines
    assert found.accounting["rejected"] == (not first) + (not second)
    assert sum(found.accounting.values()) == 2
    marked = found.outputs.status.rows[found.outputs.status.codes == Code.REJECTED].tolist()
    assert marked == [row for row, accepted in ((0, first), (2, second)) if not accepted]


def test_a_rejected_deletion_or_duplicate_counts_for_nothing() -> None:
    lines = [*TWO[:2], segment(1, {}, action="D"), *TWO[:2]]
    assert lines_of(engine(lines[:3])) == set()
    found = engine(lines[:3], verdicts=verdicts_of([(0, ORI, "A1", True), (2, ORI, "A1", False)]))
    assert (lines_of(found), found.accounting["deletion"]) == ({"6"}, 0)
    again = [*TWO[:2], *TWO[:2]]
    found = engine(again, verdicts=verdicts_of([(0, ORI, "A1", False), (2, ORI, "A1", True)]))
    assert (found.accounting["counted"], found.accounting["not counted"]) == (1, 0)


@pytest.mark.parametrize(
    "verdicts",
    [
        pytest.param([], id="none"),
        pytest.param([(0, ORI, "A1", True)], id="one missing"),
        pytest.param([(0, ORI, "A1", True), (2, ORI, "B2", True), (2, ORI, "B2", False)], id="one twice"),
        pytest.param([(0, ORI, "A1", True), (3, ORI, "B2", True)], id="another row"),
        pytest.param([(0, ORI, "A1", True), (2, ORI, "B3", True)], id="another incident"),
        pytest.param([(0, ORI, "A1", True), (2, "VT0020000", "B2", True)], id="another agency"),
        pytest.param([(0, ORI, "A1", True), (2, ORI, "B2" + "X" * 20, True)], id="a number too long"),
        pytest.param([(0, ORI, "A1", None), (2, ORI, "B2", True)], id="no verdict"),
        pytest.param([(0, ORI, "A1", True), (None, ORI, "B2", True)], id="no row"),
    ],
)
def test_verdicts_on_another_submission_are_refused(verdicts: list[tuple[int, str, str, bool]]) -> None:
    engine(TWO, verdicts=verdicts_of([(0, ORI, "A1", True), (2, ORI, "B2", True)]))
    with refused(Reason.BAD_PARAMETERS, stage=Stage.COMPUTE):
        engine(TWO, verdicts=verdicts_of(verdicts))


def test_only_the_months_that_are_asked_for_have_sheets() -> None:
    assert {key[2] for key in engine(TWO).cells} == {"202004", "202005"}
    found = engine(TWO, months=["2020-05", "2020-07"])
    assert set(found.table["month"].to_pylist()) == {b"202005"}
    assert lines_of(found) == {"3d"}
    assert found.accounting["counted"] == 2
    assert engine(TWO, months=["2020-07"]).table.num_rows == 0


def test_every_line_has_a_title() -> None:
    assert set(TITLES) == {(form.name, line) for form in FORMS for line, _ in form.sums}
    titles = {(r["form"], r["line"]): r["title"] for r in engine(TWO).table.to_pylist()}
    assert titles[b"return_a", b"3d"] == b"Robbery: strong-arm (hands, fists, feet, etc.)"
    assert titles[b"return_a", b"total"] == b"Grand total"


def test_small_numbers_of_a_form_are_null_and_marked() -> None:
    lines = [line for i in range(12) for line in (
        segment(1, {38: "20200401", 49: "N"}, number=f"C{i}"), segment(2, {38: "23H", 41: "C"}, number=f"C{i}")
    )]  # fmt: skip
    found = engine([*TWO, *lines], months=["2020-04"], threshold=11)
    rows = {r["line"]: r for r in found.table.to_pylist() if r["form"] == b"return_a"}
    assert (rows[b"6"]["actual"], rows[b"6"]["hidden"]) == (13, False)
    assert (rows[b"3d"]["actual"], rows[b"3d"]["hidden"]) == (0, False)
    found = engine([*TWO, *lines], months=["2020-05"], threshold=11)
    rows = {r["line"]: r for r in found.table.to_pylist() if r["form"] == b"return_a"}
    assert (rows[b"3d"]["actual"], rows[b"3d"]["hidden"], rows[b"3"]["actual"]) == (None, True, None)
    assert [found.accounting[outcome] for outcome in ("counted", "deletion")] == [14, None]
    assert engine(TWO, threshold=11).accounting["counted"] is None


def test_with_a_threshold_row_status_marks_nothing() -> None:
    lines = [*TWO, *TWO]  # the second time they are there already
    assert engine(lines).outputs.status.codes.tolist() == [Code.NOT_COUNTED] * 2
    assert engine(lines, threshold=2).outputs.status.codes.tolist() == []


@pytest.mark.parametrize(
    ("reports", "segments", "expected"),
    [
        ([14, 0, 0], 30, [True, False, False]),
        ([14, 3, 0], 17, [False, False, False]),  # three reports are left for all others together
        ([14, 30, 3], 47, [False, True, False]),
        ([14, 0, 3], 24 + 3, [True, False, False]),
        ([1, 2, 3], 6, [False, False, False]),
    ],
)
def test_numbers_of_reports_do_not_follow_from_segments(
    reports: list[int], segments: int, expected: list[bool]
) -> None:
    assert conversion.shown(np.array(reports), segments, 11).tolist() == expected
    assert conversion.shown(np.array(reports), segments, 1).all()


def test_nothing_makes_no_sheet() -> None:
    found = engine([])
    assert found.table.num_rows == 0
    assert reports(found) == {}


def test_every_line_of_the_file_is_printed_once_and_in_the_total() -> None:
    names = [name for name, _ in FORMS[0].sums]
    assert len(set(names)) == len(names)
    assert dict(FORMS[0].sums)["total"] == tuple(dict.fromkeys(x.line for c in FORMS[0].classes for x in c.lines))
    assert names[:4] == ["1", "1a", "1b", "2"]
    assert names[-1] == "unclassifiable"


def test_any_bytes_are_converted_and_accounted_for() -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        lines = [bytes(rng.integers(0, 256, rng.integers(0, 130), np.uint8)) for _ in range(20)]
        for i in rng.integers(0, 20, 12):
            lines[i] = b"0063" + bytes([rng.integers(48, 57)]) + lines[i][5:]
        found = engine(lines)
        assert sum(found.outputs.status.counts()) == 20


def test_more_months_of_agencies_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [admin(), offense("23H"), arrest("25  ")]  # an incident in April that is cleared in May
    monkeypatch.setattr(conversion, "MAX_FORMS", 2)
    engine(lines)
    monkeypatch.setattr(conversion, "MAX_FORMS", 1)
    with refused(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE):
        engine(lines)
