"""What makes a genuine machine unfit: advisories, levels, revocation, memory aliases, and time that goes back."""

from datetime import UTC, timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509

from cji_attestation import AttestationError, Fault
from cji_attestation.appraisal import MaaEnclave, ReferenceValues, TcbFloor, check_reference
from cji_attestation.appraisal.crl import read_crl, read_published
from cji_attestation.evidence import Evidence, Tcb
from cji_attestation.strict import load_pem_chain
from cji_simulator.operator import operator
from tests.support.evidence import allowing
from tests.support.forge import (
    POLICY_HASH,
    QUALIFYING,
    Machine,
    crl,
    decided,
    evidence_of,
    forge_vcek,
    machine,
    machine_of,
    patched,
    patched_evidence,
    quote_structure,
    rsa_public,
)
from tests.support.refusals import rejected

MILAN_TCB = bytes([4, 0, 0, 0, 0, 0, 24, 219])
TURIN_TCB = bytes([1, 1, 1, 4, 0, 0, 0, 81])
TODAY = machine().now.astimezone(UTC).date()
DAY = timedelta(days=1)


def refused(
    evidence: Evidence, check: str, *, fault: Fault = Fault.POLICY_MISMATCH, m: Machine | None = None, **kw: Any
) -> AttestationError:
    with rejected(check, fault=fault) as caught:
        (m or machine()).appraise(evidence, **kw)
    return caught.value


@pytest.mark.parametrize("component", [0, 1, 2, 3, 7], ids=["fmc", "bootloader", "tee", "snp", "microcode"])
def test_a12_turin_has_its_own_layout(component: int) -> None:
    m = machine_of("Turin", tcb=TURIN_TCB)
    found = m.appraise(evidence_of(m, "Turin", tcb=TURIN_TCB))
    assert (found.product, found.tcb) == ("Turin", Tcb(fmc=1, bootloader=1, tee=1, snp=4, microcode=81))
    lower = bytearray(TURIN_TCB)
    lower[component] -= 1
    old = machine_of("Turin", tcb=bytes(lower))
    refused(evidence_of(old, "Turin", tcb=bytes(lower)), "E12", m=old)


def test_a14_chip_id_of_turin_has_eight_bytes() -> None:
    m = machine_of("Turin", tcb=TURIN_TCB)
    report = evidence_of(m, "Turin", tcb=TURIN_TCB).hcl_report[32:1216]
    longer = patched(report, 0x1A8, b"\x01", chip=m.chip)
    refused(m.evidence(report=longer), "E07", m=m, fault=Fault.EVIDENCE_INVALID)


@pytest.mark.parametrize(
    "values",
    [
        {"1": None},
        {"1": b"\x02\x01\x01"},
        {"5": b"\x16\x02CN"},
        {"3.9": b"\x02\x01\x00"},
        {"6": b"\x02\x01\x00"},
        {"3.7": b"\x02\x01\x01"},
    ],
    ids=["no-structure", "structure-of-turin", "cspID-of-a-vlek", "fmc-of-turin", "unknown", "spare-level"],
)
def test_a14_extensions_of_another_kind_of_certificate(values: dict[str, bytes | None]) -> None:
    refused(machine().evidence(certs=forge_vcek(values=values)), "E07", fault=Fault.EVIDENCE_INVALID)


# -- versions, reserved bits -------------------------------------------------------------------------------------------


def patched_version(version: int, *more: tuple[int, bytes]) -> Evidence:
    raw = machine().report(machine().claims())
    cpuid = bytes(3) if version == 2 else b"\x19\x11\x01"
    platform = b"\x05" if version == 2 else b"\x25"
    for at, value in ((0, version.to_bytes(4, "little")), (0x188, cpuid), (0x40, platform), *more):
        raw = patched(raw, at, value)
    return machine().evidence(report=raw)


def test_a25_versions_2_3_and_5() -> None:
    for version in (2, 3, 5):
        found = machine().appraise(patched_version(version))
        assert ("E36", f"report version {version}") in found.checks
    vectors = (0x1F8, b"\x0b" + bytes(7) + b"\x0f")
    hardware = machine().appraise(patched_version(5, vectors)).hardware
    assert (hardware.launch_mitigations, hardware.current_mitigations) == (0x0B, 0x0F)  # type: ignore[union-attr]
    refused(patched_version(3, vectors), "E36", fault=Fault.EVIDENCE_INVALID)
    refused(patched_version(2, (0x188, b"\x19")), "E36", fault=Fault.EVIDENCE_INVALID)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0x08, (0x1001F).to_bytes(8, "little")),
        (0x08, (0x3001F | 1 << 26).to_bytes(8, "little")),
        (0x08, (0x3001F | 1 << 63).to_bytes(8, "little")),
        (0x48, b"\x20"),
        (0x4B, b"\x80"),
        (0x4C, b"\x01"),
        (0x48, b"\x01"),
        (0x110, b"\x01"),
        (0x18B, b"\x01"),
        (0x19F, b"\x01"),
        (0x1EB, b"\x01"),
        (0x1EF, b"\x01"),
        (0x208, b"\x01"),
        (0x29F, b"\x01"),
    ],
)
def test_a25_reserved_bits(at: int, value: bytes) -> None:
    refused(patched_evidence(at, value), "E36", fault=Fault.EVIDENCE_INVALID)


def test_a25_an_author_key_comes_with_its_digest() -> None:
    both = patched_evidence(0x110, b"\x01")
    raw = patched(patched(machine().report(machine().claims()), 0x110, b"\x01"), 0x48, b"\x01")
    refused(machine().evidence(report=raw), "E42")
    refused(both, "E36", fault=Fault.EVIDENCE_INVALID)


def test_policy_and_platform_bits_have_names() -> None:
    evidence = patched_evidence(0x08, (0x3F3001F).to_bytes(8, "little"))
    hardware = machine().appraise(evidence, reference=allowing(policies=(0x3F3001F,))).hardware
    assert hardware.policy_flags == (  # type: ignore[union-attr]
        "smt",
        "single-socket",
        "cxl",
        "aes-256-xts",
        "rapl-disabled",
        "ciphertext-hiding",
        "page-swap-disabled",
    )
    assert hardware.platform_flags == ("smt", "ecc", "alias-check-complete")  # type: ignore[union-attr]


# -- revocation --------------------------------------------------------------------------------------------------------


def with_crl(data: bytes, **values: Any) -> ReferenceValues:
    return decided(products=("Genoa",), amd_crls={"Genoa": data}, **values)


def test_a22_a_crl_is_optional_and_told() -> None:
    evidence = machine().evidence()
    assert ("E33", "revocation not checked") in machine().appraise(evidence).checks
    for good in (crl(), crl(1, 2, 3)):
        finding = dict(machine().appraise(evidence, reference=with_crl(good)).checks)["E33"]
        assert finding == f"not revoked, by a CRL of {machine().now - DAY:%Y-%m-%d}"


def test_a22_a_crl_has_an_age_limit() -> None:
    evidence, month = machine().evidence(), crl(updated=-30 * DAY)
    machine().appraise(evidence, reference=with_crl(month, crl_max_age_days=30))
    error = refused(evidence, "E33", reference=with_crl(month, crl_max_age_days=29))
    assert error.failures[0].found == "30 days old"
    assert "at most 29 days old" in error.failures[0].expected
    machine().appraise(evidence, reference=with_crl(crl(updated=-366 * DAY)))
    refused(evidence, "E33", reference=with_crl(crl(updated=-367 * DAY)))


def test_a22_a_revoked_ask() -> None:
    serial = machine().chip.ask.certificate.serial_number
    refused(machine().evidence(), "E33", reference=with_crl(crl(7, serial)))


def test_a22_a_revoked_vcek() -> None:
    evidence = machine().evidence(certs=forge_vcek())  # its serial number is 1, AMD's own have 0
    refused(evidence, "E33", reference=with_crl(crl(1)))


@pytest.mark.parametrize("times", [{"until": -timedelta(hours=1)}, {"updated": timedelta(hours=1)}])
def test_a22_a_crl_out_of_its_time(times: dict[str, Any]) -> None:
    error = refused(machine().evidence(), "E33", reference=with_crl(crl(**times)))
    assert "kdsintf" in error.remedy


def test_a22_a_root_with_another_kind_of_key() -> None:
    leaf = machine().chip.vcek
    with pytest.raises(ValueError, match="no RSA key"):
        read_crl(crl(issuer=leaf), leaf.certificate)


def test_a22_a_published_list_needs_its_products_pinned_root() -> None:
    m = machine()
    chain = b"".join(m.certs.partition(b"-----END CERTIFICATE-----\n")[2:])
    roots = m.trust.amd_roots
    assert read_published(chain, crl(), product="Genoa", roots=roots).revoked == frozenset()
    with pytest.raises(ValueError, match="another product than Turin"):
        read_published(chain, crl(), product="Turin", roots=roots)
    with pytest.raises(ValueError, match="no certificates"):
        read_published(b"", crl(), product="Genoa", roots=roots)
    with pytest.raises(ValueError, match="not pinned"):
        read_published(chain, crl(), product="Genoa", roots=())
    (_, ark) = load_pem_chain(chain, fault=Fault.EVIDENCE_INVALID, check="ark")
    with pytest.raises(ValueError, match="more than"):
        read_crl(bytes((64 << 10) + 1), ark)


def test_a22_a_crl_that_is_not_the_roots_own() -> None:
    foreign = (
        crl(signer=machine().chip.ask.rsa()),
        crl(signer=machine().maa),
        crl(issuer=machine().chip.ask),
        crl(extension=x509.IssuingDistributionPoint(None, None, True, False, None, False, False)),
        b"",
        b"garbage",
        crl() + bytes(64 << 10),
        crl()[:-1],
    )
    for data in foreign:
        refused(machine().evidence(), "E33", fault=Fault.EVIDENCE_INVALID, reference=with_crl(data))


# -- the TPM's clock ---------------------------------------------------------------------------------------------------


def at(*clock: int, m: Machine | None = None) -> Evidence:
    """Evidence whose quote says this clock: milliseconds, resets, restarts."""
    whole = m or machine()
    quote = quote_structure(whole.pcrs, extra=QUALIFYING, clock=clock, ak_public=whole.ak_public)
    return whole.evidence(quote=quote)


def test_f08_the_tpms_clock_goes_on() -> None:
    earlier = machine().appraise(at(1000, 3, 1))
    assert ("E35", "first quote; nothing to compare") in earlier.checks
    later = machine().appraise(at(4500, 3, 1), earlier=earlier)
    assert ("E35", "3500 ms after the earlier quote, same boot") in later.checks
    machine().appraise(at(1000, 3, 1), earlier=earlier)  # within the same millisecond


@pytest.mark.parametrize("clock", [(999, 3, 1), (0, 3, 1), (5000, 4, 1), (5000, 2, 1), (5000, 3, 2), (5000, 3, 0)])
def test_f08_a_clock_that_goes_back_or_a_tpm_that_was_reset(clock: tuple[int, int, int]) -> None:
    earlier = machine().appraise(at(1000, 3, 1))
    assert "Reboot" in refused(at(*clock), "E35", fault=Fault.EVIDENCE_INVALID, earlier=earlier).remedy


def test_f08_another_tpm() -> None:
    m = machine()
    other = Machine(chip=m.chip, ak=m.ek, ek=m.ak, ephemeral=m.ephemeral, maa=m.maa, now=m.now)
    earlier = other.appraise(at(1000, 3, 1, m=other))
    refused(at(5000, 3, 1), "E35", fault=Fault.EVIDENCE_INVALID, earlier=earlier)


# -- the AK's name -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attributes", [0x50032, 0x50072, 0x504F2, 0x50473], ids=hex)
def test_a18_public_area_is_the_one_whose_name_the_quote_carries(attributes: int) -> None:
    """Each of these is restricted, signs and stays in its TPM; none of them is the key that made this quote."""
    public = rsa_public(machine().ak.public_key(), attributes=attributes, policy=b"", scheme=b"\x00\x14\x00\x0b")
    refused(machine().evidence(ak_public=public), "E22", fault=Fault.EVIDENCE_INVALID)


# -- lists that could not mean what they say ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"amd_crls": {}}, "amd_crls"),
        ({"amd_crls": {"Genoa": b"x"}}, "amd_crls"),
        (
            {"floors": {p: TcbFloor(bootloader=1, tee=0, snp=1, microcode=1, fmc=1) for p in ("Genoa", "Turin")}},
            "floors",
        ),
        ({"advisory_signers": (operator().signer,) * 2}, "advisory_signers"),
        ({"acceptances": (b"x",) * 65, "advisory_signers": (operator().signer,)}, "acceptances"),
        ({"crl_max_age_days": 0}, "crl_max_age_days"),
        ({"crl_max_age_days": 367}, "crl_max_age_days"),
        ({"floors": {p: TcbFloor(bootloader=1, tee=0, snp=1, microcode=256) for p in ("Genoa", "Turin")}}, "floors"),
        ({"floors": {p: TcbFloor(bootloader=-1, tee=0, snp=1, microcode=1) for p in ("Genoa", "Turin")}}, "floors"),
    ],
)
def test_a15_lists_that_could_not_mean_what_they_say(values: dict[str, Any], field: str) -> None:
    with rejected(f"reference-{field}", fault=Fault.CONFIG_INVALID):
        check_reference(ReferenceValues(**values))


def test_a15_lists_that_mean_what_they_say() -> None:
    check_reference(ReferenceValues(maa_policy_hashes=(POLICY_HASH,)))
    check_reference(ReferenceValues(maa_enclave=MaaEnclave(measurements=("0a" * 48,), host_data=("0a" * 32,))))
    check_reference(
        ReferenceValues(floors={"Turin": TcbFloor(bootloader=1, tee=0, snp=1, microcode=1, fmc=1)}, products=("Turin",))
    )


def test_reference_values_are_read_from_toml() -> None:
    text = b"""
products = ["Milan", "Genoa"]
amd_crls = { Milan = "AAAA", Genoa = "AAAA" }
crl_max_age_days = 90
[pcrs]
7 = ["0000000000000000000000000000000000000000000000000000000000000000"]
"""
    table = msgspec.toml.decode(text)
    reference = msgspec.convert(table, ReferenceValues, str_keys=True)
    check_reference(reference)
    assert reference == msgspec.toml.decode(text, type=ReferenceValues)
    assert (reference.crl_max_age_days, reference.amd_crls) == (90, {"Milan": bytes(3), "Genoa": bytes(3)})


WRONG: dict[str, tuple[Any, ...]] = {
    "products": ([], None, "", {}, "Genoa"),
    "floors": ({}, None, [], "", {"Genoa": {}}, {"Rome": {}}),
    "advisory_signers": (None, "", [""], ["{}"]),
    "advisories": ({}, [], ""),
    "acceptances": (None, {}, [{}], ["AAAA"]),
    "accepted": ([], [{"id": "A", "until": "2026-12-01", "reason": "unsigned"}]),
    "amd_crls": ({}, [], "", {"Genoa": ""}),
    "crl_max_age_days": (0, 367, None, "30"),
    "tcb_statuses": ([], None, "", {}, ["Revoked"]),
    "measurements": ([], "", {}, [""], ["AB" * 48]),
    "pcrs": (None, [], "", {"7": []}, {"7": [""]}, {"7": None}, {"16": ["00" * 32]}, {"x": []}),
    "boot_images": (
        *([], "", {}, [{}], [{"parts": {}, "command_line": "ro"}]),
        [{"parts": {".linux": "00" * 32}, "command_line": ""}],
        [{"parts": {".linux": "AA" * 32}, "command_line": "ro"}],
        [{"parts": {".linux": "00" * 31}, "command_line": "ro"}],
        [{"parts": {".linux": "00" * 32, ".other": "00" * 32}, "command_line": "ro"}],
        [{"parts": {".initrd": "00" * 32}, "command_line": "ro"}],
        [{"parts": {".linux": "00" * 32}, "command_line": "ro", "initrds": [""]}],
    ),
    "maa_policy_hashes": ([], "", {}, [""]),
    "token_max_age": (0, None, "600", 3601),
    "product": (["Genoa"],),
}


@pytest.mark.parametrize(("field", "wrong"), [(field, wrong) for field, values in WRONG.items() for wrong in values])
def test_a15_empty_and_unknown_reference_values_are_refused(field: str, wrong: Any) -> None:
    def read() -> None:
        check_reference(msgspec.convert({field: wrong}, ReferenceValues, str_keys=True))

    with pytest.raises((msgspec.ValidationError, AttestationError)):
        read()
