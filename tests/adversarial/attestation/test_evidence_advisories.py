"""What makes a genuine machine unfit: advisories, levels, revocation, memory aliases, and time that goes back."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509

from attestation import AttestationError, Fault
from attestation.appraisal import (
    Acceptance,
    Advisory,
    AdvisoryList,
    MaaEnclave,
    Product,
    ReferenceValues,
    TcbFloor,
    check_reference,
)
from attestation.appraisal.advisories import BADRAM, MILAN_SEED
from attestation.appraisal.reference import floor_in_force
from attestation.evidence import Evidence, Tcb
from tests.support.forge import (
    POLICY_HASH,
    QUALIFYING,
    Machine,
    crl,
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


def known(*advisories: Advisory, reviewed: date = TODAY - DAY, expires: date = TODAY + DAY) -> ReferenceValues:
    return ReferenceValues(advisories=AdvisoryList(reviewed=reviewed, expires=expires, listed=advisories))


def accepting(identity: str, *, until: date = TODAY, **kw: Any) -> ReferenceValues:
    return ReferenceValues(accepted=(Acceptance(id=identity, until=until, reason="decided by the CISO"),), **kw)


FIXED = Advisory(id="AMD-SB-3020", fixed={"Genoa": {"snp": 27}, "Turin": {"snp": 4}})


# -- the list ----------------------------------------------------------------------------------------------------------


def test_n10_a_list_in_its_time_is_told() -> None:
    found = machine().appraise(machine().evidence(), reference=known(FIXED))
    assert dict(found.checks)["E31"] == f"1 advisories, reviewed {TODAY - DAY}, until {TODAY + DAY}"
    assert dict(machine().appraise(machine().evidence()).checks)["E31"] == "no list of advisories"
    assert found.accepted == ()


def test_n10_a_list_expires_at_the_end_of_its_last_day() -> None:
    evidence = machine().evidence()
    machine().appraise(evidence, reference=known(FIXED, expires=TODAY))
    machine().appraise(evidence, reference=known(FIXED, reviewed=TODAY))
    error = refused(evidence, "E31", reference=known(FIXED, expires=TODAY - DAY, reviewed=TODAY - 2 * DAY))
    assert "bulletins" in error.remedy


def test_f08_a_clock_before_the_review_was_set_back() -> None:
    refused(machine().evidence(), "E31", reference=known(FIXED, reviewed=TODAY + DAY, expires=TODAY + 9 * DAY))


def test_n10_days_are_those_of_utc() -> None:
    last = datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)
    found = AdvisoryList(reviewed=date(2026, 11, 1), expires=date(2026, 11, 24), listed=(FIXED,))
    assert found.in_time(last)
    assert not found.in_time(last + timedelta(seconds=1))
    assert found.in_time(datetime.fromisoformat("2026-11-25T00:30:00+01:00"))


@pytest.mark.parametrize("component", ["bootloader", "snp", "microcode"])
def test_a12_an_advisory_raises_the_floor_of_its_components_only(component: Any) -> None:
    level = {"bootloader": 10, "snp": 27, "microcode": 88}[component]
    machine().appraise(machine().evidence(), reference=known(Advisory(id="A", fixed={"Genoa": {component: level}})))
    above = Advisory(id="A", fixed={"Genoa": {component: level + 1}})
    refused(machine().evidence(), "E12", reference=known(above))
    other = Advisory(id="A", fixed={"Turin": {component: level + 1}})
    machine().appraise(machine().evidence(), reference=known(other))


def test_a12_the_floor_in_force_is_the_maximum_of_each_component() -> None:
    one = Advisory(id="A", fixed={"Turin": {"snp": 9, "fmc": 2}})
    two = Advisory(id="B", fixed={"Turin": {"snp": 5, "microcode": 90}, "Genoa": {"tee": 7}})
    floor = TcbFloor(bootloader=3, tee=1, snp=4, microcode=81, fmc=1)
    reference = msgspec.structs.replace(known(one, two), products=("Turin",), floors={"Turin": floor})
    assert floor_in_force(reference, "Turin") == Tcb(bootloader=3, tee=1, snp=9, microcode=90, fmc=2)


def test_h01_an_advisory_without_a_fix_must_be_accepted_by_name() -> None:
    evidence, unfixed = machine().evidence(), Advisory(id="AMD-SB-9999", unfixed=("Genoa",))
    listed = known(unfixed).advisories
    refused(evidence, "E32", reference=known(unfixed))
    refused(evidence, "E32", reference=accepting("AMD-SB-9998", advisories=listed))
    refused(evidence, "E32", reference=accepting("AMD-SB-9999", advisories=listed, until=TODAY - DAY))
    found = machine().appraise(evidence, reference=accepting("AMD-SB-9999", advisories=listed))
    assert found.accepted == ("AMD-SB-9999",)
    assert dict(found.checks)["E32"] == "accepted: AMD-SB-9999"
    elsewhere = Advisory(id="AMD-SB-9999", unfixed=("Turin",))
    assert machine().appraise(evidence, reference=known(elsewhere)).accepted == ()


# -- products ----------------------------------------------------------------------------------------------------------


def test_h01_milan_needs_its_open_advisory_accepted() -> None:
    m = machine_of("Milan")
    evidence = evidence_of(m, "Milan", tcb=MILAN_TCB)
    products: tuple[Product, ...] = ("Genoa", "Milan")
    assert "Milan" not in ReferenceValues().products
    assert "arXiv" in refused(evidence, "E08", m=m).remedy
    error = refused(
        evidence, "reference-accepted", m=m, fault=Fault.CONFIG_INVALID, reference=ReferenceValues(products=products)
    )
    assert MILAN_SEED in error.remedy
    over = accepting(MILAN_SEED, products=products, until=TODAY - DAY)
    assert "accepted" in refused(evidence, "E32", m=m, reference=over).remedy
    found = m.appraise(evidence, reference=accepting(MILAN_SEED, products=products))
    assert (found.product, found.accepted) == ("Milan", (MILAN_SEED,))
    assert ("E32", f"accepted: {MILAN_SEED}") in found.checks


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


# -- memory aliases ----------------------------------------------------------------------------------------------------


def test_h01_badram_needs_a_complete_alias_check_or_acceptance() -> None:
    without = patched_evidence(0x40, (0x05).to_bytes(8, "little"))
    refused(without, "E34")
    refused(without, "E34", reference=accepting(BADRAM, until=TODAY - DAY))
    assert machine().appraise(without, reference=accepting(BADRAM)).accepted == (BADRAM,)
    assert ("E34", "alias check complete") in machine().appraise(machine().evidence()).checks
    old = patched_version(2)  # its firmware cannot tell
    refused(old, "E34")


# -- versions, reserved bits -------------------------------------------------------------------------------------------


def patched_version(version: int, *more: tuple[int, bytes]) -> Evidence:
    raw = machine().report(machine().claims())
    cpuid = bytes(3) if version == 2 else b"\x19\x11\x01"
    platform = b"\x05" if version == 2 else b"\x25"
    for at, value in ((0, version.to_bytes(4, "little")), (0x188, cpuid), (0x40, platform), *more):
        raw = patched(raw, at, value)
    return machine().evidence(report=raw)


def test_a25_versions_2_3_and_5() -> None:
    aliased = accepting(BADRAM)
    for version in (2, 3, 5):
        found = machine().appraise(patched_version(version), reference=aliased)
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
    machine().appraise(machine().evidence(report=raw))
    refused(both, "E36", fault=Fault.EVIDENCE_INVALID)


def test_policy_and_platform_bits_have_names() -> None:
    hardware = machine().appraise(patched_evidence(0x08, (0x3F3001F).to_bytes(8, "little"))).hardware
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


def with_crl(data: bytes) -> ReferenceValues:
    return ReferenceValues(products=("Genoa",), amd_crls={"Genoa": data})


def test_a22_a_crl_is_optional_and_told() -> None:
    evidence = machine().evidence()
    assert ("E33", "revocation not checked") in machine().appraise(evidence).checks
    for good in (crl(), crl(1, 2, 3)):
        assert ("E33", "not revoked") in machine().appraise(evidence, reference=with_crl(good)).checks


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


def test_a22_a_crl_that_is_not_the_roots_own() -> None:
    foreign = (
        crl(signer=machine().chip.ask.rsa()),
        crl(signer=machine().maa),
        crl(issuer=machine().chip.ask),
        crl(extension=x509.IssuingDistributionPoint(None, None, True, False, None, False, False)),
        b"",
        b"garbage",
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
    assert "Restart" in refused(at(*clock), "E35", fault=Fault.EVIDENCE_INVALID, earlier=earlier).remedy


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


def listed(*advisories: Advisory, days: int = 30) -> dict[str, Any]:
    start = date(2026, 11, 1)
    return {"advisories": AdvisoryList(reviewed=start, expires=start + days * DAY, listed=advisories)}


ONE = Acceptance(id="INTEL-SA-01036", until=date(2026, 12, 31), reason="no fix yet")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (listed(), "advisories"),
        (listed(FIXED, days=0), "advisories"),
        (listed(FIXED, days=-1), "advisories"),
        (listed(FIXED, days=367), "advisories"),
        (listed(FIXED, FIXED), "advisories"),
        (listed(Advisory(id="A")), "advisories"),
        (listed(Advisory(id="", unfixed=("Genoa",))), "advisories"),
        (listed(Advisory(id="a b", unfixed=("Genoa",))), "advisories"),
        (listed(Advisory(id="A", fixed={"Genoa": {}})), "advisories"),
        (listed(Advisory(id="A", fixed={"Genoa": {"snp": 0}})), "advisories"),
        (listed(Advisory(id="A", fixed={"Genoa": {"snp": 256}})), "advisories"),
        (listed(Advisory(id="A", fixed={"Genoa": {"fmc": 1}})), "advisories"),
        (listed(Advisory(id="A", fixed={"Genoa": {"snp": 1}}, unfixed=("Genoa",))), "advisories"),
        ({"accepted": (ONE, ONE)}, "accepted"),
        ({"accepted": (msgspec.structs.replace(ONE, reason=" "),)}, "accepted"),
        ({"accepted": (msgspec.structs.replace(ONE, id=""),)}, "accepted"),
        ({"products": ("Milan",), "accepted": (ONE,)}, "accepted"),
        ({"amd_crls": {}}, "amd_crls"),
        ({"amd_crls": {"Genoa": b"x"}}, "amd_crls"),
        (
            {"floors": {p: TcbFloor(bootloader=1, tee=0, snp=1, microcode=1, fmc=1) for p in ("Genoa", "Turin")}},
            "floors",
        ),
        ({"floors": {p: TcbFloor(bootloader=1, tee=0, snp=1, microcode=256) for p in ("Genoa", "Turin")}}, "floors"),
        ({"floors": {p: TcbFloor(bootloader=-1, tee=0, snp=1, microcode=1) for p in ("Genoa", "Turin")}}, "floors"),
    ],
)
def test_a15_lists_that_could_not_mean_what_they_say(values: dict[str, Any], field: str) -> None:
    with rejected(f"reference-{field}", fault=Fault.CONFIG_INVALID):
        check_reference(ReferenceValues(**values))


def test_a15_lists_that_mean_what_they_say() -> None:
    check_reference(ReferenceValues(**listed(FIXED, days=366), accepted=(ONE,)))
    check_reference(accepting(MILAN_SEED, products=("Milan",)))
    check_reference(ReferenceValues(maa_policy_hashes=(POLICY_HASH,)))
    check_reference(ReferenceValues(maa_enclave=MaaEnclave(measurements=("0a" * 48,), host_data=("0a" * 32,))))


def test_reference_values_are_read_from_toml() -> None:
    text = b"""
products = ["Milan", "Genoa"]
amd_crls = { Milan = "AAAA", Genoa = "AAAA" }
[pcrs]
7 = ["0000000000000000000000000000000000000000000000000000000000000000"]
[advisories]
reviewed = 2026-11-20
expires = 2027-05-20
[[advisories.listed]]
id = "AMD-SB-3020"
fixed = { Genoa = { snp = 27 }, Turin = { snp = 4 } }
[[accepted]]
id = "arXiv:2605.12990"
until = 2027-01-31
reason = "no v6 size in this region yet"
"""
    table = msgspec.toml.decode(text)
    reference = msgspec.convert(table, ReferenceValues, str_keys=True)
    check_reference(reference)
    assert reference == msgspec.toml.decode(text, type=ReferenceValues)
    assert reference.advisories == AdvisoryList(reviewed=date(2026, 11, 20), expires=date(2027, 5, 20), listed=(FIXED,))


WRONG: dict[str, tuple[Any, ...]] = {
    "products": ([], None, "", {}, "Genoa"),
    "floors": ({}, None, [], "", {"Genoa": {}}, {"Rome": {}}),
    "advisories": ({}, [], "", {"reviewed": "2026-11-01", "expires": "2026-12-01"}),
    "accepted": (None, "", {}, [{}], [{"id": "A", "until": "2026-12-01"}], ["A"]),
    "amd_crls": ({}, [], "", {"Genoa": ""}),
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
