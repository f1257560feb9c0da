r"""The signed statement of one version of a table with encrypted columns: how many rows it has, and which.

    signature = over "cji-table-version/1\0" ‖ SHA-384(statement), by the key of the writer, in the suite of that key

The statement has one encoding. Nothing of it is used before its signature was verified.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from msgspec import Meta

from cji_client.columns.errors import TableRefused
from cji_client.errors import SpecError
from cji_client.signers import Signer
from cji_core.digests import Hex96
from cji_core.documents import OneForm, decode
from cji_core.jose import VerifyingKey, verify
from cji_core.pairs import VerifyingPair
from cji_core.strict import StrictError, b64url, b64url_decode
from cji_core.suites import Suite

MOST_VERSION: Final = (1 << 63) - 1
AGAIN: Final = "Add the MACs again with `cji columns rowmac add`, under the next version, where the rows are known."
_MAX_BYTES: Final = 1 << 18
_STATEMENT_BYTES: Final = 1 << 17

_Name = Annotated[str, Meta(min_length=1, max_length=1024)]


class TableStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Claims of the writer on one version of a table; `id` and `columns` are names in the database, ascending."""

    format: Literal["cji-table-version/1"] = "cji-table-version/1"
    table: Annotated[str, Meta(min_length=1, max_length=256)]
    version: Annotated[int, Meta(ge=1, le=MOST_VERSION)]
    id: _Name
    columns: Annotated[tuple[_Name, ...], Meta(min_length=1, max_length=64)]
    rows: Annotated[int, Meta(ge=0, le=MOST_VERSION)]
    row_macs_sha384: Hex96
    created: Annotated[datetime, Meta(tz=True)]


class _StatementFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    statement: str
    signature: str


_statements: Final = OneForm(TableStatement, limit=_STATEMENT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTable:
    """A statement as it was read, not yet verified, and its signature."""

    statement: TableStatement
    signature: bytes

    def encode(self) -> bytes:
        """The bytes of its file. SpecError for a statement that no reader takes."""
        found = _StatementFile(statement=b64url(_encoded(self.statement)), signature=b64url(self.signature))
        return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"

    def require(self, signer: VerifyingKey, *, table: str, least: int) -> TableStatement:
        """The statement, if this key signed it, it is of this table, and its version is `least` or later."""
        stated = self.statement
        try:
            verify(signer, self.signature, _to_be_signed(_encoded(stated)), _suite(signer))
        except InvalidSignature:
            remedy = "Do not use the table. Name the public half of the key that signed it, or add the MACs again."
            raise TableRefused("the statement is not signed by this key", remedy=remedy) from None
        if stated.table != table:
            remedy = "Name the statement and the columns.toml of one table."
            raise TableRefused(f"the statement is of {stated.table}, not of {table}", remedy=remedy)
        if stated.version < least:
            remedy = "Ask the writer for the statement of the last version: this may be an old table put back."
            raise TableRefused(f"the statement is of version {stated.version}, before {least}", remedy=remedy)
        return stated


def load_statement(file: Path) -> SignedTable:
    """The statement in this file; SpecError if it has none. Nothing was verified."""
    try:
        with file.open("rb") as stream:
            return parse_statement(stream.read(_MAX_BYTES + 1), file.name)
    except OSError as error:
        raise SpecError(f"{file} cannot be read ({error.strerror})", remedy=AGAIN) from None


def parse_statement(data: bytes, name: str = "the file") -> SignedTable:
    """The statement in these bytes. Nothing was verified."""
    try:
        found = decode(data, _StatementFile, limit=_MAX_BYTES)
        statement = _statements.decode(b64url_decode(found.statement))
        return SignedTable(statement=statement, signature=b64url_decode(found.signature))
    except StrictError as error:
        raise SpecError(f"{name} has no statement of a table's version", remedy=AGAIN) from error


def sign_table(statement: TableStatement, signer: Signer) -> SignedTable:
    """The statement, signed; SpecError if it cannot be, or the signature is not one of the signer's public key."""
    public = signer.public_key()
    message = _to_be_signed(_encoded(statement))
    signature = signer.sign(message, _suite(public))
    try:
        verify(public, signature, message, _suite(public))
    except InvalidSignature:
        raise SpecError("the signature does not verify with the signer's public key") from None
    return SignedTable(statement=statement, signature=signature)


def _encoded(statement: TableStatement) -> bytes:
    try:
        return _statements.encode(statement)
    except StrictError as error:
        raise SpecError(f"no statement can be made: {error}", remedy="Correct the option.") from None


def _suite(key: VerifyingKey) -> Suite:
    return Suite.HYBRID_1 if isinstance(key, VerifyingPair) else Suite.CLASSICAL_1


def _to_be_signed(statement: bytes) -> bytes:
    return b"cji-table-version/1\0" + hashlib.sha384(statement).digest()
