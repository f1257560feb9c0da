"""Advisories: a fix is shown or it is not, a better machine is never worse off, and a signed file has one reading."""

import dataclasses
import functools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation.appraisal.advisories import (
    PRODUCT_OF,
    SETTLED,
    SHIPPED,
    Acceptance,
    Advisory,
    AdvisoryFinding,
    Fix,
    Shown,
    accepted,
    evaluate,
    read_acceptance,
    read_table,
    sign_acceptance,
)
from cji_attestation.appraisal.advisories.cve import read_cve
from cji_attestation.evidence import Tcb
from cji_simulator.operator import MACHINES, operator

KEYS = (operator().key.public_key(),)
STEPPINGS = st.sampled_from(sorted(PRODUCT_OF))
LEVELS = st.integers(0, 255)
TCBS = st.builds(Tcb, bootloader=LEVELS, tee=LEVELS, snp=LEVELS, microcode=LEVELS)
COMPONENTS = st.sampled_from(["bootloader", "tee", "snp", "microcode"])
FIXES = st.builds(
    Fix,
    levels=st.dictionaries(COMPONENTS, st.integers(1, 255), min_size=1),
    mitigation_bit=st.none() | st.integers(0, 63),
    alias_check=st.booleans(),
)


@st.composite
def machines(draw: st.DrawFn) -> Shown:
    stepping = draw(STEPPINGS)
    return Shown(
        product=PRODUCT_OF[stepping],
        stepping=draw(st.sampled_from([stepping, None])),
        tcbs=tuple(draw(st.lists(TCBS, min_size=3, max_size=3))),
        mitigations=draw(st.none() | st.integers(0, (1 << 64) - 1)),
        alias_check=draw(st.none() | st.booleans()),
        smt=draw(st.booleans()),
        version=draw(st.sampled_from([2, 3, 5])),
    )


def one(fix: Fix, stepping: Any) -> Advisory:
    return Advisory(
        id="A",
        title="t",
        visibility="fixed",
        affects=(PRODUCT_OF[stepping],),
        fixes={stepping: fix},
        source="s",
        read=date(2026, 1, 1),
        confidence="primary",
    )


@given(machines(), FIXES, STEPPINGS)
def test_fixed_is_what_a_report_shows_and_nothing_else(shown: Shown, fix: Fix, stepping: Any) -> None:
    (found,) = evaluate([one(fix, stepping)], shown)
    met = (
        shown.stepping == stepping
        and all(dataclasses.asdict(tcb)[name] >= fix.levels[name] for tcb in shown.tcbs if tcb for name in fix.levels)
        and (fix.mitigation_bit is None or bool((shown.mitigations or 0) >> fix.mitigation_bit & 1))
        and (not fix.alias_check or shown.alias_check is True)
    )
    assert (found.state == "fixed") == met
    assert (found.state == "not affected") == (shown.product != PRODUCT_OF[stepping])


@given(machines(), st.data())
def test_a_higher_level_opens_nothing(shown: Shown, data: st.DataObject) -> None:
    more = data.draw(st.integers(0, 255))
    raised = tuple(
        None if tcb is None else Tcb(**{name: min(255, had + more) for name, had in dataclasses.asdict(tcb).items()})
        for tcb in shown.tcbs
    )
    before = {one.id: one.state for one in evaluate(SHIPPED.rows, shown)}
    after = {one.id: one.state for one in evaluate(SHIPPED.rows, dataclasses.replace(shown, tcbs=raised))}
    assert {name for name, state in after.items() if state == "open"} <= {
        name for name, state in before.items() if state == "open"
    }


@given(
    st.lists(st.sampled_from(["A", "B", "C"]), min_size=1, unique=True),
    st.lists(st.sampled_from(MACHINES), min_size=1, unique=True),
    st.integers(-3, 3),
    st.integers(0, 3),
    st.sampled_from(MACHINES),
)
def test_only_what_is_named_is_accepted(ids: list[str], kinds: Any, begins: int, days: int, machine: Any) -> None:
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    since = now.date() + timedelta(days=begins)
    decision = Acceptance(
        version=1,
        id="d",
        machines=tuple(kinds),
        advisories=tuple(ids),
        since=since,
        until=since + timedelta(days=days),
        reason="r",
        decided_by="p",
    )
    assert read_acceptance(sign_acceptance(decision, operator().key), KEYS) == decision
    findings = [AdvisoryFinding(name, state, "") for name in "ABC" for state in ("open", "fixed")]
    for found in accepted(findings, (decision,), machine, now):
        covers = found.id in ids and machine in kinds and begins <= 0 <= begins + days
        assert bool(found.accepted_by) == (covers and found.state not in SETTLED)


@functools.cache
def signed() -> tuple[bytes, bytes]:
    return operator().table(), operator().acceptance()


@given(st.data())
def test_no_other_bytes_are_the_signed_ones(data: st.DataObject) -> None:
    number, read = data.draw(st.sampled_from([(0, read_table), (1, read_acceptance)]))
    whole = bytearray(signed()[number])
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    if bytes(whole).rstrip(b"\n") != signed()[number]:
        with pytest.raises(ValueError, match=r"."):
            read(bytes(whole), KEYS)


@given(st.binary(max_size=400) | st.recursive(st.none() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_readers_have_one_kind_of_refusal(value: Any) -> None:
    data = value if isinstance(value, bytes) else msgspec.json.encode(value)
    for read in (lambda: read_table(data, KEYS), lambda: read_acceptance(data, KEYS), lambda: read_cve(data)):
        with pytest.raises(ValueError, match=r"."):
            read()
