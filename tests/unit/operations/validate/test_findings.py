"""What follows from findings: accepted reports, rates, row status, the Error Data Set."""

import numpy as np
import pytest

from cji_core.format.records import Status
from cji_core.operations.validate import NO_RECORD, OF_REJECTED_REPORT, RULE_CODES
from cji_operations.validate import EDS_BYTES, eds, load_rule_set
from tests.support.nibrs_reports import (
    REPORTS,
    line,
    lines,
    segment,
    with_fields,
)
from tests.support.nibrs_tools import judged

RULES = load_rule_set("nibrs/3.1")
GOOD = lines(REPORTS["larceny"])
WRONG = lines(with_fields(REPORTS["robbery"], "offenders", number="20-12346", sex="X"))
WARNED = lines(with_fields(REPORTS["arrest"], "group_b", number="20-9", age="99"))


def test_a_report_is_rejected_as_a_whole_and_rows_say_so() -> None:
    wrong = lines(with_fields(with_fields(REPORTS["robbery"], "*", number="20-12346"), "offenders", sex="X"))
    found = judged(b"\n".join([*GOOD, b"", *wrong, *WARNED, b"   "]))
    assert found.reports.accepted.tolist() == [True, False, True]
    assert found.reports.errors.tolist() == [0, 1, 0]
    assert found.reports.warnings.tolist() == [0, 0, 1]
    assert found.reports.segments.tolist() == [5, 6, 1]
    assert found.reports.row.tolist() == [0, 6, 12]
    assert found.reports.group.tolist() == [b"A", b"A", b"B"]
    assert found.reports.action.tolist() == [b"I", b"I", b"A"]
    assert found.status.status.tolist() == [
        *[Status.OK] * 5,
        Status.WARNED,
        *[Status.NOT_USABLE] * 6,
        Status.WARNED,
        Status.WARNED,
    ]
    codes = dict(zip(found.status.rows.tolist(), found.status.codes.tolist(), strict=True))
    assert codes == {
        5: NO_RECORD,
        **dict.fromkeys((6, 7, 8, 9, 11), OF_REJECTED_REPORT),
        10: RULE_CODES + 504,
        12: RULE_CODES + 741,
        13: NO_RECORD,
    }


def test_rates_count_reports_of_each_ori() -> None:
    other = [text.replace(b"VT0010000", b"VT0020000") for text in GOOD]
    bad = lines(with_fields(REPORTS["arrest"], "*", ori="VT0020000", number="20-9", sex="U"))
    found = judged(b"\n".join([*other, *bad, *GOOD]))
    rates = {
        ori: row
        for ori, *row in zip(
            found.rates.ori.tolist(),
            found.rates.reports.tolist(),
            found.rates.rejected.tolist(),
            found.rates.errors.tolist(),
            found.rates.rejected_per_10000.tolist(),
            strict=True,
        )
    }
    assert rates == {b"VT0010000": [1, 0, 0, 0], b"VT0020000": [2, 1, 1, 5000]}
    assert found.rates.ori.tolist() == sorted(rates)


def test_a_record_of_the_error_data_set() -> None:
    wrong = lines(with_fields(REPORTS["robbery"], "offenders", sex="X"))
    found = judged(b"\n" + b"\n".join(wrong))
    first, last = (bytes(record) for record in eds(found))
    assert first[:61] == b"2020040000005IVT001000020-12345    5   001 38 504X           "
    assert first[61:] == b"INVALID DATA VALUE".ljust(85)
    assert last == (b" " * 14 + b"9" * 9).ljust(61) + b"PROCESSED SUBMISSION ON 05/05/2020".ljust(85)
    assert len(first) == len(last) == EDS_BYTES
    assert found.row.tolist() == [5]


def test_a_finding_about_a_report_has_no_record_number() -> None:
    found = judged(b"\n".join(text for text in GOOD if text[4:5] != b"3"))
    record = bytes(eds(found)[0])
    assert record[:61] == b"2020040000000IVT001000020-12345            L 307423H         "


@pytest.mark.parametrize(
    ("place", "fields", "shown"),
    [
        ("offenses", {"location": "43"}, (b"23H", b"", b"")),
        ("properties", {"value": ["0000001 0"]}, (b"", b"", b"7")),
        ("victims", {"sex": "X"}, (b"", b"001", b"")),
    ],
)
def test_a_finding_says_which_segment(place: str, fields: dict[str, str], shown: tuple[bytes, ...]) -> None:
    found = judged(b"\n".join(lines(with_fields(REPORTS["larceny"], place, **fields))))
    assert (found.offense[0], found.sequence[0], found.loss[0]) == shown


def test_bytes_that_are_no_ascii_do_not_reach_the_error_data_set() -> None:
    found = judged(b"\n".join(lines(with_fields(REPORTS["arrest"], "*", sex="\xe9"))))
    records = eds(found)
    assert b"\xe9" in found.value.tolist()
    assert (records < 0x7F).all()


def test_no_rows_no_findings() -> None:
    found = judged(b"")
    assert len(found.row) == len(found.status.status) == len(found.reports.accepted) == len(found.rates.ori) == 0
    assert len(eds(found)) == 1


def test_an_unreadable_record_is_a_report_that_is_never_accepted() -> None:
    found = judged(line(segment("unreadable", level="9")))
    assert found.reports.group.tolist() == [b"?"]
    assert found.reports.accepted.tolist() == [False]


def test_findings_are_the_same_bytes_again() -> None:
    data = b"\n".join([*GOOD, *WRONG, *WARNED])
    assert np.array_equal(eds(judged(data)), eds(judged(data)))
