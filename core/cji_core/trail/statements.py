"""The signed statement of one task of a job in parts: compact JWS, `typ` "cji-task+jws".

    statement = b64url(header) "." b64url(payload) "." b64url(signature)
    header    = {"alg":"ES384","kid":"<RFC 7638 thumbprint>","typ":"cji-task+jws"}         exactly, in this order
    payload   = `Statement` as compact JSON, members in the order of their definition
    proof     = HMAC of the same JSON without `proof`, under a key that only holders of the job's data key have

The signature binds the statement to the receipt key in `receipt_jwk`, whose evidence the statement names. The proof
shows that this node was given the job's key, so the node that finishes the job need not appraise the others. A
statement has one encoding. No claim depends on values of records but the rows of this task's shards: rows of shuffle
streams are not among them, as the streams' padding hides these. docs/format.md §10.
"""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from msgspec import UNSET, Meta, UnsetType

from cji_core.digests import Hex32, Hex64, Hex96
from cji_core.documents import OneForm
from cji_core.errors import CoreError
from cji_core.jose import SigningKey, join_compact, key_id, parse_canonical_verifying, split_compact
from cji_core.jose import sign as sign_message
from cji_core.jose import verify as verify_message
from cji_core.strict import b64url
from cji_core.suites import Suite
from cji_core.trail.fields import Count, KeyId, Token, Utc

MAX_BYTES: Final = 1 << 20
StageName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
Number = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]


class StatedStream(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """A shuffle stream, as an array: its name, segments and bytes, and base64url of SHA-256 over its segments' tags."""

    edge: Number
    producer: Number
    consumer: Number
    segments: Count
    bytes: Count
    tags_sha256: KeyId


class StatedPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """A part of the job, as an array: number, segments, bytes, base64url of SHA-256 over tags and over bytes."""

    part: Number
    segments: Count
    bytes: Count
    tags_sha256: KeyId
    sha256: KeyId


class Machine(NamedTuple):
    """The claims about a machine that the receipt of a job in parts states once, so all its workers must share them."""

    simulated: bool
    code_sha384: str
    tables_sha256: str
    host_profile: str
    fips: str


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a statement vouches for, but the proof.

    `plan_sha384` is 96 zeros in statements of tasks that ran before the plan; `made_plan_sha384` is in that of the task
    that made it. `rows_in` counts the records of the task's shard; the others the rows of its shards of `result`, of
    `row_status`, and of the output with one row for each released subject.
    """

    version: Annotated[int, Meta(ge=1, le=1)]
    worker: Token
    receipt_jwk: Annotated[str, Meta(max_length=4096)]
    job_id: Hex32
    header_sha384: Hex96
    plan_sha384: Hex96
    made_plan_sha384: Hex96 | UnsetType = UNSET
    stage: StageName
    task: Number
    attempt: Hex32
    parts_in: tuple[StatedPart, ...]
    streams_in: tuple[StatedStream, ...]
    streams_out: tuple[StatedStream, ...]
    parts_out: tuple[StatedPart, ...]
    rows_in: Count
    rows_out: Count
    rows_status: Count
    subjects_out: Count
    started: Utc
    ended: Utc
    region: Token
    tee: Token
    evidence_sha384: Hex96
    maa_token_sha384: Hex96
    policy_sha384: Hex96
    config_sha384: Hex96
    code_sha384: Hex96
    tables_sha256: Hex64
    host_profile: Token
    fips: Literal["approved", "not_approved"]
    simulated: bool

    @property
    def machine(self) -> Machine:
        """The claims that all workers of the job must share."""
        return Machine(
            simulated=self.simulated,
            code_sha384=self.code_sha384,
            tables_sha256=self.tables_sha256,
            host_profile=self.host_profile,
            fips=self.fips,
        )

    def encoded(self) -> bytes:
        """The bytes that the proof covers."""
        return msgspec.json.encode(Facts(**{name: getattr(self, name) for name in Facts.__struct_fields__}))


class Statement(Facts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts and their proof, HMAC-SHA384 in base64url."""

    proof: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{64}\Z")]


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alg: Literal["ES384"]
    kid: KeyId
    typ: Literal["cji-task+jws"]


_headers: Final = OneForm(_Header, limit=MAX_BYTES)
_statements: Final = OneForm(Statement, limit=MAX_BYTES)


class StatementError(CoreError):
    """Not a statement, or not one that was signed with the key that it names."""

    code = "statement-invalid"
    remedy = "Compare the statement with the job and the machine that made it."


def sign_statement(facts: Facts, proof: bytes, key: SigningKey) -> str:
    """The compact JWS, signed with the P-384 half of a pair. Raises ValueError if a claim does not fit its type."""
    header = _Header(alg="ES384", kid=key_id(key.public_key()), typ="cji-task+jws")
    payload = _statements.encode(Statement(**msgspec.structs.asdict(facts), proof=b64url(proof)))
    statement = join_compact(
        _headers.encode(header), payload, lambda signed: sign_message(key, signed, Suite.CLASSICAL_1)
    )
    if len(statement) > MAX_BYTES:
        raise ValueError("statement too long")
    return statement


def read_statement(statement: str) -> Statement:
    """The statement, signed with the receipt key in it; whether it belongs to a job is for the proof to show.

    Raises StatementError.
    """
    try:
        parts = split_compact(statement, limit=MAX_BYTES)
        said = _statements.decode(parts.payload)
        key = parse_canonical_verifying(said.receipt_jwk)
        if _headers.decode(parts.header).kid != key_id(key):
            raise StatementError
        verify_message(key, parts.signature, parts.signing_input, Suite.CLASSICAL_1)
    except (ValueError, InvalidSignature) as error:  # StrictError is a ValueError
        raise StatementError from error
    return said
