"""Lines of the Error Data Set (Table 5-1) written by hand: record, segment, data element and value, and their order."""

from collections.abc import Sequence

import pytest

from cji_operations.validate import eds, load_rule_set
from tests.support.nibrs_reports import (
    REPORTS,
    Report,
    lines,
    segment,
    twice,
    with_fields,
    without,
)
from tests.support.nibrs_tools import judged

RULES = load_rule_set("nibrs/3.1")
ROBBERY = REPORTS["robbery"]
THREAT = segment("offenses", offense="13C", completed="C", substance=["N"], location="20", bias=["88"])
BREAK_IN = segment("offenses", offense="220", completed="C", substance=["N"], location="20", bias=["88"], entry="F")

CASES: Sequence[tuple[str, Report, list[str]]] = [
    (
        "each offense that takes property asks for it",
        with_fields(without([*ROBBERY[:2], BREAK_IN, *ROBBERY[2:]], "properties"), "victims", connected=["120", "220"]),
        ["0000000 | | | | |L 3|074|120", "0000000 | | | | |L 3|074|220"],
    ),
    (
        "segments before what is said of the report",
        with_fields(
            with_fields([*ROBBERY[:2], THREAT, *ROBBERY[2:]], "victims", offender_number=["02"]), "offenders", sex="X"
        ),
        ["0000006|5| |001| |38|504|X", "0000000| | | | |L 2|065|13C", "0000000| | | | |34|070|02"],
    ),
    (
        "one finding of the clearance for all arrests",
        twice(
            twice(with_fields(REPORTS["cleared"], "arrestees", arrest_date="20200405"), "arrestees", sequence="02"),
            "offenders",
            sequence="02",
        ),
        ["0000000| | | | |04|071|A"],
    ),
    (
        "an attempt without a loss of 1 or 8",
        with_fields(REPORTS["larceny"], "offenses", completed="A"),
        ["0000000| | | | |14|077|23H", "0000000| | | | |14|081|7"],
    ),
    (
        "data elements of one segment in their order",
        with_fields(REPORTS["weapon law"], "victims", age="8", offender_number=["01"], relationship=["AQ"]),
        [
            "0000003|4| |001| |26|404|8",
            "0000003|4| |001| |26|458|8",
            "0000003|4| |001| |34|458|01",
            "0000003|4| |001| |34|459|01",
        ],
    ),
    (
        "the sex that all offenders share with the victim",
        with_fields(REPORTS["rape"], "offenders", sex="F"),
        ["0000000| | | | |38|560|F"],
    ),
    (
        "the weapon that cannot be automatic",
        with_fields(with_fields(REPORTS["assault"], "arrestees", automatic=["A"]), "offenses", weapon=["20"]),
        ["0000005|6| |001| |46|655|01"],
    ),
    (
        "a person without a number",
        with_fields(REPORTS["larceny"], "offenders", sequence=""),
        ["0000005|5| | | |36|501|"],
    ),
    (
        "more arrestees than offenders",
        twice(REPORTS["assault"], "arrestees", sequence="02"),
        ["0000000| | | | |L 6|656|"],
    ),
    (
        "the loss of a property segment",
        with_fields(REPORTS["drugs"], "properties", drug=["E", "E"], quantity=["1".zfill(12)] * 2, measure=["GM"] * 2),
        ["0000003|3| | |6|20|306|E"],
    ),
    (
        "the offense of an offense segment",
        with_fields(REPORTS["simple assault"], "offenses", weapon=["20"]),
        ["0000002|2|13B| | |13|265|20"],
    ),
    (
        "an arrest shows no sequence number",
        with_fields(REPORTS["arrest"], "group_b", sex="U"),
        ["0000001|7| | | |48|758|U"],
    ),
    (
        "two segments that are missing",
        without(without(ROBBERY, "victims"), "offenders"),
        ["0000000| | | | |L 4|075|", "0000000| | | | |L 5|075|"],
    ),
]


@pytest.mark.parametrize(("report", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_lines_are_those_of_the_layout(report: Report, expected: list[str]) -> None:
    found = eds(judged(b"\n".join(lines(report))))[:-1]
    assert [bytes(line)[:61].decode() for line in found] == [_line(report, words.split("|")) for words in expected]


def _line(report: Report, words: list[str]) -> str:
    """Positions 1 to 61: year and month, record, action, ORI and number; then level to value as Table 5-1 has them."""
    record, *others = (word.strip(" ") for word in words)
    action = str(report[0][1]["action"])
    shown = "".join(word.ljust(width) for word, width in zip(others, (1, 3, 3, 1, 3, 3, 12), strict=True))
    return f"202004{record}{action}VT001000020-12345    {shown}"
