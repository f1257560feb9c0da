"""The results of `cji columns` as JSON."""

from typing import Annotated

import msgspec

from cji_client.columns.draft import Finding
from cji_core.command.json_output import member


class DescribedTable(msgspec.Struct, frozen=True, kw_only=True):
    """`cji columns describe`: the encrypted columns of a table."""

    file: Annotated[str, member("columns.toml")]
    table: Annotated[str, member("the table")]
    columns: Annotated[int, member("encrypted columns")]
    keys: Annotated[int, member("their keys")]
    findings: Annotated[tuple[Finding, ...], member("objects of the kind Finding")]


class ListedDigest(msgspec.Struct, frozen=True, kw_only=True):
    """A column encryption key in the agency's list."""

    key: Annotated[str, member("name of the key")]
    sha384: Annotated[str, member("its digest, hexadecimal")]
    added: Annotated[bool, member("whether the list did not have it")]


class ListedDigests(msgspec.Struct, frozen=True, kw_only=True):
    """`cji columns digest`: keys that are now in the agency's list."""

    file: Annotated[str, member("the list")]
    digests: Annotated[tuple[ListedDigest, ...], member("objects of the kind ListedDigest")]


class SealedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """`cji columns rewrap`: the keys of a table, sealed for a worker."""

    file: Annotated[str, member("file of the sealed keys")]
    table: Annotated[str, member("the table")]
    statement_sha384: Annotated[str, member("digest of the statement, hexadecimal, which the policy grants")]
    policy: Annotated[str, member("TOML for the agency in the worker's policy")]
    findings: Annotated[tuple[Finding, ...], member("objects of the kind Finding")]


class CheckedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """`cji columns check`: a verified statement."""

    table: Annotated[str, member("the table")]
    statement_sha384: Annotated[str, member("digest of the statement, hexadecimal")]
    signer: Annotated[str, member("thumbprint of the agency's key that signed")]
    originating_ori: Annotated[str, member("ORI of the records")]
    purpose_codes: Annotated[tuple[str, ...], member("purposes of jobs")]
    submitters: Annotated[tuple[str, ...], member("thumbprints of the keys that may sign such jobs")]
    kek_id: Annotated[str, member("the worker's key")]
    created: Annotated[str, member("when it was signed, ISO 8601")]
    not_after: Annotated[str, member("its last moment, ISO 8601")]
    columns: Annotated[tuple[str, ...], member("columns, type, class, encryption, key and rights, in words")]
    keys: Annotated[tuple[str, ...], member("SHA-384 of each key, and the path of its master key")]


class NewRowMacKey(msgspec.Struct, frozen=True, kw_only=True):
    """`cji columns rowmac key`: a new key of MACs."""

    file: Annotated[str, member("file of the key")]


class AddedRowMacs(msgspec.Struct, frozen=True, kw_only=True):
    """`cji columns rowmac add`: a table with a MAC over each row."""

    file: Annotated[str, member("the table with the column row_mac")]
    statement: Annotated[str, member("file of the signed statement")]
    table: Annotated[str, member("name of the table")]
    version: Annotated[int, member("its version")]
    rows: Annotated[int, member("its rows")]
    columns: Annotated[
        tuple[str, ...], member("encrypted columns that are under the MACs, by their names in the database")
    ]


class FaultyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is not as its writer signed it."""

    row: Annotated[int, member("its number, from 0")]
    fault: Annotated[str, member("the fault, in words")]


class VerifiedRowMacs(msgspec.Struct, frozen=True, kw_only=True):
    """`cji columns rowmac verify`: a table compared with the statement of its version."""

    table: Annotated[str, member("name of the table")]
    version: Annotated[int, member("version of the statement")]
    created: Annotated[str, member("when it was signed, ISO 8601")]
    as_signed: Annotated[bool, member("whether the table has exactly the rows that were signed")]
    rows: Annotated[int, member("rows of the table")]
    rows_signed: Annotated[int, member("rows that were signed")]
    id_position: Annotated[int, member("position of the column of ids in the table, from 0")]
    rows_faulty: Annotated[int, member("rows with another MAC, without id, or with the id of another row")]
    faulty: Annotated[tuple[FaultyRow, ...], member("the first 100 of them, objects of the kind FaultyRow")]
    findings: Annotated[tuple[str, ...], member("what else is not as signed, in words")]
