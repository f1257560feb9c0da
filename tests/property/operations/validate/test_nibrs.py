"""NIBRS files of any bytes, and damaged ones: never an exception, every row judged once, engine and twin agree."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.lines import split
from cji_core.format.records.nibrs.records import Records
from cji_operations.nibrs import submission
from cji_operations.validate import EDS_BYTES, Options, eds, load_rule_set, validate
from tests.reference import nibrs as nibrs_twin
from tests.support.nibrs_submissions import submissions
from tests.support.nibrs_tools import (
    TODAY,
    as_found,
    as_outcome,
    judged,
)

SETS = ("nibrs/2019", "nibrs/3.1", "nibrs/2016")


def check(data: bytes, rule_set: str) -> None:
    rules = load_rule_set(rule_set)
    text = split(np.frombuffer(data, np.uint8))
    found = validate(Records.of_lines(text), rules=rules, options=Options(as_of=date(2020, 5, 5)))
    n = len(text.lengths)
    assert len(found.status.status) == n
    assert sum(found.status.counts()) == n
    assert found.reports.segments.sum() + (found.status.codes == 21_001).sum() == n
    assert found.rates.reports.sum() == len(found.reports.accepted)
    assert found.rates.rejected.sum() == (~found.reports.accepted).sum()
    lines = eds(found)
    assert lines.shape == (len(found.row) + 1, EDS_BYTES)
    assert ((lines >= 0x20) & (lines <= 0x7E)).all()


@given(st.binary(max_size=400), st.sampled_from(SETS))
def test_any_bytes_are_judged(data: bytes, rule_set: str) -> None:
    check(data, rule_set)


@given(
    st.lists(
        st.tuples(st.sampled_from("01234567"), st.text("IADWM Z", max_size=1), st.binary(max_size=320)), max_size=6
    ),
    st.sampled_from(SETS),
)
def test_any_bytes_behind_a_level_are_judged(made: list[tuple[str, str, bytes]], rule_set: str) -> None:
    check(b"\n".join(b"0088" + level.encode() + action.encode() + rest for level, action, rest in made), rule_set)


@given(submissions(), st.sampled_from(SETS))
def test_engine_and_twin_agree_on_damaged_submissions(data: bytes, rule_set: str) -> None:
    found = judged(data, rule_set)
    records = data.removesuffix(b"\n").split(b"\n") if data else []
    expected, outcome = nibrs_twin.whole(records, rule_set=rule_set, today=TODAY)
    assert as_found(found) == expected
    ours = as_outcome(found)
    assert (ours.accepted, ours.rates) == (outcome.accepted, outcome.rates)
    assert (ours.status, ours.codes) == (outcome.status, outcome.codes)
    if data.isascii() and b"\0" not in data and b"\t" not in data:  # what else there is becomes a question mark
        assert ours.error_data_set == outcome.error_data_set
    check(data, rule_set)


@given(submissions())
def test_chunks_do_not_show(data: bytes) -> None:
    whole = judged(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submission, "_RECORDS_A_CHUNK", 3)
        parts = judged(data)
    assert as_found(whole) == as_found(parts)
    assert whole.status.codes.tolist() == parts.status.codes.tolist()


@given(submissions())
def test_lf_and_crlf_and_rows_with_their_ends_are_the_same(data: bytes) -> None:
    plain = data.replace(b"\r\n", b"\n")
    assert as_found(judged(plain)) == as_found(judged(plain.replace(b"\n", b"\r\n")))


@given(submissions(), st.lists(st.sampled_from([101, 204, 301, 401, 404, 465, 601, 75, 178]), max_size=4))
def test_a_rule_switched_off_takes_its_findings_and_no_others(data: bytes, rules: list[int]) -> None:
    kept = [found for found in as_found(judged(data)) if found[2] not in rules]
    assert as_found(judged(data, without=frozenset(rules))) == kept
