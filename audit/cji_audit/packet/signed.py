"""Readers of what was signed: receipts, confirmations, checkpoints. A wrong signature is a fact, no error.

Keys are those of their reader, by RFC 7638 thumbprint: receipt keys from evidence that was accepted, or from files;
reviewers' keys from files. A document that names no known key has the fault `no key for it was given`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec

from cji_audit.packet.errors import PacketError
from cji_audit.packet.keys import Keys, p384_of
from cji_audit.packet.material import Checkpoint, File, HeldReceipt
from cji_core.format.job.policy.grant import ConfirmationKey
from cji_core.jose import VerifyingKey, key_id, public_jwk
from cji_core.trail.checkpoint import CheckpointError, parse_checkpoint
from cji_core.trail.claims import Expected
from cji_core.trail.compact import ReceiptError, key_id_unverified
from cji_core.trail.confirmations import (
    ConfirmationError,
    VerifiedConfirmation,
    confirmation_unverified,
    verify_confirmation,
)
from cji_core.trail.receipts import claims_unverified, receipt_sha384
from cji_core.trail.receipts import verify as verify_receipt

NO_KEY: Final = "no key for it was given"
MAX_BYTES: Final = 4 << 20


def read_receipts(name: str, data: bytes, keys: Keys) -> tuple[HeldReceipt, ...]:
    """The receipts of a file, one a line. Where the trail has them is for `survey` to find."""
    return tuple(_receipt(name, text, keys) for text in _texts(name, data, "receipt"))


def _texts(name: str, data: bytes, what: str) -> list[str]:
    """The compact documents in a file, one a line."""
    remedy = f"Give a folder of .jws files, each with a {what} in each line."
    if len(data) > MAX_BYTES:
        raise PacketError(f"{name} is larger than 4 MiB", remedy)
    try:
        texts = data.decode("ascii").split()
    except UnicodeDecodeError:
        texts = []
    if not texts:
        raise PacketError(f"{name} contains no {what}", remedy)
    return texts


def confirmed(
    held: Sequence[HeldReceipt], receipts: Mapping[str, bytes], confirmations: Mapping[str, bytes], keys: Keys
) -> tuple[HeldReceipt, ...]:
    """The receipts, each with who confirmed its counts. PacketError for a confirmation of a receipt that is not given.

    `keys` are those that the maker gives; that the policy of the job names them is shown by the weekly review.
    """
    claims = {receipt_sha384(text): text for name, data in receipts.items() for text in _texts(name, data, "receipt")}
    named, found = [_named(key) for key in keys.values()], dict[str, list[str]]()
    wrong, seen = dict[str, list[str]](), set[tuple[str, str]]()
    for name, data in confirmations.items():
        for text in _texts(name, data, "confirmation"):
            try:
                digest = confirmation_unverified(text).receipt_sha384
                if digest not in claims:
                    raise PacketError(f"{name} confirms a receipt that was not given", "Give it with --receipts.")
                one = _confirmation(text, claims[digest], digest, named)
                fault = "doubled" if (digest, one.key_id) in seen else ""
                seen.add((digest, one.key_id))
                if fault or one.differences:
                    wrong.setdefault(digest, []).append(fault or one.words)
                else:
                    found.setdefault(digest, []).append(one.words)
            except ConfirmationError as error:
                if error.fault == "form":
                    raise PacketError(f"{name} contains no confirmation", "Give a folder of confirmations.") from error
                wrong.setdefault(digest, []).append(str(error))
    return tuple(
        msgspec.structs.replace(
            each,
            counts=", ".join(found[each.sha384]) if each.sha384 in found else each.counts,
            counted="; ".join(wrong.get(each.sha384, ())),
        )
        for each in held
    )


def _confirmation(text: str, receipt: str, digest: str, keys: Sequence[ConfirmationKey]) -> VerifiedConfirmation:
    claims = claims_unverified(receipt)
    recipient = confirmation_unverified(text).recipient
    return verify_confirmation(
        text,
        receipt=claims,
        receipt_sha384=digest,
        policy_sha384=claims.policy_sha384,
        keys=[key._replace(recipient=recipient) for key in keys],
    )


def _named(key: VerifyingKey) -> ConfirmationKey:
    return ConfirmationKey(recipient="", key_id=key_id(key), jwk=public_jwk(key), starts=date.min, until=date.max)


def _receipt(name: str, text: str, keys: Keys) -> HeldReceipt:
    file = File.of(name, text.encode())
    try:
        claims = claims_unverified(text)
        kid = key_id_unverified(text)
    except ReceiptError as error:
        raise PacketError(f"{name} contains no receipt: {error}", "Give a folder of receipt.jws files.") from error
    fault = NO_KEY
    if kid in keys:
        try:
            verify_receipt(text, key=keys[kid], expected=Expected(simulated=claims.simulated))
            fault = ""
        except ReceiptError as error:
            fault = str(error)
    return HeldReceipt(
        file=file,
        sha384=receipt_sha384(text),
        worker=claims.worker,
        ended=claims.ended,
        sequence=claims.sequence,
        fault=fault,
        key_id=kid,
        line=0,
    )


def read_checkpoint(name: str, data: bytes, keys: Keys) -> Checkpoint:
    """A checkpoint. PacketError for a text that is none."""
    try:
        found = parse_checkpoint(data)
    except CheckpointError as error:
        raise PacketError(f"{name} is not a checkpoint: {error}", "Give a folder of checkpoints only.") from error
    fault, signer = NO_KEY, ""
    for kid, p384 in p384_of(keys).items():
        try:
            found.verify(p384)
        except CheckpointError as error:
            if str(error) != "not signed by this key":
                fault, signer = str(error), kid
            continue
        fault, signer = "", kid
        break
    return Checkpoint(
        file=File.of(name, data),
        origin=found.origin,
        size=found.size,
        root=found.root.hex(),
        fault=fault,
        key_id=signer,
    )
