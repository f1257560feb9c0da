"""Intel TDX evidence: sound evidence is accepted, and every part of it that is wrong is refused at its own check."""

import binascii
import dataclasses
import hashlib
import re
import struct
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from cji_attestation import AZURE_US, AttestationError, Fault
from cji_attestation.appraisal import BootImage, ReferenceValues, Verdict, check_reference
from cji_attestation.appraisal.advisories import SHIPPED
from cji_attestation.checks import CATALOGUE
from cji_attestation.evidence import Evidence, parse_td_quote, parse_td_report
from cji_simulator.operator import operator
from tests.support.forge import decided, machine
from tests.support.refusals import rejected
from tests.support.tdx_forge import (
    PPID,
    Intel,
    intel,
    raw_signature,
    td_report,
)

TODAY = machine().now.date()
TDX = ("E13", "E24", "E25", "E26", "E27", "E23", "E28", "E29", "E30", "E55", "E11", "E32")


def appraise(evidence: Evidence, **kw: Any) -> Verdict:
    return machine().appraise(evidence, **({"trust": intel().trust} | kw))


def evidence(**kw: Any) -> Evidence:
    return intel().evidence(machine(), **kw)


def refused(found: Evidence, check: str, fault: Fault = Fault.EVIDENCE_INVALID, **kw: Any) -> None:
    with rejected(check, fault=fault):
        appraise(found, **kw)


def report_of(found: Evidence) -> bytes:
    return found.hcl_report[32 : 32 + 1024]


def test_sound_evidence_of_both_quote_versions() -> None:
    verdict = appraise(evidence())
    assert (verdict.tee, verdict.product, verdict.tcb_status, verdict.vmpl) == ("tdx", "90C06F000000", "UpToDate", None)
    assert (verdict.measurement, verdict.chip_id) == (b"t" * 48, PPID)
    assert dataclasses.asdict(verdict.tcb) == {
        "tdx_module": 13,
        "tdx_module_version": 1,
        "late_microcode": 4,
        "pce": 13,
    }
    assert [check for check, _ in verdict.checks if check in TDX] == list(TDX)
    report = report_of(evidence())
    for kind in (2, 3):
        assert appraise(evidence(td_quote=intel().quote(report, version=5, kind=kind) + bytes(70)))


def test_every_check_is_explained() -> None:
    assert {check.id for check in appraise(evidence()).checks} <= set(CATALOGUE)


def test_a_bundle_without_quote_or_collateral() -> None:
    sound = evidence()
    refused(msgspec.structs.replace(sound, td_quote=b""), "E13")
    refused(msgspec.structs.replace(sound, version=1, collateral=msgspec.UNSET), "E13")


def test_production_and_simulated_intel_refuse_each_other() -> None:
    refused(evidence(), "E23", Fault.UNTRUSTED_ROOT, trust=AZURE_US)
    refused(evidence(), "E23", Fault.UNTRUSTED_ROOT, trust=machine().trust)
    refused(evidence(), "E23", Fault.UNTRUSTED_ROOT, trust=msgspec.structs.replace(intel().trust, intel_roots=()))
    other = Intel(now=machine().now)
    chain = other.collateral().pck_crl_issuer_chain
    refused(
        evidence(collateral=intel().collateral(replaced={"pck_crl_issuer_chain": chain})), "E23", Fault.UNTRUSTED_ROOT
    )
    refused(evidence(collateral=intel().collateral(replaced={"pck_crl_issuer_chain": ""})), "E28")
    refused(evidence(), "E28", now=machine().now + timedelta(days=400))
    refused(evidence(td_quote=other.quote(report_of(evidence()))), "E23", Fault.UNTRUSTED_ROOT)
    mixed = msgspec.structs.replace(other.collateral(), pck_crl_issuer_chain=intel().collateral().pck_crl_issuer_chain)
    refused(evidence(collateral=mixed), "E28")


@pytest.mark.parametrize("at", [1, 3, 4, 32, 80, 192, 256, 264, 400, 512, 528, 960])
def test_broken_report(at: int) -> None:
    sound = evidence()
    raw = bytearray(sound.hcl_report)
    raw[32 + at] ^= 1
    refused(msgspec.structs.replace(sound, hcl_report=bytes(raw)), "E24")


def test_a25_versions_of_reports() -> None:
    """0 and 1 are the TDREPORTs of TDX 1.0 and 1.5; the byte is no part of what is hashed or quoted."""
    sound = evidence()
    for version in (0, 1, 2, 255):
        raw = bytearray(sound.hcl_report)
        raw[32 + 2] = version
        changed = msgspec.structs.replace(sound, hcl_report=bytes(raw))
        if version < 2:
            assert appraise(changed)
        else:
            refused(changed, "E24")


def test_quote_of_another_report() -> None:
    sound = evidence()
    own = report_of(sound)
    data = hashlib.sha256(b"claims of another machine").digest() + bytes(32)
    for other in (
        td_report(data),
        td_report(own[128:192], mrtd=b"u" * 48),
        td_report(own[128:192], attributes=0),
        td_report(own[128:192], tcb_svn=bytes([14, 1, 4]).ljust(16, b"\0")),
    ):
        for version in (4, 5):
            refused(evidence(td_quote=intel().quote(other, version=version)), "E25")
    refused(evidence(td_quote=intel().quote(own, qe_cpu_svn=b"\x05" * 16)), "E25")


def with_signature_data(quote: bytes, size: int) -> bytes:
    """Cut the signature data of a quote of version 4 to `size` bytes, with lengths that say so."""
    data = bytearray(quote[: 636 + size])
    struct.pack_into("<I", data, 632, size)
    struct.pack_into("<I", data, 636 + 130, size - 134)
    return bytes(data)


def test_a25_what_is_no_quote_of_a_trust_domain() -> None:
    sound = intel().quote(report_of(evidence()))
    fifth = bytearray(intel().quote(report_of(evidence()), version=5))
    fifth[48] = 1  # the body of an enclave
    chain_at = sound.index(b"-----BEGIN") - 6
    wrong = {
        "enclave": sound[:4] + bytes(4) + sound[8:],
        "version 3": b"\x03" + sound[1:],
        "version 6": b"\x06" + sound[1:],
        "version 99": b"\x63" + sound[1:],
        "key": sound[:2] + b"\x03" + sound[3:],
        "tail": sound + b"\x01",
        "short": sound[:-1],
        "shorter than it says": sound[:632] + struct.pack("<I", len(sound) - 636 + 1) + sound[636:],
        "certification of another length": sound[: 636 + 130]
        + struct.pack("<I", len(sound) - 636 - 134 - 1)
        + sound[636 + 134 :],
        "certification": sound[: 636 + 128] + b"\x05" + sound[636 + 129 :],
        "body": bytes(fifth),
        "certificates of another kind": sound[:chain_at] + b"\x04" + sound[chain_at + 1 :],
        "shorter certificates": sound[: chain_at + 2] + bytes([sound[chain_at + 2] - 1]) + sound[chain_at + 3 :],
        "no quoting enclave": with_signature_data(sound, 134),
        "half a quoting enclave": with_signature_data(sound, 134 + 300),
        "huge": sound + bytes(16384),
        "nothing": b"\x04",
    }
    for data in wrong.values():
        refused(evidence(td_quote=data), "E25")


@pytest.mark.parametrize("bit", [0, 4, 5, 6, 16, 29, 63, 1])
def test_a09_a10_attributes_that_weaken_the_domain(bit: int) -> None:
    refused(evidence(report={"attributes": 1 << 28 | 1 << bit}), "E26", Fault.POLICY_MISMATCH)


def test_a_module_that_is_not_intels() -> None:
    refused(evidence(report={"seam_signer": b"\x01" + bytes(47)}), "E27", Fault.POLICY_MISMATCH)
    refused(evidence(report={"seam_attributes": b"\x01" + bytes(7)}), "E27", Fault.POLICY_MISMATCH)


def test_time_and_revocation() -> None:
    maker = intel()
    refused(evidence(collateral=maker.collateral(until=maker.now - timedelta(hours=1))), "E28")
    refused(evidence(), "E28", now=maker.now + timedelta(days=21))
    refused(evidence(), "E28", now=maker.now - timedelta(days=2))
    refused(evidence(collateral=maker.collateral(ca_revokes=(maker.pck,))), "E28")
    refused(evidence(collateral=maker.collateral(root_revokes=(maker.ca,))), "E28")
    refused(evidence(collateral=maker.collateral(fmspc=b"\x01" * 6)), "E28")


def test_tcb_status_is_a_list_of_its_own() -> None:
    maker, physical = intel(), [row.id for row in SHIPPED.rows if "TDX" in row.affects]
    old = evidence(collateral=maker.collateral(status="OutOfDate", advisories=("INTEL-SA-01036",)))
    refused(old, "E29", Fault.POLICY_MISMATCH)
    refused(old, "E29", Fault.POLICY_MISMATCH, reference=decided(tcb_statuses=("UpToDate", "SWHardeningNeeded")))
    outdated = decided(tcb_statuses=("UpToDate", "OutOfDate"))
    refused(old, "E32", Fault.POLICY_MISMATCH, reference=outdated)
    for machines, until in ((("Genoa",), TODAY), (("TDX",), TODAY - timedelta(days=1))):
        signed = operator().acceptance(*physical, "INTEL-SA-01036", machines=machines, until=until)
        elsewhere = msgspec.structs.replace(outdated, acceptances=(signed,))
        refused(old, "E32", Fault.POLICY_MISMATCH, reference=elsewhere)
    signed = operator().acceptance(*physical, "INTEL-SA-01036", machines=("TDX",), until=TODAY)
    accepting = msgspec.structs.replace(outdated, acceptances=(signed,))
    verdict = appraise(old, reference=accepting)
    assert (verdict.tcb_status, verdict.advisories) == ("OutOfDate", ("INTEL-SA-01036",))
    assert set(verdict.accepted) == {"INTEL-SA-01036", *physical}
    two = evidence(collateral=maker.collateral(status="OutOfDate", advisories=("INTEL-SA-01036", "INTEL-SA-01111")))
    refused(two, "E32", Fault.POLICY_MISMATCH, reference=accepting)
    assert ("E29", "TCB status OutOfDate INTEL-SA-01036") in verdict.checks
    revoked = evidence(collateral=maker.collateral(status="Revoked"))
    with rejected("E28", "E29"):
        appraise(revoked)


def test_a09_mrtd() -> None:
    known = (b"t" * 48).hex()
    assert ("E11", "measurement among the reference values") in appraise(
        evidence(), reference=decided(measurements=(known,))
    ).checks
    refused(evidence(), "E11", Fault.POLICY_MISMATCH, reference=decided(measurements=("01" * 48,)))
    refused(evidence(report={"mrtd": bytes(48)}), "E11", Fault.POLICY_MISMATCH)


@pytest.mark.parametrize(
    ("svns", "pce_svn"),
    [((4,) * 15 + (3,), 13), ((3, 255, *(4,) * 14), 13), ((4,) * 16, 12)],
    ids=["one component low", "one low and one high", "PCE low"],
)
def test_a12_a13_tcb_of_the_processor_is_compared_by_component(svns: tuple[int, ...], pce_svn: int) -> None:
    maker = intel().with_processor(svns, pce_svn=pce_svn)
    refused(evidence(td_quote=maker.quote(report_of(evidence()))), "E28")
    same = intel().with_processor((4, 255, *(4,) * 14), pce_svn=14)
    assert appraise(evidence(td_quote=same.quote(report_of(evidence())))).tcb_status == "UpToDate"


@pytest.mark.parametrize("svn", [(5, 1, 4), (13, 1, 3), (4, 0, 4), (13, 2, 4)])
def test_a12_a13_tcb_of_module_and_microcode(svn: tuple[int, ...]) -> None:
    """Old module 1.5, old microcode, old module 1.0, a module that Intel does not list."""
    refused(evidence(report={"tcb_svn": bytes(svn).ljust(16, b"\0")}), "E28")


def test_a15_lists_that_no_machine_matches() -> None:
    check_reference(ReferenceValues(boot_images=(BootImage(parts={".linux": "00" * 32}, command_line="ro"),)))
    for field, value in (
        ("tcb_statuses", ()),
        ("tcb_statuses", ("Revoked",)),
        ("tcb_statuses", ("uptodate",)),
        ("measurements", ()),
        ("tcb_evaluation", 0),
        ("tcb_evaluation", -1),
        ("boot_images", ()),
        ("boot_images", (BootImage(parts={}, command_line="ro"),)),
    ):
        with rejected(f"reference-{field}", fault=Fault.CONFIG_INVALID):
            check_reference(ReferenceValues(**{field: value}))  # type: ignore[arg-type]


def test_evaluation_number_is_the_lower_of_both_statements() -> None:
    new, old = intel().collateral(evaluation=19), intel().collateral(evaluation=17)
    mixed = [
        msgspec.structs.replace(new, qe_identity=old.qe_identity, qe_identity_signature=old.qe_identity_signature),
        msgspec.structs.replace(new, tcb_info=old.tcb_info, tcb_info_signature=old.tcb_info_signature),
    ]
    for collateral in mixed:
        refused(evidence(collateral=collateral), "E30", Fault.POLICY_MISMATCH, reference=decided(tcb_evaluation=18))
    for least in (18, 19):
        verdict = appraise(evidence(collateral=new), reference=decided(tcb_evaluation=least))
        assert ("E30", f"TCB evaluation 19, at least {least}") in verdict.checks
    assert ("E30", "TCB evaluation 17, not pinned") in appraise(evidence(collateral=mixed[0])).checks


@pytest.mark.parametrize("number", ["true", "18.0", '"18"', "null"])
def test_evaluation_number_is_a_number(number: str) -> None:
    text = intel().collateral().tcb_info.replace('"tcbEvaluationDataNumber":18', f'"tcbEvaluationDataNumber":{number}')
    signature = raw_signature(intel().tcb_key, text.encode())
    changed = intel().collateral(replaced={"tcb_info": text, "tcb_info_signature": signature})
    refused(evidence(collateral=changed), "E28")


def test_vtpm_checks_hold_for_tdx_too() -> None:
    refused(evidence(), "E16", expected_qualifying_data=b"x" * 32)
    refused(msgspec.structs.replace(evidence(), quote_signature=bytes(256)), "E14")


def test_versions_of_the_bundle_are_strict() -> None:
    sound = evidence()
    assert Evidence.from_json(sound.to_json()) == sound
    assert b"collateral" not in machine().evidence().to_json()
    text = sound.to_json()
    for wrong in (
        text.replace(b'"version":2', b'"version":1'),
        text.replace(b'"version":2', b'"version":3'),
        machine().evidence().to_json().replace(b'"version":1', b'"version":2'),
        text.replace(b'"tee":"tdx"', b'"tee":"snp"'),
        text[:-1] + b',"more":1}',
    ):
        assert wrong != text
        with rejected("evidence-json"):
            Evidence.from_json(wrong)
    with pytest.raises(ValueError, match="belong"):
        msgspec.structs.replace(machine().evidence(), version=2, collateral=sound.collateral)


def _rejected(found: Evidence) -> bool:
    try:
        appraise(found)
    except AttestationError:
        return True
    return False


def _blocks(text: str | bytes) -> list[bytes]:
    """What the blocks of a PEM text encode; none for a block that is not base64."""
    found = re.findall("-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----", str(text))
    try:
        return [binascii.a2b_base64(block) for block in found]
    except binascii.Error:
        return []


def test_every_changed_byte_of_early_collateral_is_refused() -> None:
    """Every seventh of it. All bytes of all else are changed in test_mutants_tdx_bytes."""
    sound = evidence()
    assert sound.collateral is not msgspec.UNSET
    early = sound.collateral.early
    assert early is not msgspec.UNSET
    changed, accepted = 0, list[str]()
    for name, value in msgspec.structs.asdict(early).items():
        for at in range(0, len(value), 7):
            old = value[at]
            if isinstance(value, str):
                if old in "-\n":
                    continue  # PEM's own frame
                wrong: str | bytes = value[:at] + ("B" if old == "A" else "A") + value[at + 1 :]
                if _blocks(wrong) == _blocks(value) != []:
                    continue  # the last character of base64 has bits that mean nothing
            else:
                wrong = value[:at] + bytes([old ^ 0x41]) + value[at + 1 :]
            changed += 1
            part = msgspec.structs.replace(early, **{name: wrong})
            collateral = msgspec.structs.replace(sound.collateral, early=part)
            if not _rejected(msgspec.structs.replace(sound, collateral=collateral)):
                accepted.append(f"{name}[{at}]: {value[max(0, at - 16) : at + 16]!r}")
    assert (changed > 500, accepted) == (True, [])


def test_parsers_read_what_they_should() -> None:
    report = parse_td_report(report_of(evidence()))
    quote = parse_td_quote(evidence().td_quote)
    assert (quote.version, quote.body) == (4, report.body[:584])
    assert struct.unpack("<Q", report.raw[512:520]) == (report.attributes,)
