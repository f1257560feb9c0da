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
