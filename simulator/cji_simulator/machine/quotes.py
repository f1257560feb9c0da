"""PCRs of a machine in QEMU as its vTPM signs them, asked from outside, and beside them those that were predicted."""

import os
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cji_attestation.evidence import parse_attest
from cji_attestation.evidence.tpm import Tpm
from cji_attestation.evidence.tpm_structures import PCRS, SYSTEM_PCRS, parse_rsa_public, pcr_digest
from cji_simulator.machine.errors import MachineError

__all__ = ["Pcr", "compared", "quoted"]


class Pcr(msgspec.Struct, frozen=True, kw_only=True):
    """One PCR as predicted from the image alone and as quoted, in hex; None where nothing predicts it."""

    pcr: int
    predicted: str | None
    quoted: str
    same: bool | None


def compared(predicted: Mapping[int, bytes], found: Mapping[int, bytes]) -> tuple[Pcr, ...]:
    """Both, by PCR."""
    rows = []
    for pcr, value in sorted(found.items()):
        expected = predicted.get(pcr)
        same = None if expected is None else expected == value
        rows.append(Pcr(pcr=pcr, predicted=None if expected is None else expected.hex(), quoted=value.hex(), same=same))
    return tuple(rows)


def quoted(tcti: str) -> dict[int, bytes]:
    """PCRs 0 to 15 under two quotes of the attestation key, for a new nonce; MachineError for one that is not sound."""
    nonce = os.urandom(32)
    found: dict[int, bytes] = {}
    with Tpm(tcti) as tpm:
        public = parse_rsa_public(tpm.ak_public())
        key = rsa.RSAPublicNumbers(public.exponent, int.from_bytes(public.modulus, "big")).public_key()
        for pcrs in (PCRS, SYSTEM_PCRS):
            values = tpm.pcr_values(pcrs)
            quote, signature = tpm.quote(nonce, pcrs)
            try:
                key.verify(signature, quote, padding.PKCS1v15(), hashes.SHA256())
            except InvalidSignature as error:
                raise MachineError("the vTPM's quote is not signed by its attestation key") from error
            attest = parse_attest(quote)
            if (attest.extra_data, attest.digest) != (nonce, pcr_digest(values)):
                raise MachineError("the vTPM's quote is of another moment: the machine still measures")
            found |= dict(zip(pcrs, values, strict=True))
    return found
