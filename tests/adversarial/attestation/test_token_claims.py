"""Claims of a token that must not be accepted (T07 to T17): one test a pitfall, its id in the name."""

import base64
import functools
import json
from collections.abc import Callable

import pytest

from cji_attestation.appraisal import Verdict
from cji_attestation.appraisal.reference import TcbStatus
from cji_attestation.evidence import Evidence, maa_nonce, parse_hcl
from cji_core.strict import b64url
from cji_simulator.encoding import rsa_jwk
from tests.support.evidence import allowing
from tests.support.forge import (
    POLICY_HASH,
    QUALIFYING,
    decided,
    machine,
)
from tests.support.tdx_forge import intel
from tests.support.tokens import Change, Claims, changed, claims, judged, refused, verify


def tee(out: Claims) -> Claims:
    inner: Claims = out["x-ms-isolation-tee"]
    return inner


def test_a07_schema_is_chosen_at_the_top() -> None:
    changed(lambda out: out.update({"x-ms-attestation-type": "sevsnpvm"}), "T07")
    changed(lambda out: out.pop("x-ms-attestation-type"), "T07")
    changed(lambda out: out.pop("x-ms-isolation-tee"), "T08")
    changed(lambda out: out.update({"x-ms-isolation-tee": []}), "T08")
    changed(lambda out: out.update(out.pop("x-ms-isolation-tee")), "T07")
    changed(lambda out: tee(out).update({"x-ms-attestation-type": "tdxvm"}), "T08")


@pytest.mark.parametrize("value", [None, "azure-compliant-uvm", "AZURE-COMPLIANT-CVM", True])
def test_a08_compliance_is_read_at_its_own_level(value: object) -> None:
    good = {"x-ms-compliance-status": "azure-compliant-cvm"}

    def change(out: Claims) -> None:
        tee(out)["x-ms-compliance-status"] = value
        out.update(good)
        out["x-ms-runtime"]["client-payload"].update(good)

    changed(change, "T09")


def test_a08_vmid_of_the_host_is_only_data() -> None:
    assert verify(machine().token(claims(lambda out: out.update({"x-ms-azurevm-vmid": "anything"}))))
    other = "DEAA4F4C-FBF3-439B-8DEE-4875D5140984"
    changed(lambda out: tee(out)["x-ms-runtime"]["vm-configuration"].update(vmUniqueId=other), "T15")


@pytest.mark.parametrize("name", ["bootdebug", "kerneldebug", "hypervisordebug", "testsigning", "flightsigning"])
@pytest.mark.parametrize("value", [True, None, "false", 0])
def test_a09_boot_flags(name: str, value: object) -> None:
    changed(lambda out: out.update({f"x-ms-azurevm-{name}-enabled": value}), "T11")


@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_a09_secure_boot(value: object) -> None:
    changed(lambda out: out.update(secureboot=value), "T11")


@pytest.mark.parametrize("name", ["is-debuggable", "migration-allowed"])
@pytest.mark.parametrize("value", [True, None, "false", 0])
def test_a09_a10_hardware_flags(name: str, value: object) -> None:
    changed(lambda out: tee(out).update({f"x-ms-sevsnpvm-{name}": value}), "T10")


@pytest.mark.parametrize("value", [1, 2, 3, "0", None, False, 0.0])
def test_a11_vmpl(value: object) -> None:
    changed(lambda out: tee(out).update({"x-ms-sevsnpvm-vmpl": value}), "T10")


def test_a17_another_ak() -> None:
    other = rsa_jwk(machine().ek.public_key())
    changed(lambda out: tee(out)["x-ms-runtime"]["keys"][0].update(other), "T14")
    changed(lambda out: tee(out)["x-ms-runtime"]["keys"].append(tee(out)["x-ms-runtime"]["keys"][0]), "T14")
    changed(lambda out: tee(out)["x-ms-runtime"].update(keys=[]), "T14")


def _runtime_keys(out: Claims) -> list[Claims]:
    keys: list[Claims] = out["x-ms-runtime"]["keys"]
    return keys


@pytest.mark.parametrize(
    "change",
    [
        lambda keys, other: keys.insert(0, other | {"key_ops": ["encrypt"]}),
        lambda keys, other: keys.append(other | {"key_ops": ["encrypt"]}),
        lambda keys, other: keys.append(other | {"use": "enc"}),
        lambda keys, other: keys.insert(0, other | {"key_use": "enc"}),
        lambda keys, other: keys[0].update(other),
        lambda keys, other: keys[0].update(key_ops=["sign"]),
        lambda keys, other: keys.clear(),
    ],
)
def test_a19_our_key_is_the_one_that_key_vault_would_take(change: Callable[[list[Claims], Claims], object]) -> None:
    other = {"kid": "x", **rsa_jwk(machine().ek.public_key())}
    changed(lambda out: change(_runtime_keys(out), other), "T13")


def test_a20_policy_hash() -> None:
    raw = machine().token(claims())
    verify(raw, reference=decided(maa_policy_hashes=(POLICY_HASH,)))
    refused(raw, "T16", reference=decided(maa_policy_hashes=("9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco",)))
    changed(lambda out: out.pop("x-ms-policy-hash"), "T16")


@pytest.mark.parametrize(
    "change",
    [
        lambda out: out["x-ms-runtime"]["client-payload"].pop("nonce"),
        lambda out: out["x-ms-runtime"].pop("client-payload"),
        lambda out: out.pop("x-ms-runtime"),
        lambda out: out["x-ms-runtime"].update(nonce=out["x-ms-runtime"]["client-payload"].pop("nonce")),
        lambda out: out.update(nonce=out["x-ms-runtime"]["client-payload"].pop("nonce")),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce=""),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce=maa_nonce(QUALIFYING)),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce=b64url(maa_nonce(QUALIFYING).encode())[:-1]),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce=[]),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce="é"),
    ],
)
def test_f02_nonce_is_required_at_its_path(change: Change) -> None:
    changed(change, "T12")


def test_f02_another_nonce() -> None:
    refused(machine().token(claims()), "T12", nonce=maa_nonce(bytes(32)))
    refused(machine().token(claims()), "T12", nonce="")


FACTS = (
    "launchmeasurement reportdata idkeydigest authorkeydigest familyId imageId hostdata reportid "
    "guestsvn bootloader-svn tee-svn snpfw-svn microcode-svn smt-allowed"
)


RECENT = "chipid chip-family cxl-allowed mem-aes256-xts-required page-swap-disabled singlesocket"


def other(value: object) -> list[object]:
    """Values that are wrong beside `value`: another one, and what a loose comparison would take for it."""
    if isinstance(value, bool):
        return [not value, int(value), str(value).lower(), None]
    if isinstance(value, int):
        return [value + 1, float(value), str(value), None, *([bool(value)] if value in {0, 1} else [])]
    text = str(value)
    return [f"{text[:-1]}{'1' if text[-1] != '1' else '0'}", text[:-2], text.upper() + "A", "", [text], None]


@pytest.mark.parametrize("name", FACTS.split())
def test_n09_both_verdicts_agree(name: str) -> None:
    claim = f"x-ms-sevsnpvm-{name}"
    for wrong in other(tee(claims())[claim]):
        changed(lambda out, wrong=wrong: tee(out).update({claim: wrong}), "T15")  # type: ignore[misc]
    changed(lambda out: tee(out).pop(claim), "T15")


@pytest.mark.parametrize("name", RECENT.split())
def test_n09_claims_of_2026_may_be_absent_and_not_wrong(name: str) -> None:
    claim = f"x-ms-sevsnpvm-{name}"
    assert verify(machine().token(claims(lambda out: tee(out).pop(claim))))
    for wrong in other(tee(claims())[claim]):
        changed(lambda out, wrong=wrong: tee(out).update({claim: wrong}), "T15")  # type: ignore[misc]


POLICY = {16: "smt-allowed", 20: "singlesocket", 21: "cxl-allowed", 22: "mem-aes256-xts-required"}


@pytest.mark.parametrize(("bit", "name"), [*POLICY.items(), (25, "page-swap-disabled")])
def test_n09_policy_bits_are_those_of_the_report(bit: int, name: str) -> None:
    evidence, policy = judged()[0], 0x3001F ^ 1 << bit
    evidence = machine().evidence(report=machine().report(machine().claims(), policy=policy))
    verdict, claim = machine().appraise(evidence, reference=allowing(policies=(policy,))), f"x-ms-sevsnpvm-{name}"
    token = machine().token_claims(evidence)
    refused(machine().token(token), "T15", verdict=verdict)
    tee(token)[claim] = bool(policy >> bit & 1)
    assert verify(machine().token(token), verdict=verdict)


def test_vm_id_is_case_sensitive() -> None:
    unique = judged()[1].vm_unique_id
    assert unique != unique.lower()
    changed(lambda out: tee(out)["x-ms-runtime"]["vm-configuration"].update(vmUniqueId=unique.lower()), "T15")
    changed(lambda out: tee(out)["x-ms-runtime"]["vm-configuration"].pop("vmUniqueId"), "T15")


@functools.cache
def judged_td(status: TcbStatus = "UpToDate") -> tuple[Evidence, Verdict]:
    collateral = intel().collateral(status=status)
    evidence = intel().evidence(machine(), collateral=collateral)
    verdict = machine().appraise(evidence, trust=intel().trust, reference=decided(tcb_statuses=("UpToDate", status)))
    return evidence, verdict


def td_token(*changes: Change, evidence: Evidence | None = None) -> str:
    """After a real token of a DC4es_v6 of October 2026, put where AzureGuest tokens have it."""
    hcl = parse_hcl((evidence or judged_td()[0]).hcl_report)
    zero = "00" * 48
    off = "debug hgs_plus_prof icssd key_locker migratable perf_prof perfmon pmt_prof protection_keys"
    said = {
        "attester_tcb_status": "UpToDate",
        "dbgstat": "disabled",
        "eat_profile": "https://aka.ms/maa-eat-profile-tdxvm",
        "intuse": "generic",
        **{f"tdx_{name}": zero for name in ("mrconfigid", "mrowner", "mrownerconfig", "mrsignerseam")},
        **{f"tdx_rtmr{n}": zero for n in range(4)},
        "tdx_mrseam": hcl.hardware[280:328].hex(),
        "tdx_mrtd": b"t".hex() * 48,
        "tdx_report_data": hcl.report_data.hex(),
        "tdx_seam_attributes": "0000000000000000",
        "tdx_seamsvn": 269,
        "tdx_td_attributes": "0000001000000000",
        **{f"tdx_td_attributes_{name}": False for name in off.split()},
        "tdx_td_attributes_septve_disable": True,
        "tdx_tee_tcb_svn": "0d010400000000000000000000000000",
        "tdx_xfam": "e718060000000000",
        "tdx_xfam_cet_s": True,
        "tdx_xfam_cet_u": True,
        "x-ms-attestation-type": "tdxvm",
        "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-runtime": json.loads(hcl.claims_bytes),
    }
    return machine().token(claims(lambda out: out.update({"x-ms-isolation-tee": said}), *changes))


TD_FACTS = (
    "mrconfigid mrowner mrownerconfig mrseam mrsignerseam mrtd report_data rtmr0 rtmr1 rtmr2 rtmr3 seam_attributes "
    "seamsvn td_attributes tee_tcb_svn xfam td_attributes_key_locker td_attributes_perfmon "
    "td_attributes_protection_keys td_attributes_septve_disable"
)


TD_RECENT = (
    "td_attributes_hgs_plus_prof td_attributes_icssd td_attributes_perf_prof td_attributes_pmt_prof "
    "xfam_cet_s xfam_cet_u"
)


def td_claims(token: str) -> Claims:
    payload = token.split(".")[1]
    found: Claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return tee(found)


def test_tdx_claims_are_read_by_their_own_names() -> None:
    assert verify(td_token(), verdict=judged_td()[1])
    refused(td_token(), "T08")
    refused(machine().token(claims()), "T08", verdict=judged_td()[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tdx_td_attributes_debug", True),
        ("tdx_td_attributes_debug", None),
        ("tdx_td_attributes_migratable", True),
        ("tdx_td_attributes_migratable", None),
        ("dbgstat", "enabled"),
        ("attester_tcb_status", "OutOfDate"),
        ("attester_tcb_status", None),
    ],
)
def test_a09_a10_hardware_flags_of_tdx(name: str, value: object) -> None:
    refused(td_token(lambda out: tee(out).update({name: value})), "T10", verdict=judged_td()[1])


@pytest.mark.parametrize("name", ["tdx_td_attributes_debug", "dbgstat", "attester_tcb_status"])
def test_a09_hardware_flags_of_tdx_are_required(name: str) -> None:
    refused(td_token(lambda out: tee(out).pop(name)), "T10", verdict=judged_td()[1])


def test_a13_the_tcb_status_is_the_one_that_we_found() -> None:
    evidence, verdict = judged_td("SWHardeningNeeded")
    same = {"attester_tcb_status": "SWHardeningNeeded"}
    assert verify(td_token(lambda out: tee(out).update(same), evidence=evidence), verdict=verdict)
    refused(td_token(evidence=evidence), "T10", verdict=verdict)


@pytest.mark.parametrize("name", TD_FACTS.split())
def test_n09_both_verdicts_agree_on_a_trust_domain(name: str) -> None:
    claim, verdict = f"tdx_{name}", judged_td()[1]
    for wrong in other(td_claims(td_token())[claim]):
        refused(td_token(lambda out, wrong=wrong: tee(out).update({claim: wrong})), "T15", verdict=verdict)  # type: ignore[misc]
    refused(td_token(lambda out: tee(out).pop(claim)), "T15", verdict=verdict)


@pytest.mark.parametrize("name", TD_RECENT.split())
def test_n09_tdx_claims_of_2026_may_be_absent_and_not_wrong(name: str) -> None:
    claim, verdict = f"tdx_{name}", judged_td()[1]
    assert verify(td_token(lambda out: tee(out).pop(claim)), verdict=verdict)
    for wrong in other(td_claims(td_token())[claim]):
        refused(td_token(lambda out, wrong=wrong: tee(out).update({claim: wrong})), "T15", verdict=verdict)  # type: ignore[misc]


def test_a_tdx_token_of_2023_names_fewer_attributes() -> None:
    def older(out: Claims) -> None:
        for name in (*TD_RECENT.split(), "td_attributes_migratable"):
            del tee(out)[f"tdx_{name}"]

    assert verify(td_token(older), verdict=judged_td()[1])


@pytest.mark.parametrize("keys", [None, {}, "keys", ["key"], [None]])
def test_a19_keys_of_other_kinds(keys: object) -> None:
    changed(lambda out: out["x-ms-runtime"].update(keys=keys), "T13")


@pytest.mark.parametrize("pcrs", [None, 255, "01234567", {}, [], [0, 1, 2, 3, 4, 5, 6], [*range(7), 7.0], [*range(9)]])
def test_a16_attested_pcrs_are_those_of_the_platform(pcrs: object) -> None:
    changed(lambda out: out.update({"x-ms-azurevm-attested-pcrs": pcrs}), "T17")


def test_a16_values_of_attested_pcrs() -> None:
    changed(lambda out: out["x-ms-azurevm-attested-pcr-values"].update(pcr7="AAAA"), "T17")
    older = claims(lambda out: out.pop("x-ms-azurevm-attested-pcr-values"))
    assert verify(machine().token(older))
