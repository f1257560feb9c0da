r"""Column keys: sealed for a worker and signed by their agency, verified, and opened in the worker.

    key, wrapped_key = a fresh key and its wrapping for the worker, in the suite of the statement (as a data key)
    sealed_keys      = box(key, "column-keys\0" ‖ SHA-384(statement), CEK 0 ‖ CEK 1 ‖ ...)
    signature        = over "cji-column-keys/1\0" ‖ SHA-384(statement) ‖ SHA-384(wrapped_key ‖ sealed_keys)

The key of the box comes from the statement's digest, so the keys open with these bytes alone: an agency that puts its
own statement around another's sealed keys has a box that does not open. The signature is over both, so nobody can put
other sealed keys behind a statement that was granted.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidSignature

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.columns.statement import CEK_BYTES, ColumnKeys, ColumnKeyStatement
from cji_core.format.envelope import (
    UnwrappingKey,
    WrappingKey,
    new_dek,
    open_box,
    open_dek,
    seal_box,
    signer_thumbprint,
)
from cji_core.jose import VerifyingKey, verify
from cji_core.suites import Suite


class Signer(Protocol):
    """An agency's signing key, wherever it is."""

    def public_key(self) -> VerifyingKey:
        """The key whose thumbprint is the statement's signer."""

    def sign(self, message: bytes, suite: Suite) -> bytes:
        """The signature of this suite."""


def seal_keys(
    statement: ColumnKeyStatement, ceks: Sequence[bytes], *, wrapping: WrappingKey, signer: Signer
) -> ColumnKeys:
    """These column encryption keys, in the order of the statement's, sealed and signed.

    ValueError unless these are the keys and the signer that are stated, and the worker's key is of the suite.
    InvalidSignature for a signature that is not the signer's.
    """
    digests = [hashlib.sha384(cek).digest() for cek in ceks]
    if digests != [key.cek_sha384 for key in statement.keys] or any(len(cek) != CEK_BYTES for cek in ceks):
        raise ValueError("these are not the keys of the statement")
    if signer_thumbprint(signer.public_key(), statement.suite) != statement.signer:
        raise ValueError("the statement is of another signer")
    key, wrapped_key = new_dek(wrapping, statement.suite)
    sealed_keys = seal_box(key, _purpose(statement), b"".join(ceks))
    signature = signer.sign(_to_be_signed(statement, wrapped_key, sealed_keys), statement.suite)
    keys = ColumnKeys(statement=statement, wrapped_key=wrapped_key, sealed_keys=sealed_keys, signature=signature)
    verify_statement(keys, signer.public_key())
    return keys


def verify_statement(keys: ColumnKeys, signer: VerifyingKey) -> None:
    """Return if the agency with this key signed the statement and what is sealed with it; else InvalidSignature."""
    statement = keys.statement
    if signer_thumbprint(signer, statement.suite) != statement.signer:
        raise InvalidSignature
    verify(signer, keys.signature, _to_be_signed(statement, keys.wrapped_key, keys.sealed_keys), statement.suite)


def open_keys(keys: Sequence[ColumnKeys], key: UnwrappingKey) -> tuple[bytes, ...]:
    """All column encryption keys of these statements, in the order of the statements and of the keys in each.

    Every statement is opened before a failure is reported, and all failures are the same DEK_UNWRAP_FAILED.
    """
    opened: list[bytes] = []
    failed = False
    for each in keys:
        try:
            opened += _open(each, key)
        except Refusal:
            failed = True
    if failed:
        raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
    return tuple(opened)


def _open(keys: ColumnKeys, key: UnwrappingKey) -> list[bytes]:
    statement = keys.statement
    plain = open_box(open_dek(key, keys.wrapped_key, statement.suite), _purpose(statement), keys.sealed_keys)
    ceks = [plain[start : start + CEK_BYTES] for start in range(0, len(plain), CEK_BYTES)]
    if [hashlib.sha384(cek).digest() for cek in ceks] != [stated.cek_sha384 for stated in statement.keys]:
        raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
    return ceks


def _purpose(statement: ColumnKeyStatement) -> bytes:
    return b"column-keys\0" + statement.sha384


def _to_be_signed(statement: ColumnKeyStatement, wrapped_key: bytes, sealed_keys: bytes) -> bytes:
    return b"cji-column-keys/1\0" + statement.sha384 + hashlib.sha384(wrapped_key + sealed_keys).digest()
