"""Evidence that must not be accepted: one test a row of the pitfalls list, its id in the name."""

import dataclasses
import hashlib
import os
import struct
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cji_simulator import hcl
from cji_simulator.certificates import Credential, name, pem
from cji_simulator.snp import Tcb as ReportTcb
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from attestation import AZURE_US, AZURE_USGOV, Fault
from attestation.appraisal import ReferenceValues, TcbFloor
from attestation.evidence import (
    Evidence,
    Tcb,
    Tee,
    parse_attest,
    parse_hcl,
    parse_rsa_public,
    parse_snp_report,
    qualifying_data,
)
from attestation.evidence.tpm_structures import policy_pcr_digest
from tests.support.forge import (
    NONCE,
    PSS,
    QUALIFYING,
    RECEIPT_KEY,
    Machine,
    attest_structure,
    forge_vcek,
    forged,
    key_name,
    machine,
    machine_of,
    patched,
    patched_evidence,
    quote_structure,
    rsa_public,
    sign,
    sized,
)
from tests.support.refusals import rejected

Change = Callable[[Machine], dict[str, Any]]


def refused(evidence: Evidence, check: str, fault: Fault = Fault.EVIDENCE_INVALID, **kw: Any) -> None:
    with rejected(check, fault=fault):
        machine().appraise(evidence, **kw)


def with_report(**fields: Any) -> Evidence:
    m = machine()
    return m.evidence(report=m.report(m.claims(), **fields))


def test_sound_evidence_is_accepted() -> None:
    verdict = machine().appraise(machine().evidence())
    assert sorted(check for check, _ in verdict.checks) == [
        *(f"E{n:02}" for n in (*range(1, 13), *range(14, 23), *range(31, 40)))
    ]
    assert verdict.tcb == Tcb(bootloader=10, tee=0, snp=27, microcode=88)
    assert ("E19", "PCRs not pinned") in verdict.checks


@pytest.mark.parametrize("bit", [18, 19])
def test_a09_a10_debug_and_migration(bit: int) -> None:
    refused(with_report(policy=0x3001F | 1 << bit), "E09", Fault.POLICY_MISMATCH)


def test_a09_empty_measurement() -> None:
    refused(with_report(measurement=bytes(48)), "E11", Fault.POLICY_MISMATCH)


@pytest.mark.parametrize("value", [bytes(32), b"\xff" * 32])
def test_a09_pcr_never_extended(value: bytes) -> None:
    refused(machine().evidence(pcrs=(*machine().pcrs[:7], value)), "E18")


@pytest.mark.parametrize("vmpl", [1, 2, 3])
def test_a11_vmpl(vmpl: int) -> None:
    refused(with_report(vmpl=vmpl), "E10", Fault.POLICY_MISMATCH)


@pytest.mark.parametrize("component", ["bootloader", "tee", "snp", "microcode"])
def test_a12_each_component_has_its_floor(component: str) -> None:
    levels = {"bootloader": 10, "tee": 0, "snp": 27, "microcode": 88}
    floor = TcbFloor(**(dict.fromkeys(levels, 0) | {component: levels[component] + 1}))
    refused(
        machine().evidence(),
        "E12",
        Fault.POLICY_MISMATCH,
        reference=ReferenceValues(floors={"Genoa": floor, "Turin": floor}),
    )
    exact = TcbFloor(**levels)
    machine().appraise(machine().evidence(), reference=ReferenceValues(floors={"Genoa": exact, "Turin": exact}))


@pytest.mark.parametrize("at", [0x1E0, 0x1F0], ids=["committed", "launch"])
def test_a13_committed_and_launch_tcb_reach_the_floor_too(at: int) -> None:
    machine().appraise(patched_evidence(at, ReportTcb().encode()))
    refused(patched_evidence(at, ReportTcb(snp=22).encode()), "E12", Fault.POLICY_MISMATCH)
    refused(patched_evidence(at + 2, b"\x01"), "E12", Fault.POLICY_MISMATCH)  # a byte that has no meaning here


def test_a13_reported_tcb_is_the_one_that_the_vcek_was_made_for() -> None:
    refused(with_report(tcb=ReportTcb(microcode=89)), "E07")


def test_a14_vcek_of_another_chip() -> None:
    refused(with_report(chip_id=os.urandom(64)), "E07")


@pytest.mark.parametrize("value", [1 << 1, 1 << 2, 7 << 2], ids=["masked", "vlek", "none"])
def test_a14_masked_chip_and_other_signing_keys(value: int) -> None:
    refused(patched_evidence(0x48, value.to_bytes(4, "little")), "E37")


@pytest.mark.parametrize(
    "values",
    [
        {"products": ()},
        {"products": ("Milan",), "floors": {}},
        {"measurements": ()},
        {"measurements": ("",)},
        {"pcrs": {0: ()}},
        {"pcrs": {9: ("00" * 32,)}},
        {"maa_policy_hashes": ()},
        {"maa_policy_hashes": ("",)},
        {"token_max_age": 0},
    ],
)
def test_a15_empty_lists_accept_nothing(values: dict[str, Any]) -> None:
    with rejected(fault=Fault.CONFIG_INVALID):
        machine().appraise(machine().evidence(), reference=ReferenceValues(**values))


def test_a15_product_only_when_named() -> None:
    refused(machine().evidence(), "E08", Fault.POLICY_MISMATCH, reference=ReferenceValues(products=("Turin",)))


@pytest.mark.parametrize(
    "selection",
    [
        bytes.fromhex("00000001000b03000001"),  # PCR 16 only, which anybody may reset
        bytes.fromhex("00000001000403ff0000"),  # SHA-1 bank
        bytes.fromhex("00000001000b03ff0100"),  # PCR 8 more
        bytes.fromhex("00000001000b037f0000"),  # PCR 7 less
        bytes.fromhex("00000002000b03ff0000000403ff0000"),  # a second bank
        bytes.fromhex("00000000"),
    ],
)
def test_a16_quote_covers_exactly_the_platform_pcrs(selection: bytes) -> None:
    quote = quote_structure(machine().pcrs, extra=QUALIFYING, selection=selection)
    refused(machine().evidence(quote=quote), "E17")


def test_a16_pcr_values_are_those_of_the_quote() -> None:
    quote = quote_structure(machine().pcrs, extra=QUALIFYING)
    refused(machine().evidence(quote=quote, pcrs=(hashlib.sha256(b"evil").digest(), *machine().pcrs[1:])), "E18")


def test_a16_pcr_values_are_eight_of_32_bytes() -> None:
    """A quote signs the digest of all bytes, wherever one value ends and the next begins."""
    first, second, *others = machine().pcrs
    for pcrs in (
        machine().pcrs[:7],
        (*machine().pcrs, b"\x01" * 32),
        (first[:16], first[16:] + second, *others),
        (first + second, b"", *others),
    ):
        refused(machine().evidence(pcrs=pcrs), "E18")


def test_a16_pinned_pcr() -> None:
    pinned: dict[int, tuple[str, ...]] = {7: (machine().pcrs[7].hex(),), 4: ("11" * 32,)}
    refused(machine().evidence(), "E19", Fault.POLICY_MISMATCH, reference=ReferenceValues(pcrs=pinned))
    known = machine().appraise(machine().evidence(), reference=ReferenceValues(pcrs={7: pinned[7]}))
    assert ("E19", "PCRs 7 pinned") in known.checks


def test_a17_swapped_runtime_claims() -> None:
    m = machine()
    refused(m.evidence(report=m.report(m.claims(b"x" * 64))), "E02")


def test_a17_report_data_has_nothing_behind_the_hash() -> None:
    m = machine()
    data = hashlib.sha256(m.claims()).digest() + b"\x01" + bytes(31)
    refused(m.evidence(report=m.report(m.claims(), report_data=data)), "E02")


def _keys(change: Callable[[list[dict[str, Any]]], None]) -> Evidence:
    claims = msgspec.json.decode(machine().claims())
    change(claims["keys"])
    return machine().evidence(claims=msgspec.json.encode(claims))


@pytest.mark.parametrize(
    "change",
    [
        lambda keys: keys.append(dict(keys[0])),
        lambda keys: keys.append(dict(keys[0]) | {"kid": "hclakpub"}),
        lambda keys: keys[0].update(kid="hclAkPub"),
        lambda keys: keys.pop(0),
        lambda keys: keys[0].update(e="AQ"),
        lambda keys: keys[0].update(e="Aw"),
        lambda keys: keys[0].update(n=keys[0]["n"][:170]),
        lambda keys: keys[0].update(kty="EC"),
        lambda keys: keys.append("HCLAkPub"),
    ],
)
def test_a17_exactly_one_hclakpub(change: Callable[[list[dict[str, Any]]], None]) -> None:
    refused(_keys(change), "E03")


def test_a17_bytes_behind_the_claims() -> None:
    m = machine()
    refused(m.evidence(claims=m.claims() + b" {}"), "E01")


def _named(public: bytes) -> Evidence:
    """The AK's public area is this one, and the quote names it as its signer."""
    m = machine()
    return m.evidence(ak_public=public, quote=quote_structure(m.pcrs, extra=QUALIFYING, ak_public=public))


def test_a17_quote_of_another_ak() -> None:
    m = machine()
    quote = quote_structure(m.pcrs, extra=QUALIFYING)
    refused(m.evidence(quote=quote, quote_signature=sign(m.ek, quote)), "E14")
    refused(m.evidence(ak_cert=m.other_cert), "E22")
    other = rsa_public(m.ek.public_key(), attributes=0x50072, policy=b"", scheme=b"\x00\x14\x00\x0b")
    refused(m.evidence(ak_public=other), "E22")
    refused(_named(other), "E22")


def test_a18_unrestricted_ak() -> None:
    """Its name is in the quote and its key in the report; what it may sign is not what a TPM says alone."""
    m = machine()
    m.appraise(_named(m.ak_public))
    public = rsa_public(m.ak.public_key(), attributes=0x40072, policy=b"", scheme=b"\x00\x14\x00\x0b")
    refused(m.evidence(ak_public=public), "E22")
    refused(_named(public), "E22")
    refused(_named(rsa_public(m.ak.public_key(), attributes=0x50472, policy=b"")), "E22")  # signs in any way


@pytest.mark.parametrize("kind", [0x8017, 0x8019, 0x801A, 0x0000])
def test_a18_only_a_quote_is_a_quote(kind: int) -> None:
    refused(machine().evidence(quote=quote_structure(machine().pcrs, extra=QUALIFYING, kind=kind)), "E15")


def test_a18_a_certify_for_this_nonce_is_no_quote() -> None:
    certify = attest_structure(sized(key_name(_ephemeral())) + sized(b""), kind=0x8017, extra=QUALIFYING)
    refused(machine().evidence(quote=certify), "E15")


def test_a18_magic_and_length() -> None:
    m = machine()
    whole = quote_structure(m.pcrs, extra=QUALIFYING)
    for quote in (quote_structure(m.pcrs, extra=QUALIFYING, magic=0), whole[:-1], whole + b"\0", b""):
        refused(m.evidence(quote=quote), "E15")


def _ephemeral(*, key: rsa.RSAPublicKey | None = None, attributes: int = 0x20432, policy: bytes | None = None) -> bytes:
    m = machine()
    given = policy_pcr_digest(m.pcrs) if policy is None else policy
    return rsa_public(key or m.ephemeral.public_key(), attributes=attributes, policy=given)


@pytest.mark.parametrize("attributes", [0x20430, 0x20422, 0x20412, 0x20472, 0x30432, 0x60432, 0x00432])
def test_f04_ephemeral_key_stays_in_the_tpm(attributes: int) -> None:
    refused(machine().evidence(ephemeral=_ephemeral(attributes=attributes)), "E21")


def test_f04_ephemeral_key_is_rsa_2048_that_does_not_sign() -> None:
    m = machine()
    policy = policy_pcr_digest(m.pcrs)
    public = m.ephemeral.public_key()
    signs = rsa_public(public, attributes=0x20432, policy=policy, scheme=b"\x00\x14\x00\x0b")
    refused(m.evidence(ephemeral=signs), "E21")
    for key in (rsa.generate_private_key(65537, 1024), rsa.generate_private_key(3, 2048)):
        refused(m.evidence(ephemeral=_ephemeral(key=key.public_key())), "E21")
    said = _ephemeral().replace(struct.pack(">HI", 2048, 0), struct.pack(">HI", 3072, 0))
    refused(m.evidence(ephemeral=said), "E21")


@pytest.mark.parametrize("policy", [b"", bytes(32), policy_pcr_digest((bytes(32),) * 8)])
def test_f04_ephemeral_key_is_bound_to_the_quoted_pcrs(policy: bytes) -> None:
    refused(machine().evidence(ephemeral=_ephemeral(policy=policy)), "E21")


def test_f04_certify_is_of_this_key() -> None:
    m = machine()
    certify = attest_structure(sized(key_name(_ephemeral(key=m.ek.public_key()))) + sized(b""), kind=0x8017, extra=b"")
    refused(m.evidence(certify=certify), "E20")
    refused(m.evidence(certify=quote_structure(m.pcrs, extra=b"")), "E20")
    right = attest_structure(sized(key_name(_ephemeral())) + sized(b""), kind=0x8017, extra=b"")
    refused(m.evidence(certify=right, certify_signature=sign(m.ek, right)), "E20")


def test_f01_c02_a_quote_for_another_nonce_or_key_is_refused() -> None:
    m = machine()
    for other in (qualifying_data(RECEIPT_KEY, bytes(32)), qualifying_data(b"s" * 32, NONCE), b"", QUALIFYING[:-1]):
        refused(m.evidence(quote=quote_structure(m.pcrs, extra=other)), "E16")
    for extra in (QUALIFYING, b""):
        refused(m.evidence(quote=quote_structure(m.pcrs, extra=extra)), "E16", expected_qualifying_data=b"")


def test_f01_a_report_made_at_boot_is_named_so() -> None:
    """As on older hosts: the quote alone is fresh, and the verdict says so."""
    m = machine()
    checks = dict(m.appraise(m.evidence(claims=m.claims(bytes(64)))).checks)
    assert checks["E02"].endswith("made at boot")
    assert checks["E16"] == "quote fresh"
    assert dict(m.appraise(m.evidence()).checks)["E02"].endswith("made for this quote")


def test_a22_chain_is_exactly_three_and_in_order() -> None:
    vcek, ask, ark = (pem(one) for one in machine().chip.vcek.chain)
    for certs in (b"", vcek, vcek + ask, vcek + ask + ark + ark, b"garbage", vcek + ask + b"-----BEGIN"):
        refused(machine().evidence(certs=certs), "E05")
    for certs in (ask + vcek + ark, vcek + ark + ask, ark + ask + vcek):
        refused(machine().evidence(certs=certs), "E39")


@pytest.mark.parametrize(
    "wrong",
    [
        {"signer": rsa.generate_private_key(65537, 2048)},
        {"issuer": name("SEV-Genoa")},
        {"product": "Milan"},
        {"product": "Naples"},
    ],
    ids=["signature", "issuer", "other-product", "unknown-product"],
)
def test_a22_vcek_that_the_ask_did_not_issue(wrong: dict[str, Any]) -> None:
    refused(machine().evidence(certs=forge_vcek(**wrong)), "E05")
    machine().appraise(machine().evidence(certs=forge_vcek()))


@pytest.mark.parametrize(
    ("product", "ask", "ark"), [("Genoa", "Milan", "Genoa"), ("Genoa", "Genoa", "Milan"), ("Naples", "None", "None")]
)
def test_a22_every_certificate_is_of_the_same_product(product: str, ask: str, ark: str) -> None:
    """Each is signed by the one above it, and all under the pinned root's key."""
    chip = machine().chip

    def certs(product: str, ask: str, ark: str) -> bytes:
        root = forged(f"ARK-{ark}", chip.ark.certificate.public_key(), None, {})
        top = root.sign(chip.ark.rsa(), hashes.SHA384(), rsa_padding=PSS)
        above = Credential(key=chip.ark.key, certificate=top, above=())
        middle = forged(f"SEV-{ask}", chip.ask.certificate.public_key(), above, {})
        issuer = middle.sign(chip.ark.rsa(), hashes.SHA384(), rsa_padding=PSS)
        vcek = x509.load_pem_x509_certificate(forge_vcek(issuer=issuer.subject, product=product))
        return b"".join(map(pem, (vcek, issuer, top)))

    machine().appraise(machine().evidence(certs=certs("Genoa", "Genoa", "Genoa")))
    refused(machine().evidence(certs=certs(product, ask, ark)), "E05")


def test_a22_vcek_under_another_algorithm() -> None:
    """Signed by the right ASK, and in a way that AMD does not sign."""
    builder = forged("SEV-VCEK", machine().chip.vcek.certificate.public_key(), machine().chip.ask, {})
    for padded in (padding.PKCS1v15(), padding.PSS(padding.MGF1(hashes.SHA384()), 32)):
        vcek = builder.sign(machine().chip.ask.rsa(), hashes.SHA384(), rsa_padding=padded)
        refused(machine().evidence(certs=b"".join(map(pem, (vcek, *machine().chip.vcek.above)))), "E05")


def test_a22_ask_that_is_no_rsa_key() -> None:
    ark = machine().chip.ark
    key = ec.generate_private_key(ec.SECP384R1())
    ask = forged("SEV-Genoa", key.public_key(), ark, {}).sign(ark.rsa(), hashes.SHA384(), rsa_padding=PSS)
    above = Credential(key=key, certificate=ask, above=ark.chain)
    vcek = forged("SEV-VCEK", machine().chip.vcek.certificate.public_key(), above, {}).sign(key, hashes.SHA384())
    refused(machine().evidence(certs=b"".join(map(pem, (vcek, *above.chain)))), "E05")


def test_a22_signature_is_whole_octets() -> None:
    """A BIT STRING may leave bits unused; where they are zero the signature reads the same."""
    builder = forged("SEV-VCEK", machine().chip.vcek.certificate.public_key(), machine().chip.ask, {})
    signed = (builder.sign(machine().chip.ask.rsa(), hashes.SHA384(), rsa_padding=PSS) for _ in range(64))
    even = next(one for one in signed if not one.signature[-1] & 1)
    der = bytearray(even.public_bytes(Encoding.DER))
    der[-len(even.signature) - 1] = 1
    other = x509.load_der_x509_certificate(bytes(der))
    assert (other.signature, other.tbs_certificate_bytes) == (even.signature, even.tbs_certificate_bytes)
    refused(machine().evidence(certs=b"".join(map(pem, (other, *machine().chip.vcek.above)))), "E05")
    refused(machine().evidence(certs=b"".join(map(pem, (even, *machine().chip.vcek.above)))), "E07")


def test_a22_text_between_certificates() -> None:
    """A reader that takes the text for something else must not find another chain."""
    refused(machine().evidence(certs=b"comment\n" + machine().certs), "E05")
    machine().appraise(machine().evidence(certs=machine().certs + b"\n\n"))


@pytest.mark.parametrize(
    "values",
    [
        {"2": None},
        {"2": b"\x0c\x05Genoa"},
        {"2": b"\x16\x04Genoa"},
        {"3.1": None},
        {"3.1": b"\x02\x01\x0b"},
        {"3.1": b"\x02\x02\x00\x0a\x00"},
        {"3.1": b"\x02\x02\x01\x0a"},
        {"3.1": b"\x02\x01\x8a"},
        {"3.1": b"\x02\x00"},
        {"3.1": b"\x04\x01\x0a"},
        {"3.1": b""},
        {"3.1": b"\x02"},
        {"3.1": b"\x02\x80" + b"\x0a".rjust(128, b"\0")},
        {"3.2": b"\x02\x00"},
        {"3.3": b"\x02\x01\x1a"},
        {"3.4": b"\x02\x01\x01"},
        {"3.8": b"\x02\x01\x57"},
        {"4": None},
        {"4": bytes(64)},
        {"4": b"\x04\x40" + bytes(63)},
    ],
)
def test_a14_vcek_extensions(values: dict[str, bytes | None]) -> None:
    refused(machine().evidence(certs=forge_vcek(values=values)), "E07")


def test_a14_chip_id_in_an_octet_string() -> None:
    certs = forge_vcek(values={"4": b"\x04\x40" + machine().chip.chip_id})
    machine().appraise(machine().evidence(certs=certs))


def test_a14_patch_level_above_127() -> None:
    m = machine()
    report = m.report(m.claims(), tcb=ReportTcb(microcode=217))
    m.appraise(m.evidence(report=report, certs=forge_vcek(values={"3.8": b"\x02\x02\x00\xd9"})))
    refused(m.evidence(report=report, certs=forge_vcek(values={"3.8": b"\x02\x01\xd9"})), "E07")


def test_a14_vcek_of_another_curve() -> None:
    refused(machine().evidence(certs=forge_vcek(key=ec.generate_private_key(ec.SECP256R1()).public_key())), "E06")
    refused(machine().evidence(certs=forge_vcek(key=machine().ek.public_key())), "E06")


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256R1()])
def test_a14_a_curve_that_no_vcek_has(curve: ec.EllipticCurve) -> None:
    """The report is signed by the key that its certificate has."""
    m, key = machine(), ec.generate_private_key(curve)
    chip = dataclasses.replace(m.chip, vcek=dataclasses.replace(m.chip.vcek, key=key))
    evidence = m.evidence(
        report=patched(m.report(m.claims()), 0, b"", chip=chip), certs=forge_vcek(key=key.public_key())
    )
    if isinstance(curve, ec.SECP384R1):
        m.appraise(evidence)
    else:
        refused(evidence, "E06")


@pytest.mark.parametrize("algorithm", [0, 2, 0x101])
def test_a14_a_signature_by_another_algorithm(algorithm: int) -> None:
    refused(patched_evidence(0x34, algorithm.to_bytes(4, "little")), "E06")


def test_a14_a_chip_without_a_name() -> None:
    m = machine()
    report = m.report(m.claims(), chip_id=bytes(64))
    refused(m.evidence(report=report, certs=forge_vcek(values={"4": bytes(64)})), "E07")


def test_a14_cpuid_of_another_product() -> None:
    refused(patched_evidence(0x188, bytes([0x19, 0x01])), "E07")
    refused(patched_evidence(0x188, bytes([0x1A, 0x02])), "E07")
    refused(patched_evidence(0x188, bytes([0x17, 0x31])), "E07")


@pytest.mark.parametrize("at", [0x2A0 + 48, 0x2E7, 0x2E8 + 48, 1183])
def test_a25_bytes_in_the_signatures_unused_part(at: int) -> None:
    m = machine()
    report = bytearray(m.report(m.claims()))
    report[at] = 1
    refused(m.evidence(report=bytes(report)), "E36")


@pytest.mark.parametrize(
    ("at", "value"),
    [(2, b"\x00\x23"), (4, b"\x00\x04"), (12, b"\x00\x06"), (14, b"\x00\x16"), (16, b"\x00\x0c"), (0, b"\x00\x01")],
    ids=["ecc", "name-of-sha1", "symmetric", "rsapss", "sha384", "length"],
)
def test_a18_public_area_of_another_kind(at: int, value: bytes) -> None:
    public = bytearray(machine().ak_public)
    public[at : at + len(value)] = value
    refused(machine().evidence(ak_public=bytes(public)), "E22")
    with rejected("tpm-structure"):
        parse_rsa_public(bytes(public))


@pytest.mark.parametrize("scheme", [b"\x00\x15", b"\x00\x16", b"\x00\x00"], ids=["rsaes", "rsapss", "error"])
def test_a18_another_scheme_without_a_hash(scheme: bytes) -> None:
    with rejected("tpm-structure"):
        parse_rsa_public(rsa_public(machine().ak.public_key(), attributes=0x50472, policy=b"", scheme=scheme))


@pytest.mark.parametrize("kind", [0x8014, 0x8019, 0x801A, 0x0000])
def test_a18_an_attestation_of_another_kind(kind: int) -> None:
    """In the form of a certify."""
    name = sized(key_name(_ephemeral())) + sized(b"")
    assert parse_attest(attest_structure(name, kind=0x8017, extra=b"")).kind == "certify"
    with rejected("tpm-structure"):
        parse_attest(attest_structure(name, kind=kind, extra=b""))


def test_a17_malformed_public_areas() -> None:
    m = machine()
    refused(m.evidence(ak_public=b""), "E22")
    refused(m.evidence(ak_cert=b""), "E22")
    refused(m.evidence(ephemeral=b"", certify=attest_structure(sized(b"") + sized(b""), kind=0x8017, extra=b"")), "E20")


def test_a09_pinned_measurement() -> None:
    known = hashlib.sha384(b"firmware").hexdigest()
    machine().appraise(machine().evidence(), reference=ReferenceValues(measurements=("00" * 48, known)))
    other = ReferenceValues(measurements=("00" * 48,))
    refused(machine().evidence(), "E11", Fault.POLICY_MISMATCH, reference=other)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"HCLB"),
        (4, b"\x03"),
        (8, b"\x01"),
        (12, b"\x01"),
        (16, b"\x01"),
        (31, b"\x01"),
        (1216, b"\x01"),
        (1220, b"\x02"),
        (1224, b"\x01"),
        (1228, b"\x04"),
        (1232, b"\xff"),
        (1233, b"\x00"),
    ],
)
def test_a25_hcl_header(at: int, value: bytes) -> None:
    raw = bytearray(machine().evidence().hcl_report)
    raw[at : at + len(value)] = value
    refused(machine().evidence(hcl_report=bytes(raw)), "E01")


def test_a25_hcl_sizes_and_claims() -> None:
    m = machine()
    raw = m.evidence().hcl_report
    for broken in (b"", raw[:1236], raw[:-1], raw + b"\x01", raw + bytes(8192)):
        refused(m.evidence(hcl_report=broken), "E01")
    longer = bytearray(raw)
    for at in (8, 1216, 1232):  # all three sizes say that there is one more byte
        struct.pack_into("<I", longer, at, struct.unpack_from("<I", raw, at)[0] + 1)
    refused(m.evidence(hcl_report=bytes(longer)), "E01")
    assert parse_hcl(raw + bytes(9)).raw == raw
    with rejected("hcl"):
        parse_hcl(raw + bytes(9) + b"\x01")
    for claims in (b"[]", b"{}", b'{"keys":[]}', b"\xff"):
        refused(m.evidence(claims=claims), "E01")
    odd = msgspec.json.decode(m.claims())
    odd["user-data"] = 1
    refused(m.evidence(claims=msgspec.json.encode(odd)), "E01")


def test_a22_chain_is_valid_now() -> None:
    for later in (timedelta(days=31), timedelta(days=-2)):
        refused(machine().evidence(), "E38", now=machine().now + later)


def test_a22_root_of_the_right_name_and_another_key() -> None:
    m = machine()
    fake = Machine(chip=m.chip, ak=m.ak, ek=m.ek, ephemeral=m.ephemeral, maa=m.maa)
    roots = msgspec.structs.replace(fake.trust, amd_roots=("00" * 32,))
    refused(m.evidence(), "E04", Fault.UNTRUSTED_ROOT, trust=roots)


@pytest.mark.parametrize("production", [AZURE_US, AZURE_USGOV], ids=["us", "usgov"])
def test_s03_simulated_evidence_under_production_roots(production: Any) -> None:
    refused(machine().evidence(), "E04", Fault.UNTRUSTED_ROOT, trust=production)


@pytest.mark.parametrize("version", [0, 1, 6, 99])
def test_a25_unknown_report_version(version: int) -> None:
    refused(patched_evidence(0, version.to_bytes(4, "little")), "E36")


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_a25_every_version_has_its_fields(version: int) -> None:
    m = machine()
    said = patched(m.report(m.claims()), 0, version.to_bytes(4, "little"))
    without = patched(said, 0x188, bytes(3))
    with_vectors = patched(without, 0x1F8, b"\x01")
    for raw, held in ((without, True), (said, version > 2), (with_vectors, version == 5)):
        if held:
            assert m.appraise(m.evidence(report=raw)).hardware == parse_snp_report(raw)
        else:
            refused(m.evidence(report=raw), "E36")


def test_a25_report_signature() -> None:
    m = machine()
    report = bytearray(m.report(m.claims()))
    report[0xC0] ^= 1
    refused(m.evidence(report=bytes(report)), "E06")


def test_a07_bundle_that_claims_another_tee() -> None:
    refused(machine().evidence(tee="tdx", certs=b""), "E01")


@pytest.mark.parametrize(("name", "tee"), [("td_quote", "snp"), ("certs", "tdx")])
def test_a07_bundle_with_a_part_of_another_tee(name: str, tee: Tee) -> None:
    sound = machine().evidence(tee=tee, certs=b"").to_json()
    assert Evidence.from_json(sound)
    with rejected("evidence-json", fault=Fault.EVIDENCE_INVALID):
        Evidence.from_json(sound.replace(f'"{name}":""'.encode(), f'"{name}":"AAAA"'.encode()))
    with pytest.raises(ValueError, match="trust domain"):
        machine().evidence(tee=tee, **{"certs": b"", name: b"x"})


def test_tdx_is_refused_honestly() -> None:
    m = machine()
    claims = m.claims()
    td_report = bytearray(1184)
    td_report[128:160] = hashlib.sha256(claims).digest()
    raw = bytearray(hcl.report(bytes(td_report), claims)[: 1236 + len(claims)])
    raw[1224] = 4
    refused(m.evidence(tee="tdx", certs=b"", hcl_report=bytes(raw)), "E13")


def test_a25_tdreport_is_1024_bytes() -> None:
    m = machine()
    raw = bytearray(m.evidence().hcl_report)
    raw[1224], raw[32 + 1024] = 4, 1
    refused(m.evidence(tee="tdx", certs=b"", hcl_report=bytes(raw)), "E01")


def test_verdict_comes_from_appraise_only() -> None:
    verdict = machine().appraise(machine().evidence())
    values = {f.name: getattr(verdict, f.name) for f in dataclasses.fields(verdict)}
    with pytest.raises(TypeError):
        type(verdict)(**values, constructor_key=object())


def test_h04_metadata_certificates_prove_nothing_by_themselves() -> None:
    """The chain comes from IMDS, so from the host: a sound chain of another chip, another root, or an older one."""
    m, other = machine(), machine_of("Genoa", tcb=bytes([10, 0, 0, 0, 0, 0, 27, 88]))
    both = msgspec.structs.replace(m.trust, amd_roots=(*m.trust.amd_roots, *other.trust.amd_roots))
    refused(m.evidence(certs=other.certs), "E04", Fault.UNTRUSTED_ROOT)
    refused(m.evidence(certs=other.certs), "E06", trust=both)
    refused(m.evidence(certs=forge_vcek(values={"3.8": b"\x02\x01\x57"})), "E07")
