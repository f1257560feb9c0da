"""The claims of a receipt, and the values that its reader expects.

Invariant: `Claims` has no optional member but `column_keys`, which marks a job with sealed columns, `tasks`, which
marks a job in parts, and `privacy`, which marks a table with noise; a receipt without one of the others is invalid.
Digests are lower-case hexadecimal, times are UTC with hundredths of a second, rows and bytes are counts. No claim
contains values of records.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cji_core.digests import Hex32, Hex64, Hex96
from cji_core.suites import Suite
from cji_core.trail.fields import Code, Count, KeyId, Ori, Text, Token, TpmClock, Url, UsedColumnKeys, Utc, Volumes

if TYPE_CHECKING:
    from cji_core.wire.v1.worker_pb2 import Operation

Witnesses: TypeAlias = tuple[Literal["front"], Literal["cell"]]
WITNESSES: Final[Witnesses] = ("front", "cell")
"""The front vouches for the digests of all parts, the cell for rows, result header and the tag of every segment."""


class CryptoModule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cryptographic module of the keyholder. `certificate` is the number of its FIPS 140-3 certificate, or "none".

    `mode` is "approved" if the module enforced its approved mode when the worker started.
    """

    name: Text
    version: Token
    certificate: Token
    mode: Literal["approved", "not_approved"]


class Transport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The TLS connection that the job came by, as the door reported it to the front: `bits` of the suite's key."""

    protocol: Token
    cipher: Token
    bits: Count


class PartDigest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sealed part: SHA-256 over its whole ciphertext as sent (FLOE header, segments), and its length in bytes.

    All other digests are SHA-384. This one covers the bulk of the data, and all processors with SEV-SNP or TDX have
    instructions for SHA-256, so it hashes twice as fast.
    """

    name: Token
    sha256: Hex64
    bytes: Count


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker that ran tasks of the job, as its statements name it; its evidence contains `receipt_key`."""

    worker: Token
    receipt_key: KeyId
    evidence_sha384: Hex96
    region: Token
    tee: Token


class TasksClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tasks of a job in parts: the number of their statements, and the root of the Merkle tree over them.

    The tree is that of `cji_core.trail.merkle`; its leaves are the compact statements, in the order of stages and
    tasks.
    """

    plan_sha384: Hex96
    statements: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
    root_sha256: Hex64
    nodes: Annotated[tuple[Node, ...], Meta(min_length=1)]


class PrivacyClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a table with noise: the project whose persons it is about, epsilon in thousandths, the rows of a person.

    `budget` is "advisory": nobody but the submitter adds up what the tables of a project spend.
    """

    project: Text
    epsilon_thousandths: Count
    rows_per_person: Count
    budget: Literal["advisory"] = "advisory"


def privacy_of(operations: Sequence["Operation"]) -> PrivacyClaim | UnsetType:
    """The claim of a job with these operations, by its last one; none for a table without noise."""
    last = operations[-1]
    if not (last.HasField("aggregate") and last.aggregate.HasField("privacy")):
        return UNSET
    privacy = last.aggregate.privacy
    return PrivacyClaim(
        project=privacy.project,
        epsilon_thousandths=privacy.epsilon_thousandths,
        rows_per_person=privacy.rows_per_person,
    )


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a receipt vouches for. Parts are in the order of their numbers. No claim names a person.

    With `tasks`, the job ran in parts: `inputs` and `outputs` then have one member for each input and output; of
    several shards, `sha256` is over the digests of these. Machine, evidence and policy are those of the worker that
    finished the job.

    With `column_keys`, the job opened or sealed columns with keys of these statements, and `rows_out`, `chri_rows_out`
    and `subjects_out` of its volumes are 0.

    `suite` is the one that ran: that of the header, and that of this receipt's own signature.
    `previous_sha384` is `receipt_sha384` of the receipt with the previous sequence number, 96 zeros in the first one.
    `witnesses` lists the processes whose statements agreed before the receipt was signed; both are required.
    `submitter` is a name in the worker's policy, `submitter_key` the thumbprint of the key that signed the header.
    `tcb` maps the names of the TCB's components (SEV-SNP firmware ABI §2.2; TDX TEE_TCB_SVN) to their numbers.
    `host_profile` names the host profile that held from the start of the worker until this receipt, or is "none".
    `accepted_advisories` lists the machine's open advisories, each accepted by name by its operator.
    `tables_sha256` covers the decision tables in force, all of them, for every job.
    `trail` is the identity of the worker's audit trail, the hash of its first line, which has 32 random bytes.
    `audit_anchor` is the vTPM's counter to which the audit trail was anchored; on one machine it never decreases.
    """

    version: Annotated[int, Meta(ge=1, le=1)]
    worker: Token
    sequence: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
    previous_sha384: Hex96
    job_id: Hex32
    header_sha384: Hex96
    result_header_sha384: Hex96
    inputs: Annotated[tuple[PartDigest, ...], Meta(min_length=1)]
    outputs: Annotated[tuple[PartDigest, ...], Meta(min_length=1)]
    witnesses: Witnesses
    submitter: Token
    submitter_key: KeyId
    originating_ori: Ori
    requesting_ori: Ori
    suite: Suite
    purpose_code: Code
    operations: Annotated[tuple[Token, ...], Meta(min_length=1)]
    recipients: Annotated[tuple[KeyId, ...], Meta(min_length=1)]
    kek_id: Url
    volumes: Volumes
    started: Utc
    ended: Utc
    region: Token
    tee: Token
    tcb: Annotated[dict[Token, Count], Meta(min_length=1)]
    accepted_advisories: tuple[Token, ...]
    evidence_sha384: Hex96
    maa_token_sha384: Hex96
    policy_sha384: Hex96
    config_sha384: Hex96
    code_sha384: Hex96
    tables_sha256: Hex64
    fips: CryptoModule
    transport: Transport
    host_profile: Token
    simulated: bool
    tpm: TpmClock
    trail: Hex96
    audit_anchor: Count
    column_keys: Annotated[tuple[UsedColumnKeys, ...], Meta(min_length=1)] | UnsetType = UNSET
    tasks: TasksClaim | UnsetType = UNSET
    privacy: PrivacyClaim | UnsetType = UNSET

    @property
    def withheld(self) -> bool:
        """Whether its counts of what comes out are withheld: they would tell of opened values."""
        return self.column_keys is not UNSET


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The reader's expectations; each member that is set must equal the claim with the same name, None an absent one.

    `simulated` is required: a reader whose trust anchors are the vendors' own expects False and thereby refuses every
    receipt from a simulated machine, and vice versa.
    """

    simulated: bool
    worker: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    header_sha384: str | UnsetType = UNSET
    result_header_sha384: str | UnsetType = UNSET
    inputs: tuple[PartDigest, ...] | UnsetType = UNSET
    outputs: tuple[PartDigest, ...] | UnsetType = UNSET
    submitter: str | UnsetType = UNSET
    submitter_key: str | UnsetType = UNSET
    originating_ori: str | UnsetType = UNSET
    requesting_ori: str | UnsetType = UNSET
    suite: Suite | UnsetType = UNSET
    purpose_code: str | UnsetType = UNSET
    operations: tuple[str, ...] | UnsetType = UNSET
    recipients: tuple[str, ...] | UnsetType = UNSET
    kek_id: str | UnsetType = UNSET
    volumes: Volumes | UnsetType = UNSET
    region: str | UnsetType = UNSET
    tee: str | UnsetType = UNSET
    evidence_sha384: str | UnsetType = UNSET
    maa_token_sha384: str | UnsetType = UNSET
    policy_sha384: str | UnsetType = UNSET
    config_sha384: str | UnsetType = UNSET
    code_sha384: str | UnsetType = UNSET
    tables_sha256: str | UnsetType = UNSET
    fips: CryptoModule | UnsetType = UNSET
    transport: Transport | UnsetType = UNSET
    host_profile: str | UnsetType = UNSET
    trail: str | UnsetType = UNSET
    privacy: PrivacyClaim | UnsetType | None = UNSET
    column_keys: tuple[UsedColumnKeys, ...] | UnsetType | None = UNSET

    def differences(self, claims: Claims) -> tuple[str, ...]:
        """Names of the claims that differ, in the order of this class, e.g. `outputs[1].sha256`."""
        return differing(self, claims)


def differing(expected: msgspec.Struct, claims: msgspec.Struct) -> tuple[str, ...]:
    """Names of the claims that differ from the members of `expected` that are set, in the order of its members."""
    return tuple(
        name
        for field in expected.__struct_fields__
        if (want := getattr(expected, field)) is not UNSET
        for name in _differences(field, want, _present(getattr(claims, field)))
    )


def _present(claim: object) -> object:
    return None if claim is UNSET else claim


def _differences(name: str, want: object, found: object) -> list[str]:
    if want == found:
        return []
    if isinstance(want, tuple) and isinstance(found, tuple) and len(want) == len(found):
        pairs = enumerate(zip(want, found, strict=True))
        return [each for i, (w, f) in pairs for each in _differences(f"{name}[{i}]", w, f)]
    if isinstance(want, msgspec.Struct) and type(want) is type(found):
        fields = want.__struct_fields__
        return [each for f in fields for each in _differences(f"{name}.{f}", getattr(want, f), getattr(found, f))]
    return [name]
