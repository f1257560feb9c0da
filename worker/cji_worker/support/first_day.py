"""The facts of a first deployment, by type: what only Azure can show, so that it becomes test vectors.

    part        from                                     contents
    support     trail, status, export                    a support bundle
    evidence    `cji worker attest --evidence`           evidence (PCRs, both event logs), token, issuer's keys
    starts      trail: worker_started, attested          digests, isolation, times
    releases    trail: key_released, key_not_released    digests of statement and policy, findings, cause
    keys        `az keyvault key show`                   kind, length, operations, digest of the release policy
    rows        query of CjiAudit_CL                     of each row: kind, line, delay, and whether the chain holds
    vault_rows  query of AZKVAuditLogs                   operation, outcome, times, whether the trail has the request

Evidence is what this worker shows to every submitter who asks: reference values and timestamp beside it are taken
out, and keys in it are public ones. All else is a number, a time, a digest, or a word of a list of this program; a
value that another program wrote is compared, not copied. The vault's statement has the wrapped key and stays out.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from cryptography import x509
from msgspec import Meta

from cji_attestation import AttestationError
from cji_attestation.evidence import Evidence
from cji_attestation.evidence_file import EvidenceFile, decode_evidence
from cji_core.digests import Hex64, Hex96
from cji_core.documents import OneForm, convert
from cji_core.errors import SpecError
from cji_core.jose import parse_verifying
from cji_core.moments import moment
from cji_core.strict import StrictError, b64url, b64url_decode, hex_decode, parse, parse_object
from cji_core.trail.chain import ChainError, Record
from cji_core.trail.events import Attested, KeyNotReleased, KeyReleased
from cji_core.trail.fields import LineNumber, ReleaseFailure, RuleId
from cji_core.trail.trail import verified
from cji_core.trail.worker_events import WorkerStarted
from cji_worker.errors import WorkerError
from cji_worker.support.bundle import Bundle, Count, Fact, Kind, Utc, closed_words, require_words

MAX_INPUT_BYTES: Final = 8 << 20
_MAX_LISTED: Final = 4096
_JWS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_CLOUD: Final = re.compile(r"[a-z-]{1,32}", re.ASCII)
_ISSUER: Final = re.compile(r"https://[a-z0-9.-]{1,200}(:[0-9]{1,5})?/?", re.ASCII)
_PUBLISHED: Final = frozenset({"alg", "e", "kid", "kty", "n", "use", "x5c"})
_OPERATIONS: Final = ("KeyRelease", "KeyGet", "KeyCreate", "KeyUpdate", "KeyImport", "KeyRotate", "VaultGet")
_TEES: Final = ("snp", "tdx")
_ATTESTED: Final = {"evidence_sha384": "EvidenceSha384", "maa_token_sha384": "MaaTokenSha384"}
_RELEASED: Final = {
    "statement_sha384": "StatementSha384",
    "evidence_sha384": "EvidenceSha384",
    "policy_sha256": "PolicySha256",
}
"""Columns of the fields that an event has."""
_T = TypeVar("_T", bound=Fact)
Milliseconds = Annotated[int, Meta(ge=-(1 << 40), le=1 << 40)]


class FirstDayError(WorkerError):
    """An input is not what its option takes; the text names the option and nothing of the input."""

    code = "first-day-input"


class Start(Fact, frozen=True, kw_only=True):
    """A start of the worker, or an attestation after it: one of both has values."""

    time: Utc
    code_sha384: Hex96 | None = None
    simulated: bool | None = None
    tee: Literal["snp", "tdx", "other"] | None = None
    evidence_sha384: Hex96 | None = None
    maa_token_sha384: Hex96 | None = None


class Release(Fact, frozen=True, kw_only=True):
    """A key that the vault released or did not: then only the cause is there."""

    time: Utc
    cause: ReleaseFailure | None = None
    statement_sha384: Hex96 | None = None
    evidence_sha384: Hex96 | None = None
    policy_sha256: Hex64 | None = None
    policy_immutable: bool | None = None
    policy_findings: tuple[RuleId, ...] = ()


class VaultKey(Fact, frozen=True, kw_only=True):
    """A key as the vault shows it, without its name and its modulus."""

    kind: Literal["RSA", "RSA-HSM", "EC", "EC-HSM", "other"]
    bits: Count
    operations: tuple[Literal["wrapKey", "unwrapKey", "encrypt", "decrypt", "sign", "verify", "other"], ...]
    exportable: bool | None
    enabled: bool
    policy_sha256: Hex64 | None
    policy_immutable: bool | None


class Row(Fact, frozen=True, kw_only=True):
    """A row of CjiAudit_CL, and `delay_ms` until it arrived.

    `continues`: its hash of the line before is that of the row before, None if that row is not there. `same`: both
    hashes, kind and time are those of the trail's line, None if the line is not there.
    """

    line: LineNumber
    kind: Kind
    delay_ms: Milliseconds
    continues: bool | None
    same: bool | None


class VaultRow(Fact, frozen=True, kw_only=True):
    """A row of AZKVAuditLogs; `in_trail` if a line of the trail has its correlation id."""

    time: Utc
    operation: Literal["KeyRelease", "KeyGet", "KeyCreate", "KeyUpdate", "KeyImport", "KeyRotate", "VaultGet", "other"]
    status: Annotated[int, Meta(ge=0, le=599)]
    duration_ms: Count
    in_trail: bool


class FirstDay(Fact, frozen=True, kw_only=True):
    """Everything."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    support: Bundle
    evidence: Annotated[tuple[EvidenceFile, ...], Meta(max_length=64)] = ()
    starts: Annotated[tuple[Start, ...], Meta(max_length=_MAX_LISTED)] = ()
    releases: Annotated[tuple[Release, ...], Meta(max_length=_MAX_LISTED)] = ()
    keys: Annotated[tuple[VaultKey, ...], Meta(max_length=64)] = ()
    rows: Annotated[tuple[Row, ...], Meta(max_length=_MAX_LISTED)] = ()
    vault_rows: Annotated[tuple[VaultRow, ...], Meta(max_length=_MAX_LISTED)] = ()


def encode_first_day(found: FirstDay) -> bytes:
    """The file. Every value is checked against its type once more; raises ValueError for one that does not fit."""
    data = msgspec.json.encode(found)
    again = OneForm(FirstDay, limit=len(data)).decode(data)
    require_words(again.support, kinds={each.kind for each in again.rows})
    return msgspec.json.format(data, indent=1) + b"\n"


def evidence_of(data: bytes) -> EvidenceFile:
    """A worker's answer, without what its maker knew beside it. Raises FirstDayError."""
    remedy = "Give the file of `cji worker attest --evidence`, or the evidence.json of `cji job run`."
    try:
        found = decode_evidence(data)
        for each in (found.evidence, found.token_evidence):
            Evidence.from_json(each)
        parse_verifying(found.receipt_jwk)
        keys = parse_object(found.jwks, limit=MAX_INPUT_BYTES)
        if found.amd_crl:
            x509.load_der_x509_crl(found.amd_crl)
        public = keys.keys() == {"keys"} and all(each.keys() <= _PUBLISHED for each in keys["keys"])
        texts = ((_CLOUD, found.cloud), (_JWS, found.maa_token), (_ISSUER, found.maa_url))
        if not public or not all(form.fullmatch(text) for form, text in texts):
            raise ValueError
    except (SpecError, AttestationError, ValueError, TypeError, AttributeError) as error:
        raise FirstDayError("--evidence: not the evidence of a worker", remedy=remedy) from error
    return msgspec.structs.replace(found, reference=b"{}", timestamp=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """Of a line of a trail, what a row is compared with; digests in base64url, as the stream has them."""

    hash: str
    prev: str
    kind: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadRow:
    """A row of CjiAudit_CL: worker and number, the line that it states, its arrival, all columns."""

    place: tuple[str, int]
    line: _Line
    arrived: datetime
    fields: Mapping[str, Any]


class Trails:
    """Starts and releases of trails, and the digests of each line that a row is compared with.

    Raises OSError, and FirstDayError for a trail with more than a first day.
    """

    def __init__(self, trails: Sequence[Path], rows: bytes | None = None) -> None:
        """`rows` answers a query of CjiAudit_CL. Without a trail, starts and releases are those of the rows."""
        found = () if rows is None else (_row(each) for each in _objects(rows, "--rows", "CjiAudit_CL"))
        self._rows = sorted(found, key=lambda each: each.place)
        self.starts: list[Start] = []
        self.releases: list[Release] = []
        self.lines: dict[tuple[str, int], _Line | None] = {each.place: None for each in self._rows}
        self.requests: set[str] = set()
        for trail in trails:
            try:
                for _, record in verified(trail):
                    self._take(record)
            except ChainError:
                continue  # up to the break; the support bundle says that there is one
        if not trails:
            for each in self._rows:
                self._take_row(each)

    def _take(self, record: Record) -> None:
        if (place := (record.worker, record.seq)) in self.lines:
            self.lines[place] = _Line(
                hash=b64url(hex_decode(record.hash)),
                prev=b64url(hex_decode(record.prev)),
                kind=record.event.kind,
                time=record.time,
            )
        match record.event:
            case WorkerStarted() as event:
                started = Start(time=record.time, code_sha384=event.code_sha384, simulated=event.simulated)
                self.starts.append(started)
            case Attested() as event:
                attested = Start(
                    time=record.time,
                    tee=_word(event.tee, _TEES),
                    evidence_sha384=event.evidence_sha384,
                    maa_token_sha384=event.maa_token_sha384,
                )
                self.starts.append(attested)
            case KeyReleased() as event:
                self.requests.add(event.request_id)
                released = Release(
                    time=record.time,
                    statement_sha384=event.statement_sha384,
                    evidence_sha384=event.evidence_sha384,
                    policy_sha256=event.policy_sha256,
                    policy_immutable=event.policy_immutable,
                    policy_findings=(*event.policy_accepted, *event.policy_warnings),
                )
                self.releases.append(released)
            case KeyNotReleased() as event:
                self.releases.append(Release(time=record.time, cause=event.cause))
        if max(len(self.starts), len(self.releases)) > _MAX_LISTED:
            remedy = "Give the first lines of the trail alone (head -n 10000), or --rows of those days in its place."
            raise FirstDayError(f"--trail: more than {_MAX_LISTED} starts and attestations, or releases", remedy=remedy)

    def rows(self) -> tuple[Row, ...]:
        """The rows of CjiAudit_CL, in the order of their lines."""
        hashes = {each.place: each.line.hash for each in self._rows}
        return tuple(
            Row(
                line=number,
                kind=each.line.kind,
                delay_ms=_ms(each.arrived, moment(each.line.time)),
                continues=None if (before := hashes.get((worker, number - 1))) is None else before == each.line.prev,
                same=None if (known := self.lines.get(each.place)) is None else known == each.line,
            )
            for each in self._rows
            for worker, number in (each.place,)
        )

    def _take_row(self, row: _ReadRow) -> None:
        fields, time = row.fields, row.line.time
        match row.line.kind:
            case "worker_started":
                simulated = _flag(fields.get("Simulated"))
                self.starts.append(
                    _checked(Start, time=time, code_sha384=fields.get("CodeSha384"), simulated=simulated)
                )
            case "attested":
                digests = {name: fields.get(column) for name, column in _ATTESTED.items()}
                self.starts.append(_checked(Start, time=time, tee=_word(str(fields.get("Tee")), _TEES), **digests))
            case "key_released":
                self.requests.add(str(fields.get("RequestId")).lower())
                digests = {name: fields.get(column) for name, column in _RELEASED.items()}
                immutable = _flag(fields.get("PolicyImmutable"))
                self.releases.append(_checked(Release, time=time, policy_immutable=immutable, **digests))
            case "key_not_released":
                self.releases.append(_checked(Release, time=time, cause=fields.get("Cause")))

    def vault_rows(self, data: bytes) -> tuple[VaultRow, ...]:
        """The answer of a query of AZKVAuditLogs. Raises FirstDayError."""
        return tuple(self._vault_row(each) for each in _objects(data, "--vault-rows", "AZKVAuditLogs"))

    def _vault_row(self, row: Mapping[str, Any]) -> VaultRow:
        operation = row.get("OperationName")
        try:
            return VaultRow(
                time=moment(str(row["TimeGenerated"])).strftime("%Y-%m-%dT%H:%M:%SZ"),
                operation=operation if operation in _OPERATIONS else "other",
                status=int(str(row["HttpStatusCode"])),
                duration_ms=int(float(str(row["DurationMs"]))),
                in_trail=str(row.get("CorrelationId", "")).lower() in self.requests,
            )
        except (KeyError, ValueError, OverflowError) as error:
            remedy = "Query all columns of AZKVAuditLogs."
            raise FirstDayError("--vault-rows: a row without time, status or duration", remedy=remedy) from error


class _AzAttributes(msgspec.Struct, frozen=True):
    enabled: bool
    exportable: bool | None = None


class _AzKey(msgspec.Struct, frozen=True, rename="camel"):
    kty: str
    n: str | None = None
    key_ops: tuple[str, ...] = ()


class _AzPolicy(msgspec.Struct, frozen=True, rename="camel"):
    encoded_policy: str
    immutable: bool | None = None


class _AzShow(msgspec.Struct, frozen=True, rename="camel"):
    attributes: _AzAttributes
    key: _AzKey
    release_policy: _AzPolicy | None = None


def vault_key(data: bytes) -> VaultKey:
    """The output of `az keyvault key show`. Raises FirstDayError."""
    try:
        found = convert(parse(data, limit=MAX_INPUT_BYTES), _AzShow)
        policy = found.release_policy
        digest = (
            None if policy is None else hashlib.sha256(b64url_decode(policy.encoded_policy.rstrip("="))).hexdigest()
        )
        bits = int.from_bytes(b64url_decode(found.key.n.rstrip("="))).bit_length() if found.key.n else 0
    except (StrictError, ValueError) as error:
        remedy = "Give the output of `az keyvault key show`."
        raise FirstDayError("--key: not a key of a vault", remedy=remedy) from error
    return VaultKey(
        kind=_word(found.key.kty, ("RSA", "RSA-HSM", "EC", "EC-HSM")),
        bits=bits,
        operations=tuple(
            _word(each, ("wrapKey", "unwrapKey", "encrypt", "decrypt", "sign", "verify")) for each in found.key.key_ops
        ),
        exportable=found.attributes.exportable,
        enabled=found.attributes.enabled,
        policy_sha256=digest,
        policy_immutable=None if policy is None else bool(policy.immutable),
    )


def _word(text: str, words: Sequence[str]) -> Any:
    return text if text in words else "other"


def _objects(data: bytes, option: str, table: str) -> Iterator[Mapping[str, Any]]:
    remedy = f"Give the output of `az monitor log-analytics query` of {table}, as JSON."
    try:
        found = parse(data, limit=MAX_INPUT_BYTES)
    except StrictError as error:
        raise FirstDayError(f"{option}: not JSON", remedy=remedy) from error
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise FirstDayError(f"{option}: not a list of rows", remedy=remedy)
    if len(found) > _MAX_LISTED:
        raise FirstDayError(f"{option}: more than {_MAX_LISTED} rows", remedy="Query a shorter time.")
    yield from found


def _row(row: Mapping[str, Any]) -> _ReadRow:
    try:
        arrived = moment(str(row["TimeGenerated"]))
        happened = moment(str(row["EventTime"])).strftime("%Y-%m-%dT%H:%M:%S.%f")[:22]
        line = _Line(hash=str(row["Hash"]), prev=str(row["PreviousHash"]), kind=str(row["Kind"]), time=f"{happened}Z")
        place = (str(row["Worker"]), int(str(row["Seq"])))
        if line.kind not in closed_words()["kinds"]:
            raise ValueError
    except (KeyError, ValueError) as error:
        remedy = "Query all columns of CjiAudit_CL, of workers of this version."
        raise FirstDayError("--rows: a row without number, times, hashes or a known kind", remedy=remedy) from error
    return _ReadRow(place=place, line=line, arrived=arrived, fields=row)


def _checked(kind: type[_T], **values: object) -> _T:
    """A fact whose values another program wrote. Raises FirstDayError for one of another form."""
    try:
        return convert({name: value for name, value in values.items() if value not in (None, "")}, kind)
    except ValueError as error:
        remedy = "Query all columns of CjiAudit_CL, of workers of this version."
        raise FirstDayError("--rows: a row with a value of another form", remedy=remedy) from error


def _flag(value: object) -> bool | None:
    """Azure's command line prints a truth value as text."""
    return {"true": True, "false": False}.get(str(value).lower())


def _ms(later: datetime, earlier: datetime) -> int:
    return round((later - earlier).total_seconds() * 1000)
