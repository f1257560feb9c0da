"""Evidence bound to machines: AK certificates, lists of processors, bits of the platform, and values of zeros."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cbor2 import CBORTag
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal import IdKey, MaaEnclave, Mrtd, ReferenceValues, VtpmRoot, check_reference
from cji_attestation.appraisal.advisories.signed import sign_statement
from cji_attestation.appraisal.chips import ChipList, read_chips, sign_chips
from cji_attestation.appraisal.corim import read_corim
from cji_attestation.checks import CATALOGUE, Skipped
from cji_attestation.evidence import Evidence
from cji_attestation.evidence.snp_report import PLATFORM_FLAGS, parse_snp_report
from cji_core.command import build
from cji_deploy.verbs.doctor_azure import deployment_findings
from cji_simulator.operator import operator
from cji_simulator.snp import FAMILY_ID, IMAGE_ID
from tests.support.corim_forge import AMD, INTEL, NOW, corim, intel_triple, measurement, raw, snp_triple
from tests.support.evidence import refused
from tests.support.forge import QUALIFYING, decided, machine, patched_evidence
from tests.support.refusals import rejected
from tests.support.reviews import decided_toml
from tests.support.tdx_forge import PPID, intel

POLICY = Fault.POLICY_MISMATCH
TODAY = machine().now.date()
OTHER = "ab" * 64
ZERO = "00" * 48


def findings(evidence: Evidence, **values: Any) -> dict[str, str]:
    return dict(machine().appraise(evidence, reference=decided(**values)).checks)


# ---------------------------------------------------------------- the AK's certificate


def test_an_ak_certificate_can_be_required() -> None:
    bare = machine().evidence(ak_cert=b"")
    assert findings(bare)["E44"].startswith("no certificate")
    with rejected("E44", fault=POLICY) as caught:
        findings(bare, ak_certificate="required")
    assert caught.value.failures[0].found == "an attestation key without a certificate"
    assert findings(machine().evidence(), ak_certificate="required")["E44"].startswith("AK certified below")
    for wrong in ("", "Required", None):
        with rejected("reference-ak_certificate", fault=Fault.CONFIG_INVALID):
            check_reference(ReferenceValues(ak_certificate=wrong))  # type: ignore[arg-type]


# ---------------------------------------------------------------- processors


def chips_of(*chips: str, key: ec.EllipticCurvePrivateKey | None = None, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "version": 1,
        "id": "rack-7",
        "chips": chips,
        "since": TODAY - timedelta(days=1),
        "until": TODAY + timedelta(days=30),
        "decided_by": "CISO",
    }
    return sign_chips(ChipList(**(values | changes)), key or operator().key)


def own() -> str:
    return machine().chip.chip_id.hex()


def test_a_processor_that_is_not_listed_is_refused() -> None:
    sound = machine().evidence()
    assert findings(sound, chips=chips_of(OTHER, own()))["E56"] == f"processor {own()} on list rack-7"
    with rejected("E56", fault=POLICY) as caught:
        findings(sound, chips=chips_of(OTHER))
    assert caught.value.failures[0][1:] == (f"processor {own()}", "one of 1 on list rack-7")
    unlisted = machine().appraise(sound)
    (check,) = (one for one in unlisted.checks if one.id == "E56")
    assert isinstance(check, Skipped)
    assert check.finding == f"no list of processors; this is {own()}"


def test_a_trust_domain_s_processor_is_its_ppid() -> None:
    evidence, trust = intel().evidence(machine()), intel().trust
    listed = decided(chips=chips_of(PPID.hex()))
    assert machine().appraise(evidence, trust=trust, reference=listed).chip_id == PPID
    refused(evidence, "E56", POLICY, trust=trust, reference=decided(chips=chips_of(own())))


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (lambda: chips_of(own(), key=ec.generate_private_key(ec.SECP384R1())), "signed by no pinned key"),
        (lambda: chips_of(own(), until=TODAY - timedelta(days=1)), "in force from"),
        (lambda: chips_of(own(), since=TODAY + timedelta(days=1)), "in force from"),
        (lambda: operator().acceptance(), "not a signed statement of kind cji-chips"),
        (lambda: chips_of(own())[:-3], "not base64url"),
        (lambda: b"", "not a signed statement of kind cji-chips"),
    ],
)
def test_a_list_that_is_not_in_force_refuses_every_machine(made: Callable[[], bytes], found: str) -> None:
    with rejected("E56", fault=POLICY) as caught:
        findings(machine().evidence(), chips=made())
    assert found in caught.value.failures[0].found


@pytest.mark.parametrize(
    "changes",
    [
        {"chips": ()},
        {"chips": ("00" * 64,)},
        {"chips": ("00" * 16,)},
        {"chips": (OTHER, OTHER)},
        {"chips": (OTHER.upper(),)},
        {"chips": ("ab" * 63,)},
        {"until": TODAY + timedelta(days=400)},
        {"until": TODAY - timedelta(days=2)},
        {"decided_by": " "},
        {"id": "two words"},
    ],
)
def test_lists_that_nobody_can_mean(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not sound"):
        chips_of(OTHER, **changes)
    values: dict[str, Any] = {
        "version": 1, "id": "rack-7", "chips": (OTHER,), "since": TODAY, "until": TODAY, "decided_by": "CISO",
    } | changes  # fmt: skip
    signed = sign_statement("cji-chips", msgspec.json.encode(ChipList(**values)), operator().key)
    with pytest.raises(ValueError, match="not sound"):
        read_chips(signed, (operator().signer,))


def test_a_list_needs_a_pinned_signer() -> None:
    with rejected("reference-advisory_signers", fault=Fault.CONFIG_INVALID):
        check_reference(ReferenceValues(chips=chips_of(OTHER)))


# ---------------------------------------------------------------- bits of the platform


@pytest.mark.parametrize("bit", [8, 9, 31, 32, 63])
def test_a_bit_of_the_platform_without_a_meaning_is_refused(bit: int) -> None:
    plain = parse_snp_report(machine().evidence().hcl_report[32 : 32 + 1184]).platform_info
    refused(patched_evidence(0x40, (plain | 1 << bit).to_bytes(8, "little")), "E36")


def test_bits_of_the_platform_can_be_required_and_forbidden() -> None:
    report = parse_snp_report(machine().evidence().hcl_report[32 : 32 + 1184])
    there = report.platform_flags
    missing = next(one for one in PLATFORM_FLAGS if one not in there)
    assert "smt" in there
    assert findings(machine().evidence())["E57"].endswith(", not compared")
    allowed = findings(machine().evidence(), platform_required=("smt",), platform_forbidden=(missing,))
    assert allowed["E57"] == f"platform {' '.join(there)}"
    for one in ({"platform_required": ("smt",)}, {"platform_forbidden": (missing,)}):
        assert findings(machine().evidence(), **one)["E57"] == allowed["E57"]
    assert findings(patched_evidence(0x40, bytes(8)))["E57"] == "platform without a bit, not compared"
    with rejected("E57", fault=POLICY) as caught:
        findings(machine().evidence(), platform_required=(missing,), platform_forbidden=("smt",))
    assert caught.value.failures[0][1:] == (f"{missing} not set; smt set", f"{missing} and not smt")


def of_domain(flags: dict[int, bool] | None, **values: Any) -> str:
    maker = intel().with_processor(flags=flags)
    appraised = machine().appraise(maker.evidence(machine()), trust=maker.trust, reference=decided(**values))
    return dict(appraised.checks)["E57"]


def test_flags_of_a_trust_domain_s_platform_are_compared() -> None:
    """They are in Intel's certificate of the processor; those that only a report of AMD has are for SNP alone."""
    assert of_domain(None) == "platform dynamic-platform cached-keys smt, not compared"
    assert of_domain(None, platform_required=("ciphertext-hiding",)).endswith(", not compared")
    off = {1: True, 2: False, 3: False}
    wanted: dict[str, Any] = {"platform_required": ("dynamic-platform",), "platform_forbidden": ("smt", "tsme")}
    assert of_domain(off, **wanted) == "platform dynamic-platform"
    with rejected("E57", fault=POLICY) as caught:
        of_domain({1: False, 2: False, 3: True}, **wanted)
    assert caught.value.failures[0][1:] == ("dynamic-platform not set; smt set", "dynamic-platform and not smt")


def test_a_flag_that_a_certificate_does_not_state_is_not_shown() -> None:
    assert of_domain({}) == "platform without a bit, not compared"
    for values in ({"platform_required": ("smt",)}, {"platform_forbidden": ("smt",)}):
        with rejected("E57", fault=POLICY) as caught:
            of_domain({1: True}, **values)
        assert caught.value.failures[0].found == "smt not stated"


@pytest.mark.parametrize(
    "values",
    [
        {"platform_required": ("smt",), "platform_forbidden": ("smt",)},
        {"platform_required": ("smt", "smt")},
        {"platform_forbidden": ("SMT",)},
        {"platform_required": ("unknown",)},
    ],
)
def test_bits_that_no_report_has(values: dict[str, Any]) -> None:
    with rejected("reference-platform", fault=Fault.CONFIG_INVALID):
        check_reference(ReferenceValues(**values))


# ---------------------------------------------------------------- zeros


def id_key(digest: str) -> IdKey:
    return IdKey(
        digest=digest, least_guest_svn={"Genoa": 1}, family_ids=(FAMILY_ID.hex(),), image_ids=(IMAGE_ID.hex(),),
        source="test", seen=date(2026, 11, 1),
    )  # fmt: skip


def replaced(field: str, value: Any) -> ReferenceValues:
    return msgspec.structs.replace(ReferenceValues(), **{field: value})


def test_values_of_zeros_are_refused() -> None:
    """A report without an ID key has a digest of zeros: such an entry would call anybody's firmware Microsoft's."""
    seen: dict[str, Any] = {"source": "test", "seen": date(2026, 11, 1)}
    for field, value in (
        ("id_keys", (id_key(ZERO),)),
        ("mrtds", (Mrtd(digest=ZERO, **seen),)),
        ("measurements", (ZERO,)),
        ("measurements", ("ab" * 48, ZERO)),
        ("vtpm_roots", (VtpmRoot(spki_sha256="00" * 32, **seen),)),
        ("maa_keys", ("00" * 32,)),
        ("maa_enclave", MaaEnclave(measurements=(ZERO,), host_data=("00" * 32,))),
    ):
        with rejected(f"reference-{field}", fault=Fault.CONFIG_INVALID):
            check_reference(replaced(field, value))
    check_reference(ReferenceValues(id_keys=(id_key("ab" * 48),)))


@pytest.mark.parametrize(
    "data",
    [
        lambda: corim(snp_triple({643: measurement(643, raw=raw(bytes(48)))})),
        lambda: corim(snp_triple({641: measurement(641, digests=[[7, bytes(48)]])})),
        lambda: corim(intel_triple({-83: [7, bytes(48)]}), profile=CBORTag(32, INTEL)),
    ],
)
def test_a_corim_of_zeros_is_refused(data: Callable[[], bytes]) -> None:
    with rejected("corim", fault=Fault.CONFIG_INVALID) as caught:
        read_corim(data(), key=None, now=NOW)
    assert "of zeros" in caught.value.failures[0].found or "profile" in caught.value.failures[0].found
    assert AMD


# ---------------------------------------------------------------- whose machine, in a bare bundle


def cji(*arguments: object) -> Result:
    trust = msgspec.structs.replace(intel().trust, amd_roots=machine().trust.amd_roots)
    return CliRunner().invoke(build(AZURE_US, trust), list(map(str, arguments)), catch_exceptions=False)


def profile(folder: Path) -> Path:
    path = folder / "client.toml"
    path.write_text("[reference]\n" + decided_toml(decided()))
    return path


def test_a_bare_bundle_that_nothing_shows_to_be_azures(tmp_path: Path) -> None:
    """An unknown MRTD, no token and no certificate: anybody's trust domain on Intel's processor looks like this."""
    given = ("--cloud", "test", "--qualifying", QUALIFYING.hex(), "--profile", profile(tmp_path))
    nothing, certified = tmp_path / "nothing.json", tmp_path / "certified.json"
    nothing.write_bytes(intel().evidence(machine(), ak_cert=b"").to_json())
    certified.write_bytes(intel().evidence(machine()).to_json())
    bad = cji("evidence", "verify", nothing, *given)
    assert (bad.exit_code, "refused at E40" in bad.output) == (3, True), bad.output
    assert "neither token nor AK certificate" in bad.output
    allowed = cji("evidence", "verify", nothing, *given, "--unknown-paravisor")
    assert (allowed.exit_code, "E40" in allowed.output.splitlines()[-1]) == (0, True), allowed.output
    assert cji("evidence", "verify", certified, *given).exit_code == 0
    pcrs = cji("evidence", "pcrs", nothing, "--cloud", "test", "--profile", profile(tmp_path))
    assert (pcrs.exit_code, "E40" in pcrs.output) == (3, True)


def test_check_e40_claims_whose_firmware_not_whose_machine() -> None:
    text = CATALOGUE["E40"].establishes
    assert text.startswith("Whose firmware runs")
    assert "Not whose machine it is: Azure Local" in text


# ---------------------------------------------------------------- the list, made and refused


def signer(folder: Path) -> Path:
    path = folder / "signer.key"
    made = CliRunner().invoke(build(AZURE_US), ["key", "new-signing", str(path)], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    return path


def test_a_list_is_made_from_machines_that_were_seen(tmp_path: Path) -> None:
    bundle, out, key = tmp_path / "one.json", tmp_path / "chips.jws", signer(tmp_path)
    bundle.write_bytes(machine().evidence().to_json())
    options = ("--id", "rack-7", "--by", "CISO", "--key", key, "--out", out, "--cloud", "test")
    until = ("--until", str(TODAY + timedelta(days=30)))
    made = cji("evidence", "chips", bundle, *options, *until, "--profile", profile(tmp_path))
    assert (made.exit_code, own() in made.output) == (0, True), made.output
    jwk = CliRunner().invoke(build(AZURE_US), ["advisories", "signer", str(key)]).output.strip()
    assert read_chips(out.read_bytes(), (jwk,)).chips == (own(),)
    late = ("--until", str(TODAY + timedelta(days=900)))
    bad = cji("evidence", "chips", bundle, *options[:-4], "--out", tmp_path / "b", *options[-2:], *late, "--profile",
              profile(tmp_path))  # fmt: skip
    assert (bad.exit_code, "not sound" in bad.output) == (2, True), bad.output
    forged = tmp_path / "forged.json"
    forged.write_bytes(msgspec.structs.replace(machine().evidence(), quote_signature=bytes(256)).to_json())
    refusal = cji("evidence", "chips", forged, *options[:-4], "--out", tmp_path / "c", *options[-2:], *until,
                  "--profile", profile(tmp_path))  # fmt: skip
    assert (refusal.exit_code, (tmp_path / "c").exists()) == (3, False)


def exported(folder: Path, *, enabled: bool = True) -> Path:
    path = folder / "export.json"
    setting = {
        "type": "Microsoft.Insights/autoscalesettings", "name": "cji-autoscale", "id": "/a/b", "location": "eastus",
        "properties": {"enabled": enabled},
    }  # fmt: skip
    path.write_bytes(msgspec.json.encode([setting]))
    return path


def configured(folder: Path, *, listed: bool) -> Path:
    (folder / "chips.jws").write_bytes(chips_of(own()))
    text = Path("deploy/worker.example.toml").read_text()
    more = f"[attestation.reference_values]\nadvisory_signers = ['{operator().signer}']\n"
    more += 'chips = { file = "chips.jws" }\n' if listed else ""
    path = folder / "worker.toml"
    path.write_text(
        text.replace("[attestation.reference_values]\n", more) if "reference_values]" in text else text + more
    )
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("listed", "enabled", "state"), [(True, True, "failed"), (True, False, "ok"), (False, True, "ok")]
)
def test_doctor_refuses_a_list_with_autoscale(tmp_path: Path, *, listed: bool, enabled: bool, state: str) -> None:
    found = deployment_findings([exported(tmp_path, enabled=enabled)], configured(tmp_path, listed=listed))
    (one,) = (each for each in found if each.name == "processors")
    assert one.state == state
    assert ("autoscale by cji-autoscale" in one.found) == (state == "failed")
