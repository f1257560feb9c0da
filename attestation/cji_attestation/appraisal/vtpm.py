"""The vTPM's part of the evidence: quote and certified ephemeral key, both under the AK that the report vouches for.

TCG TPM 2.0 Library, Part 2 (structures) and Part 3 (TPM2_Quote, TPM2_Certify, TPM2_PolicyPCR).
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cji_attestation.appraisal.ak_certificate import certificates_in
from cji_attestation.appraisal.verdict import Verdict
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Record, invalid
from cji_attestation.evidence import Evidence, TpmAttest, TpmClock, TpmRsaPublic, parse_attest, parse_rsa_public
from cji_attestation.evidence.bundle import IMPORTED
from cji_attestation.evidence.tpm_structures import PCR_SELECTION, PCRS, pcr_digest, policy_pcr_digest, selected_pcrs
from cji_core.certs import spki_sha256

AK_ATTRIBUTES: Final = 0x50032  # sign, restricted, sensitiveDataOrigin, fixedParent, fixedTPM
EPHEMERAL_ATTRIBUTES: Final = 0x20432  # decrypt, noDA, sensitiveDataOrigin, fixedParent, fixedTPM
ENDORSEMENT_HIERARCHY: Final = 0x4000000B  # TPM_RH_ENDORSEMENT, whose primary key Azure's AK is
PCR_BYTES: Final = 32
_UNEXTENDED: Final = (bytes(PCR_BYTES), b"\xff" * PCR_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticVtpm:
    """The parts of the vTPM's evidence that later steps use."""

    ephemeral: rsa.RSAPublicKey | None  # None for imported evidence
    quote: TpmAttest


def authenticate_vtpm(
    evidence: Evidence,
    ak: rsa.RSAPublicKey,
    *,
    expected: bytes,
    earlier: Verdict | None,
    record: Record,
) -> AuthenticVtpm:
    """The quote and the certified ephemeral key, both under `ak`, which the hardware report vouches for.

    `expected` is the qualifying data that the quote must carry.
    """
    record.add(_check_quote_signature(evidence, ak))
    attest = record.take(_read_quote(evidence.quote))
    record.add(_check_qualifying_data(attest, expected))
    quoted = record.take(_check_selection(attest, imported=evidence.version == IMPORTED))
    record.add(_check_pcr_values(attest, evidence.pcrs, quoted))
    ephemeral = _ephemeral(evidence, ak, record)
    record.add(_check_ak(evidence, ak, signer=attest.signer))
    record.add(_check_clock(attest.clock, ak, earlier))
    return AuthenticVtpm(ephemeral=ephemeral, quote=attest)


def verify_signature(message: bytes, signature: bytes, ak: rsa.RSAPublicKey, check: str) -> None:
    """RSASSA with SHA-256 by the AK, or EVIDENCE_INVALID at this check."""
    try:
        ak.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise invalid(check) from error


def _check_quote_signature(evidence: Evidence, ak: rsa.RSAPublicKey) -> Check:
    verify_signature(evidence.quote, evidence.quote_signature, ak, "E14")
    return Check("E14", "quote signed by HCLAkPub")


def _read_quote(data: bytes) -> tuple[TpmAttest, Check]:
    try:
        attest = parse_attest(data)
    except AttestationError as error:
        raise invalid("E15") from error
    if attest.kind != "quote":
        raise invalid("E15", found=f"a {attest.kind}", expected="a quote")
    return attest, Check("E15", "quote made by a TPM")


def _check_qualifying_data(attest: TpmAttest, expected: bytes) -> Check:
    if not expected or not hmac.compare_digest(attest.extra_data, expected):
        raise invalid("E16", found=f"quote for {attest.extra_data.hex()}", expected=f"quote for {expected.hex()}")
    return Check("E16", "quote fresh")


def _check_selection(attest: TpmAttest, *, imported: bool) -> tuple[tuple[int, ...], Check]:
    """The PCRs of the quote: 0 to 7, and others behind them only in imported evidence."""
    quoted = selected_pcrs(attest.selection)
    if attest.selection != PCR_SELECTION and not (imported and quoted[: len(PCRS)] == PCRS):
        raise invalid("E17", found=f"selection {attest.selection.hex()}", expected=f"selection {PCR_SELECTION.hex()}")
    return quoted, Check("E17", f"PCRs sha256:{','.join(map(str, quoted))}" if quoted != PCRS else "PCRs sha256:0-7")


def _check_pcr_values(attest: TpmAttest, pcrs: tuple[bytes, ...], quoted: tuple[int, ...]) -> Check:
    if len(pcrs) != len(quoted) or any(len(value) != PCR_BYTES for value in pcrs):
        raise invalid("E18", found=f"other values than {len(quoted)} of 32 bytes")
    if attest.digest != pcr_digest(pcrs):
        raise invalid("E18", found=f"values with digest {pcr_digest(pcrs).hex()}", expected=attest.digest.hex())
    if unextended := [pcr for pcr in PCRS if pcrs[pcr] in _UNEXTENDED]:
        raise invalid("E18", found=f"never extended: {unextended}", expected="a measured boot")
    return Check("E18", "PCR values as quoted")


def _ephemeral(evidence: Evidence, ak: rsa.RSAPublicKey, record: Record) -> rsa.RSAPublicKey | None:
    """E20 and E21."""
    if evidence.version == IMPORTED:
        record.add(Skipped("E20", "no ephemeral key: imported evidence is for no release"))
        record.add(Skipped("E21", "no ephemeral key"))
        return None
    key = record.take(_read_ephemeral(evidence, ak))
    return record.take(_check_ephemeral(key, evidence.pcrs))


def _read_ephemeral(evidence: Evidence, ak: rsa.RSAPublicKey) -> tuple[TpmRsaPublic, Check]:
    verify_signature(evidence.certify, evidence.certify_signature, ak, "E20")
    try:
        attest, key = parse_attest(evidence.certify), parse_rsa_public(evidence.ephemeral)
    except AttestationError as error:
        raise invalid("E20") from error
    if attest.kind != "certify" or attest.name != key.name:
        raise invalid("E20", found="the AK certified another key")
    return key, Check("E20", "ephemeral key certified")


def _check_ephemeral(key: TpmRsaPublic, pcrs: tuple[bytes, ...]) -> tuple[rsa.RSAPublicKey, Check]:
    """It lives in the TPM only, and decrypts only while the PCRs keep their values."""
    modulus = int.from_bytes(key.modulus, "big")
    sound = (
        key.attributes == EPHEMERAL_ATTRIBUTES
        and not key.signing
        and key.policy == policy_pcr_digest(pcrs)
        and key.bits == modulus.bit_length() == 2048
        and key.exponent == 65537
    )
    if not sound:
        raise invalid("E21")
    public = rsa.RSAPublicNumbers(key.exponent, modulus).public_key()
    return public, Check("E21", "ephemeral key bound to TPM and PCRs")


def _check_ak(evidence: Evidence, ak: rsa.RSAPublicKey, *, signer: bytes) -> Check:
    """A quote names its signer by the Qualified Name: the digest of the parent's name and of the whole public area.

    So no bit of the public area can be another one (Part 1, "Names"). The hardware report vouches for the key itself;
    who issued its certificate is for E44.
    """
    certificates = certificates_in(evidence.ak_cert)
    try:
        public = parse_rsa_public(evidence.ak_public)
    except AttestationError as error:
        raise invalid("E22") from error
    qualified = hashlib.sha256(ENDORSEMENT_HIERARCHY.to_bytes(4, "big") + public.name).digest()
    same = (
        all(spki_sha256(one.public_key()) == spki_sha256(ak) for one in certificates[:1])
        and int.from_bytes(public.modulus, "big") == ak.public_numbers().n
        and public.signing
        and public.attributes & AK_ATTRIBUTES == AK_ATTRIBUTES
        and signer == public.name[:2] + qualified
    )
    if not same:
        raise invalid("E22")
    return Check("E22", "AK is restricted" + (" and certified" if certificates else ""))


def _check_clock(clock: TpmClock, ak: rsa.RSAPublicKey, earlier: Verdict | None) -> Check:
    """TPMS_CLOCK_INFO (Part 1, "Timing Components") counts milliseconds inside the vTPM, apart from wall time.

    A virtual machine that was rolled back, resumed or swapped shows it here.
    """
    if earlier is None:
        return Skipped("E35", "first quote; nothing to compare")
    before = earlier.clock
    if ak.public_numbers() != earlier.ak.public_numbers() or not before.precedes(clock):
        raise invalid("E35", found=str(clock), expected=f"the same AK and boot, after {before}")
    return Check("E35", f"{clock.clock - before.clock} ms after the earlier quote, same boot")
