"""The `[[witnesses]]` tables of `audit.toml`: one struct for each kind, closed and strict."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.audiences import CONFIDENTIAL_LEDGER
from cji_core.documents import convert
from cji_core.errors import StartupError
from cji_core.https import SYSTEM_ROOTS
from cji_core.trail.fields import Url

MAX_WITNESSES: Final = 16
_REMEDY: Final = 'Compare it with docs/audit.md, "Witnesses".'

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z")]
FilePath = Annotated[str, Meta(min_length=1, max_length=1024)]
Interval = Annotated[int, Meta(ge=60, le=86_400)]
ClientId = Annotated[str, Meta(pattern=r"^[0-9a-fA-F-]{36}\Z")]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """`interval_seconds` is the least time between two checkpoints for this witness."""

    name: Name
    interval_seconds: Interval = 600


class FileTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="file"):
    """A folder that this process may add files to, better on another machine."""

    folder: FilePath


class BlobTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="blob"):
    """A container of Azure Blob Storage with an immutability policy or a legal hold."""

    account_url: Url
    container: Annotated[str, Meta(pattern=r"^[a-z0-9](-?[a-z0-9]){2,62}\Z")]
    client_id: ClientId | None = None
    ca_file: FilePath = SYSTEM_ROOTS


class LedgerTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="confidential_ledger"):
    """An Azure Confidential Ledger.

    `service_certificate` is the PEM file of its identity, and the only TLS root; one from before a recovery may follow.
    """

    url: Url
    service_certificate: FilePath
    collection: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,128}\Z")] = "cji-checkpoints"
    audience: Url = CONFIDENTIAL_LEDGER
    client_id: ClientId | None = None


class ScittTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="scitt"):
    """A transparency service.

    `key_file` has the issuer's private key, which only the deliverer needs; `issuer_key` has its public key, and
    `service_key` that of the service, all as PEM. `entry` is what the service's tree has as its entry: the statement
    as registered, or the SHA-256 of it. `token_file` has a bearer token for the service, if it needs one.
    """

    url: Url
    issuer: Annotated[str, Meta(pattern=r"^[!-~]{1,256}\Z")]
    key_file: FilePath
    issuer_key: FilePath
    service_key: FilePath
    entry: Literal["statement", "statement_sha256"] = "statement"
    token_file: FilePath | None = None
    ca_file: FilePath = SYSTEM_ROOTS


class LogTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="log"):
    """The agency's log of its trails, `docs/witnesses.md`.

    `policy` is the file with its address, its keys and its witnesses; `earlier_policies` are those that it replaced,
    for receipts of their time. `token_file` has the submitter's token.
    """

    policy: FilePath
    earlier_policies: Annotated[tuple[FilePath, ...], Meta(max_length=16)] = ()
    token_file: FilePath
    ca_file: FilePath = SYSTEM_ROOTS


Table = LogTable | FileTable | BlobTable | LedgerTable | ScittTable


def tables(found: Iterable[dict[str, Any]], *, folder: Path) -> tuple[Table, ...]:
    """Check the tables; relative paths are relative to `folder`. Raises StartupError."""
    raw = list(found)
    if len(raw) > MAX_WITNESSES:
        raise StartupError("[[witnesses]] has more than 16 tables", "Remove some.")
    return tuple(_table(each, number, folder) for number, each in enumerate(raw, 1))


def _table(raw: dict[str, Any], number: int, folder: Path) -> Table:
    try:
        table: Table = convert(raw, Table)
    except msgspec.ValidationError as error:
        raise StartupError(f"[[witnesses]], table {number}: {error}", _REMEDY) from error
    paths = {
        name: str(folder / value)
        for name in (
            "folder",
            "policy",
            "ca_file",
            "service_certificate",
            "key_file",
            "issuer_key",
            "service_key",
            "token_file",
        )
        if isinstance(value := getattr(table, name, None), str)
    }
    if isinstance(table, LogTable):
        earlier = tuple(str(folder / each) for each in table.earlier_policies)
        return msgspec.structs.replace(table, **paths, earlier_policies=earlier)
    return msgspec.structs.replace(table, **paths)
