"""vTPM evidence that must not be accepted: quotes, PCRs, keys; the id of a pitfall in each name."""

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation import Fault
from cji_attestation.evidence import Evidence, parse_attest, parse_rsa_public, qualifying_data
from cji_attestation.evidence.tpm_structures import policy_pcr_digest
from tests.support.evidence import refused
from tests.support.forge import (
    NONCE,
    QUALIFYING,
    RECEIPT_KEY,
    attest_structure,
    decided,
    key_name,
    machine,
    quote_structure,
    rsa_public,
    sign,
    sized,
)
from tests.support.refusals import rejected


@pytest.mark.parametrize("value", [bytes(32), b"\xff" * 32])
def test_a09_pcr_never_extended(value: bytes) -> None:
    refused(machine().evidence(pcrs=(*machine().pcrs[:7], value)), "E18")


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
    refused(machine().evidence(), "E19", Fault.POLICY_MISMATCH, reference=decided(pcrs=pinned))
    known = machine().appraise(machine().evidence(), reference=decided(pcrs={7: pinned[7]}))
    assert ("E19", "PCRs 7 pinned") in known.checks


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


@pytest.mark.parametrize("exponent", [3, 65537])
def test_an_exponent_of_zero_means_the_usual_one(exponent: int) -> None:
    key = rsa.generate_private_key(exponent, 2048).public_key()
    assert parse_rsa_public(rsa_public(key, attributes=0x50472, policy=b"")).exponent == exponent


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
    refused(m.evidence(ak_cert=b"\x30\x82"), "E22")
    refused(m.evidence(ephemeral=b"", certify=attest_structure(sized(b"") + sized(b""), kind=0x8017, extra=b"")), "E20")
