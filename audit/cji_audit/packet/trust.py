"""Trust in a packet is given by its reader: by keys and roots that the reader pins, and by nothing in the packet.

The packet has a signature of its agency over packet.json (`cji_core.trail.packets`), a timestamp over that signature,
and the keys that its maker used for receipts, checkpoints, reviews and confirmations. Each of them is compared with the
reader's pins; a key that is not among them refuses the packet, also if nothing rests on it. A role of which the packet
has no key needs no pin; a signature it always needs.

Nothing here is about what the packet states: `verify` compares that. Both are needed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from cji_attestation import AttestationError
from cji_attestation.appraisal import TimestampRoot, check_timestamp
from cji_audit.packet.attachments import Attachments, Kind
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import INDEX
from cji_audit.packet.keys import Keys, by_thumbprint, keys_in
from cji_audit.packet.logged import (
    entry_fault,
    entry_is_late,
    kept_outside,
    lines_of,
    proof_in,
    trail_of,
    without_entry,
)
from cji_audit.packet.material import LogEntry, Material
from cji_audit.packet.survey import Surveyed
from cji_core.jose import VerifyingKey
from cji_core.moments import moment
from cji_core.tlog.policy import Policy, PolicyError
from cji_core.trail.checkpoint import Checkpoint
from cji_core.trail.compact import MAX_BYTES, ReceiptError, key_id_unverified
from cji_core.trail.packets import SIGNATURE, STAMP, PacketClaims, stamped, verify_packet

Role = Literal["signer", "receipt-key", "reviewer", "confirmation-key", "retention-key", "log"]
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
    "retention-key-not-pinned",
    "retention-key-is-another",
    "log-not-pinned",
    "log-is-another",
    "log-quorum-missing",
    "log-entry-invalid",
    "log-entry-late",
    "log-entry-missing",
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
    "retention-key-not-pinned": "Give the keys of the retention log, from those who sign it: --retention-key.",
    "retention-key-is-another": "Do not rely on it: the retention log is signed with a key that you do not pin.",
    "log-not-pinned": "Give the policy of the agency's log, with its keys and witnesses: --log-policy.",
    "log-is-another": "Do not rely on it: the log's checkpoint is not signed by the log that you pin.",
    "log-quorum-missing": "Do not rely on it: ask the log and its witnesses for their newest checkpoints.",
    "log-entry-invalid": "Do not rely on the trail: compare it with the log's entries, by a monitor of your own.",
    "log-entry-late": "Ask for later lines and the log's newest entry; of a machine that failed, ask your monitor.",
    "log-entry-missing": "Ask for a packet with the log's entries: `cji audit packet --log`.",
    "trail-not-signed": "Give a trail whose checkpoints are of the receipt keys that you pin.",
    "packet-not-recorded": "Ask for a trail of later days, or have the packet recorded: `cji record packet`.",
}
SKEW_S: Final = 300.0
"""Seconds by which the signer's clock may be ahead of the timestamp authority's."""
_GIVEN: Final[Mapping[Role, Kind]] = {
    "receipt-key": "receipt_keys",
    "reviewer": "reviewer_keys",
    "confirmation-key": "confirmation_keys",
    "retention-key": "retention_keys",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """The reader's: keys by role and thumbprint, roots of timestamp authorities, and whether a line must record it."""

    keys: Mapping[Role, Keys] = field(default_factory=dict)
    stamp_roots: Sequence[TimestampRoot] = ()
    recorded: bool = False
    logs: Sequence[Policy] = ()
    """Policies of the agency's log: the one in force, and those before it."""

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
    now: datetime | None = None,
) -> Trust:
    """Compare everything that the packet rests on with the reader's pins. `attested` are the keys of its evidence.

    `now` is the reader's clock: a period that is not over needs no later lines.
    """
    signers, refusals, statements = list[Signer](), list[Refusal](), list[str]()
    for found in (
        *_signature(files, pins),
        *_given(attachments, attested, pins),
        *_logged(material, attachments, pins, now=now or datetime.now(UTC)),
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
        some = pins.logs if found.role == "log" else pins.of(found.role)
        reason: Reason = f"{found.role}-is-another" if some else f"{found.role}-not-pinned"  # type: ignore[assignment]
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


def _logged(material: Material | None, attachments: Attachments, pins: Pins, *, now: datetime) -> Iterator[_Found]:
    """The entries of the agency's log: who signed and cosigned, and which lines they are of."""
    if material is None:
        return
    files = attachments.of("log")
    if not files and not pins.logs:
        yield "agency's log: none; demand an entry of each trail with --log-policy"
    for entry in material.log or ():
        try:
            note = proof_in(entry.file.name, files[entry.file.name]).note
        except (PacketError, KeyError):
            yield Refusal(reason="log-entry-invalid", what=f"{entry.file.name} is not in the packet")
            continue
        logs = [each for each in pins.logs if _is_of(each, note)]
        yield Signer(role="log", key_id=note.origin, pinned=bool(logs))
        if what := entry_fault(entry, material):
            yield Refusal(reason="log-entry-invalid", what=f"{entry.file.name}: {what}")
        elif logs:
            yield _cosigned(entry, material, note, logs, now=now)
    for trail in without_entry(material) if pins.logs else ():
        yield Refusal(reason="log-entry-missing", what=f"no entry of {trail.file}")


def _is_of(policy: Policy, note: Checkpoint) -> bool:
    """Whether the log of a policy signed a checkpoint."""
    with suppress(PolicyError):
        policy.signed_by_log(note)
        return True
    return False


def _cosigned(
    entry: LogEntry, material: Material, note: Checkpoint, logs: Sequence[Policy], *, now: datetime
) -> _Found:
    """The lines that an entry shows under the quorum of one of these policies."""
    refused = ""
    for policy in logs:
        try:
            at = datetime.fromtimestamp(policy.accept(note, now=None).at, UTC)
        except PolicyError as error:
            refused = str(error)
            continue
        if what := entry_is_late(entry, material, at=at, policy=policy.file, now=now):
            what = f"{entry.file.name}: {what}; cosigned at {at.isoformat()}"
            return Refusal(reason="log-entry-late", what=what)
        trail = trail_of(entry, material)
        name, last = (entry.trail, 0) if trail is None else (trail.file, lines_of(trail))
        under = entry.checkpoint.size
        cosigned = f"{name}: {under} of {last} lines in the log {entry.log}, cosigned by a quorum at {at.isoformat()}"
        return f"{cosigned}; newer lines: {last - under}"
    return Refusal(reason="log-quorum-missing", what=f"{entry.file.name}: {refused}")


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
            for point in kept_outside(material)
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
