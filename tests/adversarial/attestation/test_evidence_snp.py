"""SEV-SNP evidence that must not be accepted: chains, reports and chips; the id of a pitfall in each name."""

import dataclasses
import os
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import Fault
from cji_attestation.appraisal import TcbFloor
from cji_attestation.evidence import parse_snp_report
from cji_simulator.certificates import Credential, name, pem
from cji_simulator.snp import Tcb as ReportTcb
from tests.support.evidence import refused, with_report
from tests.support.forge import (
    PSS,
    Machine,
    decided,
    forge_vcek,
    forged,
    machine,
    machine_of,
    patched,
    patched_evidence,
)


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
        reference=decided(floors={"Genoa": floor, "Turin": floor}),
    )
    exact = TcbFloor(**levels)
    machine().appraise(machine().evidence(), reference=decided(floors={"Genoa": exact, "Turin": exact}))


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


def test_a22_chain_is_exactly_three_and_in_order() -> None:
    vcek, ask, ark = (pem(one) for one in machine().chip.vcek.chain)
    for certs in (b"", vcek, vcek + ask, vcek + ask + ark + ark, b"garbage", vcek + ask + b"-----BEGIN"):
        refused(machine().evidence(certs=certs), "E05")
    for certs in (ask + vcek + ark, vcek + ark + ask, ark + ask + vcek):
        refused(machine().evidence(certs=certs), "E39")
    refused(machine().evidence(certs=vcek + ask + ask), "E04", Fault.UNTRUSTED_ROOT)  # in no order


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


@pytest.mark.parametrize(("authority", "check"), [(True, None), (False, "E05")])
def test_a22_ask_that_is_no_authority(authority: bool, check: str | None) -> None:
    """Signed by the pinned root, as everything is that AMD's root signs: also what is not to sign others."""
    chip = machine().chip
    middle = forged("SEV-Genoa", chip.ask.certificate.public_key(), chip.ark, {}, authority=authority)
    issuer = middle.sign(chip.ark.rsa(), hashes.SHA384(), rsa_padding=PSS)
    vcek = x509.load_pem_x509_certificate(forge_vcek(issuer=issuer.subject))
    found = machine().evidence(certs=b"".join(map(pem, (vcek, issuer, chip.ark.certificate))))
    if check is None:
        machine().appraise(found)
    else:
        refused(found, check)


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


def test_a22_chain_is_valid_now() -> None:
    for later in (timedelta(days=31), timedelta(days=-2)):
        refused(machine().evidence(), "E38", now=machine().now + later)


def test_a22_root_of_the_right_name_and_another_key() -> None:
    m = machine()
    fake = Machine(chip=m.chip, ak=m.ak, ek=m.ek, ephemeral=m.ephemeral, maa=m.maa)
    roots = msgspec.structs.replace(fake.trust, amd_roots=("00" * 32,))
    refused(m.evidence(), "E04", Fault.UNTRUSTED_ROOT, trust=roots)


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


def test_h04_metadata_certificates_prove_nothing_by_themselves() -> None:
    """The chain comes from IMDS, so from the host: a sound chain of another chip, another root, or an older one."""
    m, other = machine(), machine_of("Genoa", tcb=bytes([10, 0, 0, 0, 0, 0, 27, 88]))
    both = msgspec.structs.replace(m.trust, amd_roots=(*m.trust.amd_roots, *other.trust.amd_roots))
    refused(m.evidence(certs=other.certs), "E04", Fault.UNTRUSTED_ROOT)
    refused(m.evidence(certs=other.certs), "E06", trust=both)
    refused(m.evidence(certs=forge_vcek(values={"3.8": b"\x02\x01\x57"})), "E07")
