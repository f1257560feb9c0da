"""Trust in a packet is given by its reader: by keys and roots that the reader pins, and by nothing in the packet.

The packet has a signature of its agency over packet.json (`cji_core.trail.packets`), a timestamp over that signature,
and the keys that its maker used for receipts, checkpoints, reviews and confirmations. Each of them is compared with the
reader's pins; a key that is not among them refuses the packet, also if nothing rests on it. A role of which the packet
has no key needs no pin; a signature it always needs.

Nothing here is about what the packet states: `verify` compares that. Both are needed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from cji_attestation import AttestationError
from cji_attestation.appraisal import TimestampRoot, check_timestamp
from cji_audit.packet.attachments import Attachments, Kind
from cji_audit.packet.folder import INDEX
from cji_audit.packet.keys import Keys, by_thumbprint, keys_in
from cji_audit.packet.material import Material
from cji_audit.packet.survey import Surveyed
from cji_core.jose import VerifyingKey
from cji_core.moments import moment
from cji_core.trail.compact import MAX_BYTES, ReceiptError, key_id_unverified
from cji_core.trail.packets import SIGNATURE, STAMP, PacketClaims, stamped, verify_packet

Role = Literal["signer", "receipt-key", "reviewer", "confirmation-key"]
Reason = Literal[
    "signature-missing",
    "signature-invalid",
    "stamp-missing",
    "stamp-invalid",
    "signer-not-pinned",
    "signer-is-another",
    "receipt-key-not-pinned",
    "receipt-key-is-another",
    "reviewer-not-pinned",
    "reviewer-is-another",
    "confirmation-key-not-pinned",
    "confirmation-key-is-another",
    "trail-not-signed",
    "packet-not-recorded",
]
REMEDIES: Final[Mapping[Reason, str]] = {
    "signature-missing": "Ask the agency for the packet that `cji audit sign-packet` signed.",
    "signature-invalid": "Do not rely on it: packet.json was changed, or another key signed it. Ask the agency.",
    "stamp-missing": "Ask the agency for the packet with the timestamp that `cji audit packet stamp` gets.",
    "stamp-invalid": "Do not rely on its time. Compare the root with the authority's, or have it stamped again.",
    "signer-not-pinned": "Give the agency's key, which you have from the agency and not from the packet: --signer.",
    "signer-is-another": "Do not rely on it: it is signed with a key that you do not pin.",
    "receipt-key-not-pinned": "Give the workers' receipt keys, from the submitters or the evidence: --receipt-key.",
    "receipt-key-is-another": "Do not rely on it: receipts or checkpoints are of a key that you do not pin.",
    "reviewer-not-pinned": "Give the reviewers' keys, from the reviewers: --reviewer.",
    "reviewer-is-another": "Do not rely on it: reviews are signed with a key that you do not pin.",
    "confirmation-key-not-pinned": "Give the recipients' keys, from the recipients: --confirmation-key.",
    "confirmation-key-is-another": "Do not rely on it: confirmations are signed with a key that you do not pin.",
    "trail-not-signed": "Give a trail whose checkpoints are of the receipt keys that you pin.",
    "packet-not-recorded": "Ask for a trail of later days, or have the packet recorded: `cji record packet`.",
}
SKEW_S: Final = 300.0
"""Seconds by which the signer's clock may be ahead of the timestamp authority's."""
_GIVEN: Final[Mapping[Role, Kind]] = {
    "receipt-key": "receipt_keys",
    "reviewer": "reviewer_keys",
    "confirmation-key": "confirmation_keys",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """The reader's: keys by role and thumbprint, roots of timestamp authorities, and whether a line must record it."""

    keys: Mapping[Role, Keys] = field(default_factory=dict)
    stamp_roots: Sequence[TimestampRoot] = ()
    recorded: bool = False

    def of(self, role: Role) -> Keys:
        """The pinned keys of a role."""
        return self.keys.get(role, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key that something in the packet rests on, and whether the reader pins it."""

    role: Role
    key_id: str
    pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A reason not to trust the packet."""

    reason: Reason
    what: str

    @property
    def remedy(self) -> str:
        """The next step of the reader."""
        return REMEDIES[self.reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The verdict about keys, times and trails. `statements` are sentences about what holds."""

    signers: tuple[Signer, ...]
    refusals: tuple[Refusal, ...]
    statements: tuple[str, ...]


def trust(
    files: Mapping[str, bytes],
    material: Material | None,
    attachments: Attachments,
    attested: Sequence[VerifyingKey],
    pins: Pins,
    *,
    trails: Sequence[Surveyed] = (),
) -> Trust:
    """Compare everything that the packet rests on with the reader's pins. `attested` are the keys of its evidence."""
    signers, refusals, statements = list[Signer](), list[Refusal](), list[str]()
    for found in (
        *_signature(files, pins),
        *_given(attachments, attested, pins),
        *_trails(material, pins, trails),
        *_recorded(pins, trails),
    ):
        if isinstance(found, Signer):
            signers.append(found)
            refusals += _unpinned(found, pins)
        elif isinstance(found, Refusal):
            refusals.append(found)
        else:
            statements.append(found)
    return Trust(signers=tuple(signers), refusals=tuple(refusals), statements=tuple(statements))


def packet_sha384(files: Mapping[str, bytes]) -> str:
    """The digest that the signature is over, and that a line of a trail records."""
    return hashlib.sha384(files.get(INDEX, b"")).hexdigest()


_Found = Signer | Refusal | str


def _unpinned(found: Signer, pins: Pins) -> Iterator[Refusal]:
    if not found.pinned:
        reason: Reason = f"{found.role}-is-another" if pins.of(found.role) else f"{found.role}-not-pinned"  # type: ignore[assignment]
        yield Refusal(reason=reason, what=f"{found.role} {found.key_id}")


def _signature(files: Mapping[str, bytes], pins: Pins) -> Iterator[_Found]:
    """The signature, and the timestamp over it."""
    data = files.get(SIGNATURE)
    if data is None:
        yield Refusal(reason="signature-missing", what=f"the packet has no {SIGNATURE}")
        return
    claims: PacketClaims | None = None
    try:
        text = data[: MAX_BYTES + 1].decode("ascii").removesuffix("\n")
        kid = key_id_unverified(text)
        key = pins.of("signer").get(kid)
        yield Signer(role="signer", key_id=kid, pinned=key is not None)
        if key is not None:
            claims = verify_packet(text, key=key, packet_sha384=packet_sha384(files))
            yield f"signed by {kid} at {claims.signed}, by the signer's clock"
    except (ReceiptError, UnicodeDecodeError) as error:
        field_ = error.field if isinstance(error, ReceiptError) else "form"
        yield Refusal(reason="signature-invalid", what=f"{SIGNATURE}: {field_}")
    yield from _stamp(files, data, claims, pins)


def _stamp(files: Mapping[str, bytes], signature: bytes, claims: PacketClaims | None, pins: Pins) -> Iterator[_Found]:
    response = files.get(STAMP)
    if not pins.stamp_roots:
        given = "as given by the maker" if response is not None else "none"
        yield f"timestamp: {given}; pin its authority's root with --tsa-root"
        return
    if response is None:
        yield Refusal(reason="stamp-missing", what=f"the packet has no {STAMP}")
        return
    try:
        at, check = check_timestamp(response, stamped(signature), pins.stamp_roots)
    except AttestationError as error:
        yield Refusal(reason="stamp-invalid", what=f"{STAMP}: {error.failures[0].found or error.check}")
        return
    if claims is not None and _ahead(claims.signed, at):
        what = f"{STAMP}: of {at.isoformat()}, before the signature of {claims.signed}"
        yield Refusal(reason="stamp-invalid", what=what)
        return
    yield check.finding


def _ahead(signed: str, at: datetime) -> bool:
    """Whether a time is none, or later than the timestamp over it."""
    try:
        return (moment(signed) - at.astimezone(UTC)).total_seconds() > SKEW_S
    except ValueError:
        return True


def _given(attachments: Attachments, attested: Sequence[VerifyingKey], pins: Pins) -> Iterator[_Found]:
    """Every key that the maker gives, and those that its evidence attests."""
    for role, kind in _GIVEN.items():
        found = dict(keys_in(attachments.of(kind)))
        if role == "receipt-key":
            found |= by_thumbprint(attested)
        for kid in sorted(found):
            yield Signer(role=role, key_id=kid, pinned=kid in pins.of(role))


def _trails(material: Material | None, pins: Pins, trails: Sequence[Surveyed]) -> Iterator[_Found]:
    """How many lines of each trail are under a checkpoint of a pinned key: one in the trail, or one that was kept."""
    if material is None:
        return
    if not trails:
        yield "facts of the trails: the signer's word; give --trail to read them again"
    for each in trails:
        trail, last = each.trail, each.trail.first_line - 1 + each.trail.lines
        kept = [
            point.size
            for point in material.checkpoints or ()
            if not point.fault
            and point.key_id in pins.of("receipt-key")
            and point.origin.endswith(f"/{trail.worker}")
            and trail.roots.get(str(point.size)) == point.root
        ]
        under = max((each.signed, *kept))
        if under == 0:
            what = f"no line of {trail.file} is under a checkpoint of a receipt key that you pin"
            yield Refusal(reason="trail-not-signed", what=what)
            continue
        rest = f"; the {last - under} after it rest on the word of the trail's giver" if under < last else ""
        yield f"{trail.file}: read again, {under} of {last} lines under a checkpoint of a pinned key{rest}"


def _recorded(pins: Pins, trails: Sequence[Surveyed]) -> Iterator[_Found]:
    """The line that records packet.json."""
    found = [(each.trail.file, line, time) for each in trails if each.recorded for line, time in (each.recorded,)]
    for file, line, time in found:
        yield f"recorded in line {line} of {file}, at {time}"
    if not found and pins.recorded:
        yield Refusal(reason="packet-not-recorded", what="no line of the trails given has the digest of packet.json")
    elif not found and trails:
        yield "recorded: in no line of the trails given"
