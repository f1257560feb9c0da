"""The fields of audit events and receipts: printable texts, identifiers, digests, counts, times.

Texts are bounded, identifiers and digests have a fixed shape, times are UTC with hundredths of a second (CJISSECPOL
AU-8).
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from cji_core.digests import Hex96
from cji_core.documents import convert_sent
from cji_core.trail.meaning import Meaning

Chip = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}([0-9a-f]{96})?\Z")]  # CHIP_ID of SEV-SNP, PPID of TDX
Utc = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{2}Z\Z")]
DocumentKind = Literal["review", "packet"]
Ori = Annotated[str, Meta(pattern=r"^[A-Z0-9]{9}\Z")]
Code = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,3}\Z")]
Token = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}\Z")]  # names, versions, addresses
Address = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:%\[\]/-]{1,128}\Z")]
RuleId = Annotated[str, Meta(pattern=r"^RP[0-9]{2}\Z")]  # of `cji policy lint`
KeyId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
Url = Annotated[str, Meta(pattern=r"^https://[A-Za-z0-9._:/-]{1,504}\Z")]
# Texts of a signed header: no control characters, no bidi marks, no line or paragraph separators.
_UNPRINTABLE = "\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff"
Text = Annotated[str, Meta(pattern=f"^[^{_UNPRINTABLE}]+\\Z", max_length=256)]
OptionalText = Annotated[str, Meta(pattern=f"^[^{_UNPRINTABLE}]*\\Z", max_length=256)]
DropCause = Literal["expired", "revoked", "pcr-drift", "evidence", "stopped"]
ReleaseFailure = Literal["denied", "unavailable"]
ReferenceCause = Literal["expired", "replaced", "key", "policy"]
ReloadSubject = Literal["policy_file", "policy_signatures", "client_roots", "client_crl", "bundle", "reload"]
ReloadRequester = Literal["signal", "command"]
DisagreementAbout = Literal["result_header", "inputs", "outputs", "rows", "plan"]
StatementFault = Literal["form", "proof", "job", "order", "streams", "parts", "missing", "rows", "machine"]
TokenCheck = Literal[
    "unexpected",
    "missing",
    "size",
    "form",
    "algorithm",
    "keys",
    "kid",
    "signature",
    "version",
    "issuer",
    "tenant",
    "audience",
    "client",
    "app-only",
    "not-yet-valid",
    "expired",
    "lifetime",
    "certificate",
    "binding",
    "role",
]  # docs/entra.md describes each
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")]
TicketFault = Literal["malformed", "absent", "submission", "digest", "unverified"]
OverdueCause = Literal["late", "unreadable", "contradicted"]
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
LineNumber = Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
Note = Annotated[str, Meta(pattern=r"^[ -~\n\u2014]+\Z", max_length=16 * 1024)]  # a signed note of `checkpoint`
Jws = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z", max_length=64 * 1024)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all values in the trail: unknown fields are refused."""


class EventBase(Strict, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Base of all events. The docstring of an event is its text in docs/audit.md.

    A member that has its default is not in the line.
    """

    meaning: ClassVar[Meaning]
    """For sinks of other schemas."""
    counted: ClassVar[tuple[str, ...]] = ()
    """The members whose values a packet counts: they are few, and none is of a record."""
    is_normal: ClassVar[bool] = False
    """Whether it is of normal operation, so that no rule examines it."""

    @property
    def kind(self) -> str:
        """The event's type, as the trail names it."""
        return str(self.__struct_config__.tag)


class TpmClock(Strict, frozen=True, kw_only=True):
    """TPMS_CLOCK_INFO of the quote (TPM 2.0 part 2 §10.11.1): milliseconds, and counters of resets and restarts."""

    clock: Count
    reset_count: Count
    restart_count: Count


class Attributed(Strict, frozen=True, kw_only=True):
    """The part of a header's sealed attribution that AU-3(1) requires. It stands nowhere else."""

    operator_id: Text
    requestor: Text
    secondary_recipient: OptionalText


class EntraApplication(Strict, frozen=True, kw_only=True):
    """The application that a verified token of Microsoft Entra names. `uti` leads to the sign-in log of its tenant."""

    tenant: Uuid
    client: Uuid
    uti: Token | None = None


class UsedColumnKey(Strict, frozen=True, kw_only=True):
    """A column encryption key that a job was given: the path of its master key, its own SHA-384, its algorithm."""

    key_path: Text
    cek_sha384: Hex96
    algorithm: Literal["AEAD_AES_256_CBC_HMAC_SHA256"] = "AEAD_AES_256_CBC_HMAC_SHA256"


class UsedColumnKeys(Strict, frozen=True, kw_only=True):
    """A statement on column keys, by SHA-384, and those of its keys that the sealed columns of a job need."""

    statement_sha384: Hex96
    keys: Annotated[tuple[UsedColumnKey, ...], Meta(min_length=1)]


class FileDigests(Strict, frozen=True, kw_only=True):
    """SHA-384 of the operator's files; `client_crl` is left out if none is configured."""

    policy_file: Hex96
    client_roots: Hex96
    client_crl: Hex96 | None = None


class Volumes(Strict, frozen=True, kw_only=True):
    """The amount of data in a job, never its content. Rows and subjects are counts, bytes are ciphertext bytes."""

    rows_in: Count
    rows_out: Count
    bytes_in: Count
    bytes_out: Count
    chri_rows_out: Count
    subjects_out: Count


def token_or_none(text: str) -> str | None:
    """The text if it is a Token."""
    try:
        return convert_sent(text, Token)
    except msgspec.ValidationError:
        return None


def utc_hundredths(moment: datetime) -> str:
    """`YYYY-MM-DDThh:mm:ss.hhZ` for an aware time, truncated to hundredths. Raises ValueError for a naive time."""
    if moment.tzinfo is None:
        raise ValueError("naive time")
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 10_000:02d}Z"


def unix_seconds(time: Utc) -> int:
    """Whole seconds since 1970 of a time that `utc_hundredths` wrote."""
    return int(datetime.fromisoformat(time).timestamp())
