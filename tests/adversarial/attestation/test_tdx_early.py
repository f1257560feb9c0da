"""What Intel has disclosed and not yet made the standard, ids beside UpToDate, and physical attacks, on TDX."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cji_attestation import Fault
from cji_attestation.appraisal import ReferenceValues, Verdict, check_reference
from cji_attestation.appraisal.advisories import SHIPPED
from cji_attestation.checks import Skipped
from cji_attestation.evidence import Evidence, TdCollateral, TdStatements
from cji_attestation.evidence.td_quote import parse_td_quote
from cji_simulator.operator import operator
from tests.support.forge import decided, machine
from tests.support.refusals import rejected
from tests.support.tdx_forge import Intel, intel, raw_signature

PHYSICAL = ("INTEL-2025-10-28-001", "INTEL-2026-08-11-001", "WireTap")
DISCLOSED = ("INTEL-SA-01397", "INTEL-SA-01400")
SHORT = ("SGX component 1: 4 < 5", "TDX component 3: 4 < 5")


def evidence(*, of: Intel | None = None, **said: Any) -> Evidence:
    maker = of or intel()
    return intel().evidence(machine(), collateral=maker.collateral(**said))


def appraise(found: Evidence, **values: Any) -> Verdict:
    return machine().appraise(found, trust=intel().trust, reference=decided(**values))


def early_of(collateral: TdCollateral) -> TdStatements:
    assert isinstance(collateral.early, TdStatements)
    return collateral.early


def with_early(**changes: Any) -> Evidence:
    """Sound evidence whose early statements are changed."""
    collateral = intel().collateral()
    early = msgspec.structs.replace(early_of(collateral), **changes)
    return intel().evidence(machine(), collateral=msgspec.structs.replace(collateral, early=early))


def states(verdict: Verdict) -> dict[str, str]:
    return {one.id: one.state for one in verdict.findings}


def test_what_is_open_only_early_is_shown_and_not_refused() -> None:
    verdict = appraise(evidence(early_advisories=DISCLOSED))
    assert verdict.tcb_status == "UpToDate"
    assert [one.id for one in verdict.early] == list(DISCLOSED)
    assert set(DISCLOSED).isdisjoint(verdict.accepted)
    (found,) = {one.detail for one in verdict.early}
    assert found == (f"early TCB status OutOfDate {' '.join(DISCLOSED)} at evaluation 19; short: {', '.join(SHORT)}")
    assert ("E55", found) in verdict.checks
    assert verdict.early == tuple(one for one in verdict.findings if one.state == "early")


def test_a_machine_that_is_up_to_date_in_both() -> None:
    verdict = appraise(evidence())
    assert verdict.early == ()
    assert ("E55", "early TCB status UpToDate at evaluation 18") in verdict.checks


def test_early_decides_where_it_is_required() -> None:
    found = evidence(early_advisories=DISCLOSED)
    with rejected("E55", fault=Fault.POLICY_MISMATCH) as caught:
        appraise(found, tcb="early")
    assert [one.id for one in caught.value.failures] == ["E55", "E32"]
    assert "short: SGX component 1: 4 < 5" in caught.value.failures[0].found
    statuses = ("UpToDate", "OutOfDate")
    with rejected("E32", fault=Fault.POLICY_MISMATCH):
        appraise(found, tcb="early", tcb_statuses=statuses)
    signed = operator().acceptance(*DISCLOSED, *(row.id for row in SHIPPED.rows), machines=("TDX",))
    verdict = appraise(found, tcb="early", tcb_statuses=statuses, acceptances=(signed,))
    assert set(DISCLOSED) <= set(verdict.accepted)
    assert verdict.early == ()
    assert appraise(evidence(), tcb="early")


def test_evidence_without_early_statements() -> None:
    """Other collectors have none; then nothing is known about what was disclosed."""
    collateral = msgspec.structs.replace(intel().collateral(), early=msgspec.UNSET)
    bare = intel().evidence(machine(), collateral=collateral)
    assert b"early" not in bare.to_json()
    assert "E55" in {check.id for check in appraise(bare).checks if isinstance(check, Skipped)}
    with rejected("E55", fault=Fault.POLICY_MISMATCH) as caught:
        appraise(bare, tcb="early")
    assert caught.value.failures[0].found == "the evidence has no early statements of Intel's"


def test_early_statements_are_authentic_or_refused() -> None:
    """Somebody who cannot sign for Intel cannot hide what it disclosed, nor what is older behind what is newer."""
    maker = intel()
    text = early_of(maker.collateral(early_advisories=DISCLOSED)).tcb_info
    for changes, found in (
        ({"tcb_info": text}, "early TCB info that Intel SGX TCB Signing did not sign"),
        ({"tcb_info_signature": bytes(63)}, "a signature of 63 bytes on the early TCB info"),
        ({"qe_identity_issuer_chain": ""}, ""),
    ):
        with rejected("E28") as caught:
            appraise(with_early(**changes))
        assert caught.value.failures[0].found == found or not found
    other = intel().collateral(fmspc=b"\x02" * 6).early
    with rejected("E28") as caught:
        appraise(intel().evidence(machine(), collateral=msgspec.structs.replace(maker.collateral(), early=other)))
    assert caught.value.failures[0].found == "TCB info of FMSPC 020202020202"
    older = intel().collateral(evaluation=17).early
    with rejected("E28") as caught:
        appraise(intel().evidence(machine(), collateral=msgspec.structs.replace(maker.collateral(), early=older)))
    assert caught.value.failures[0].found == "an early tcb_info that is older than the standard one"


def test_statements_on_another_processor_are_named() -> None:
    with rejected("E28") as caught:
        appraise(evidence(fmspc=b"\x02" * 6))
    assert caught.value.failures[0].found == "TCB info of FMSPC 020202020202"


def without_its_level(tcb_info: dict[str, Any]) -> None:
    del tcb_info["tcbLevels"][1:]


def with_its_level_revoked(tcb_info: dict[str, Any]) -> None:
    tcb_info["tcbLevels"][1]["tcbStatus"] = "Revoked"


@pytest.mark.parametrize(
    ("change", "words"), [(without_its_level, "below every level"), (with_its_level_revoked, "Revoked")]
)
def test_a_processor_that_early_levels_refuse(change: Callable[[dict[str, Any]], None], words: str) -> None:
    """The standard accepts it; the early statements list nothing so old, or have revoked its level."""
    collateral = intel().collateral(early_advisories=DISCLOSED)
    cut = msgspec.json.decode(early_of(collateral).tcb_info)
    change(cut)
    text = msgspec.json.encode(cut).decode()
    signed = raw_signature(intel().tcb_key, text.encode())
    early = msgspec.structs.replace(early_of(collateral), tcb_info=text, tcb_info_signature=signed)
    verdict = appraise(intel().evidence(machine(), collateral=msgspec.structs.replace(collateral, early=early)))
    assert states(verdict)["INTEL-TCB-19"] == "early"
    assert f"early TCB status {words} at evaluation 19; short: " in verdict.early[0].detail


def test_ids_beside_up_to_date_are_findings() -> None:
    """A security advisory needs a decision although the level is up to date; a notice is shown."""
    beside = evidence(advisories=("INTEL-SA-01234", "INTEL-DOC-00042"))
    with rejected("E32", fault=Fault.POLICY_MISMATCH) as caught:
        appraise(beside)
    assert "INTEL-SA-01234 open (named by Intel beside TCB status UpToDate)" in caught.value.failures[0].found
    assert "INTEL-DOC" not in caught.value.failures[0].found
    signed = operator().acceptance("INTEL-SA-01234", *(row.id for row in SHIPPED.rows), machines=("TDX",))
    verdict = appraise(beside, acceptances=(signed,))
    assert states(verdict)["INTEL-DOC-00042"] == "informational"
    assert "INTEL-SA-01234" in verdict.accepted
    assert "INTEL-DOC-00042" not in verdict.accepted


def test_a_notice_beside_another_status_is_open() -> None:
    statuses = ("UpToDate", "OutOfDate")
    with rejected("E32", fault=Fault.POLICY_MISMATCH) as caught:
        appraise(evidence(status="OutOfDate", advisories=("INTEL-DOC-00042",)), tcb_statuses=statuses)
    assert "INTEL-DOC-00042 open (named by Intel beside TCB status OutOfDate)" in caught.value.failures[0].found


def test_physical_attacks_need_a_dated_decision_on_tdx() -> None:
    """The machine read "none open" before: the table has rows for trust domains too."""
    sound = evidence()
    rows = {row.id: row for row in SHIPPED.rows}
    assert all(rows[name].visibility == "physical" and rows[name].affects == ("TDX",) for name in PHYSICAL)
    with rejected("E32", fault=Fault.POLICY_MISMATCH) as caught:
        appraise(sound, acceptances=())
    for name in PHYSICAL:
        assert f"{name} open (a physical attack, which no firmware stops)" in caught.value.failures[0].found
    verdict = appraise(sound)
    assert set(PHYSICAL) <= set(verdict.accepted)
    assert not {one.id for one in verdict.findings} & {"AMD-SB-3040", "AMD-SB-3048"}
    snp = machine().appraise(machine().evidence())
    assert not any(one.state == "open" for one in snp.findings if one.id in PHYSICAL)


@pytest.mark.parametrize("value", ["", "Early", "late", None])
def test_the_channel_is_one_of_two(value: Any) -> None:
    check_reference(ReferenceValues(tcb="early"))
    with rejected("reference-tcb", fault=Fault.CONFIG_INVALID):
        check_reference(ReferenceValues(tcb=value))


def test_the_quoting_enclave_s_level_is_read() -> None:
    report = intel().evidence(machine()).hcl_report[32 : 32 + 1024]
    assert parse_td_quote(intel().quote(report)).qe_svn >= 4
