"""Policy reports every failure at once, with what was found and expected; authenticity ends at its first failure."""

from datetime import timedelta
from typing import Any

import pytest

from cji_attestation import AttestationError, Fault
from cji_attestation.appraisal import ReferenceValues, TcbFloor
from cji_attestation.appraisal.policy import levels_above
from cji_attestation.checks import Failure, requirement
from cji_attestation.evidence import Evidence, parse_snp_report
from cji_simulator.operator import operator
from tests.support.evidence import allowing, with_report
from tests.support.forge import QUALIFYING, decided, machine, patched, patched_evidence, quote_structure
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel


def refused(evidence: Evidence, **kw: Any) -> AttestationError:
    with rejected() as caught:
        machine().appraise(evidence, **kw)
    return caught.value


def expired_table() -> bytes:
    today = machine().now.date()
    return operator().table(reviewed=today + timedelta(days=1), expires=today + timedelta(days=9))


def test_all_policy_failures_are_reported_together() -> None:
    floor = TcbFloor(bootloader=11, tee=0, snp=0, microcode=0)
    reference = decided(
        products=("Turin",),
        floors={"Turin": floor, "Genoa": floor},
        advisories=expired_table(),
        acceptances=(operator().acceptance("AMD-SB-3016"), b"unsigned"),
        measurements=("ab" * 48,),
        pcrs={4: ("11" * 32,), 7: ("22" * 32, "33" * 32)},
    )
    error = refused(machine().evidence(), reference=reference)
    assert (error.fault, error.check) == (Fault.POLICY_MISMATCH, "E45")
    found = {failure.id: failure for failure in error.failures}
    assert list(found) == ["E45", "E31", "E08", "E11", "E12", "E32", "E19"]
    assert (found["E08"].found, found["E08"].expected) == ("product Genoa", "Turin")
    assert found["E11"].expected == "ab" * 48
    assert found["E12"].found.count("bootloader 10,") == 3
    assert "at least bootloader 11," in found["E12"].expected
    assert found["E32"].found.startswith("AMD-SB-3030 cannot be shown (no level is known for Genoa): no acceptance")
    assert found["E19"].found == f"PCR 4 is {machine().pcrs[4].hex()}; PCR 7 is {machine().pcrs[7].hex()}"
    assert found["E19"].expected == f"PCR 4 is {'11' * 32}; PCR 7 is {'22' * 32} or {'33' * 32}"


def test_a_refusal_by_policy_has_what_passed_before() -> None:
    error = refused(machine().evidence(), reference=decided(products=("Turin",)))
    sound = machine().appraise(machine().evidence())
    assert [failure.id for failure in error.failures] == ["E08"]
    assert error.passed == tuple(check for check in sound.checks if check.id != "E08")


def test_tdx_reports_status_evaluation_and_advisories_together() -> None:
    collateral = intel().collateral(status="OutOfDate", advisories=["INTEL-SA-01036"])
    error = refused(
        intel().evidence(machine(), collateral=collateral),
        trust=intel().trust,
        reference=decided(tcb_evaluation=99),
    )
    assert {failure.id: (failure.found, failure.expected) for failure in error.failures if failure.id != "E32"} == {
        "E29": ("TCB status OutOfDate INTEL-SA-01036", "UpToDate"),
        "E30": ("TCB evaluation 18", "at least 99"),
    }
    assert (
        error.failures[-1].found
        == "INTEL-SA-01036 open (named by Intel beside TCB status OutOfDate): no acceptance names it"
    )


def test_a_product_without_a_floor_is_no_pass() -> None:
    floor = TcbFloor(bootloader=0, tee=0, snp=0, microcode=0)
    error = refused(machine().evidence(), reference=decided(products=("Turin",), floors={"Turin": floor}))
    assert [failure.id for failure in error.failures] == ["E08", "E12"]


def test_levels_of_an_unknown_kind_are_above_no_floor() -> None:
    raw = machine().report(machine().claims())
    assert levels_above(parse_snp_report(raw), ReferenceValues()) == ("snp 27 > 23", "microcode 88 > 84")
    for at, value in ((0x182, b"\x01"), (0x18A, b"\x09"), (0x189, b"\x20")):
        assert levels_above(parse_snp_report(patched(raw, at, value)), ReferenceValues()) == ()


def test_debug_and_migration_are_named() -> None:
    evidence = machine().evidence(report=machine().report(machine().claims(), policy=0x3001F | 3 << 18))
    weak, other = refused(evidence).failures
    assert weak.found == "policy bits migrate-ma, debug"
    assert (other.id, other.found) == ("E42", f"policy {0x3001F | 3 << 18}")


def test_authenticity_ends_at_the_first_failure() -> None:
    evidence = machine().evidence(quote=quote_structure(machine().pcrs, extra=b"x" * 32), pcrs=(b"\x22" * 32,) * 8)
    error = refused(evidence, reference=decided(products=("Turin",)))
    assert (error.fault, error.check, len(error.failures)) == (Fault.EVIDENCE_INVALID, "E16", 1)
    assert [check.id for check in error.passed][-2:] == ["E14", "E15"]


def test_a_wrong_nonce_has_its_own_words() -> None:
    error = refused(machine().evidence(), expected_qualifying_data=b"x" * 32)
    assert error.failures == (Failure("E16", f"quote for {QUALIFYING.hex()}", f"quote for {(b'x' * 32).hex()}"),)
    assert "fresh nonce" in error.remedy
    assert "eboot" not in error.remedy


def test_a_vlek_is_called_a_vlek() -> None:
    error = refused(patched_evidence(0x48, (1 << 2).to_bytes(4, "little")))
    assert error.failures == (Failure("E37", "signed by VLEK", "signed by VCEK"),)
    assert "VLEK" in error.remedy
    masked = refused(patched_evidence(0x48, (1 << 1).to_bytes(4, "little")))
    assert masked.failures[0].found == "the chip id is masked"


def test_a_weak_guest_policy_expects_what_the_check_requires() -> None:
    policy = 0x3001F | 1 << 19
    error = refused(with_report(policy=policy), reference=allowing(policies=(policy,)))
    assert error.failures == (Failure("E09", "policy bits debug", requirement("E09")),)


def test_certificates_in_the_wrong_order_are_named() -> None:
    from cji_simulator.certificates import pem

    vcek, ask, ark = (pem(one) for one in machine().chip.vcek.chain)
    error = refused(machine().evidence(certs=vcek + ark + ask))
    assert error.failures == (Failure("E39", "VCEK, ARK, ASK", "VCEK, ASK, ARK"),)
    assert "order" in error.remedy


@pytest.mark.parametrize("days", [31, -2])
def test_a_time_outside_validity_has_its_own_words(days: int) -> None:
    when = machine().now + timedelta(days=days)
    error = refused(machine().evidence(), now=when)
    (failure,) = error.failures
    assert failure.id == "E38"
    assert "valid from" in failure.found
    assert failure.expected == f"valid at {when}"
    assert error.remedy.startswith("Check the clock")


def test_texts_for_callers_hold_no_found_value() -> None:
    error = refused(machine().evidence(), reference=decided(pcrs={4: ("11" * 32,)}))
    assert machine().pcrs[4].hex() in error.failures[0].found
    assert machine().pcrs[4].hex() not in str(error)
    assert machine().pcrs[4].hex() not in repr(error)
