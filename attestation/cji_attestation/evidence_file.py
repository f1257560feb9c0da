"""evidence.json: a worker's answer to one nonce, with all that is needed to appraise it again without a network."""

import hashlib
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_attestation.appraisal import ReferenceValues, Verdict
from cji_attestation.errors import invalid
from cji_attestation.evidence import MAX_PATH_BYTES, NONCE_BYTES
from cji_attestation.evidence.event_log import AppliedBundle, bundle_event, read_bundle_event
from cji_core.documents import convert
from cji_core.errors import SpecError
from cji_core.moments import moment
from cji_core.strict import parse_object

MAX_FILE_BYTES: Final = 3 << 20  # two bundles and a JWKS, each of at most 512 KiB, as base64
_STAMPED: Final = b"cji-evidence-stamp/1\0"


class EvidenceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker's answer to one nonce, with the nonce.

    `attested_at` and `reference` are its maker's word. They count only for those who take it
    (`cji_attestation.attested.read_as_made`), and that is said.
    """

    version: Literal[6]
    cloud: str
    attested_at: Annotated[datetime, Meta(tz=True)]
    nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    nonce_path: Annotated[bytes, Meta(max_length=MAX_PATH_BYTES)]
    receipt_jwk: str
    evidence: bytes
    maa_token: str
    token_nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    token_evidence: bytes
    maa_url: str
    jwks: bytes  # as the issuer at `maa_url` served it
    reference: bytes  # JSON of the reference values that its maker appraised it with, without lists of AMD's
    amd_crl: bytes = b""  # DER; the list that it was appraised with, or that its maker fetched
    timestamp: bytes = b""  # DER of an RFC 3161 response over `stamped`
    bundle_update: str | msgspec.UnsetType = msgspec.UNSET  # the text that the quote commits to; absent without one

    def encode(self) -> bytes:
        """The text of the file."""
        return msgspec.json.format(msgspec.json.encode(self))

    @property
    def update(self) -> AppliedBundle | None:
        """The hot update of the configuration that it was made under. EVIDENCE_INVALID for a text that names none."""
        return read_update("" if isinstance(self.bundle_update, msgspec.UnsetType) else self.bundle_update)

    @property
    def stamped(self) -> bytes:
        """The message of a timestamp: it has SHA-384 of all other members, in their one encoding."""
        return stamped(msgspec.json.encode(msgspec.structs.replace(self, timestamp=b"")))


def read_update(text: str) -> AppliedBundle | None:
    """The hot update that a worker names, none for no text. EVIDENCE_INVALID "E59" for any other."""
    try:
        return read_bundle_event(text.encode()) if text else None
    except ValueError as error:
        raise invalid("E59", found="the text of a hot update that names none") from error


def written_update(update: AppliedBundle | None) -> str:
    """The text for `read_update`."""
    return "" if update is None else bundle_event(update).decode()


def encoded_values(reference: ReferenceValues) -> bytes:
    """The values as JSON; AMD's lists are left out, because the file has the one that counts."""
    return msgspec.json.encode(msgspec.structs.replace(reference, amd_crls=None))


def crl_of(verdict: Verdict, reference: ReferenceValues) -> bytes:
    """The revocation list of these values for the machine's product, empty without one."""
    found: bytes = (reference.amd_crls or {}).get(verdict.product, b"")  # type: ignore[call-overload]  # or an FMSPC
    return found


def stamped(text: bytes) -> bytes:
    """The message of a timestamp over evidence with this canonical text: "cji-evidence-stamp/1" NUL ‖ SHA-384."""
    return _STAMPED + hashlib.sha384(text).digest()


def decode_evidence(data: bytes) -> EvidenceFile:
    """Read such a file; SpecError for any other.

    Every verb and every reader uses this one. Refused are duplicate members and members that it does not have, and
    every spelling of a value but the one that `encode` writes: but for the time, which is any of RFC 3339 (`moment`);
    spaces between members do not matter.
    """
    try:
        found = parse_object(data, limit=MAX_FILE_BYTES)
        if isinstance(time := found.get("attested_at"), str):
            found["attested_at"] = msgspec.to_builtins(moment(time))
        read = convert(found, EvidenceFile)
        written = msgspec.to_builtins(read)
        if any(written[name] != value for name, value in found.items()):
            raise ValueError
    except (ValueError, RecursionError):  # those of msgspec and of the strict reader are ValueErrors
        raise SpecError("the evidence file is not one that `cji job run` wrote") from None
    return read
