"""Entries of the agency's log in a packet: the deliverer's records, each with its proof under a cosigned checkpoint.

A record is read as a fact: which trail the entry is of, and whether the proof is of it. That the trail of the packet
continues the entry's checkpoint, a proof from its lines to the root shows. Who signed and cosigned, `trust` compares
with the policy that the reader pins.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from cji_audit.packet.errors import PacketError
from cji_audit.packet.keys import Keys
from cji_audit.packet.material import Checkpoint, File, LogEntry, Material, Trail
from cji_audit.packet.signed import read_checkpoint
from cji_audit.packet.survey import Surveyed, Under
from cji_core.moments import moment
from cji_core.strict import hex_decode
from cji_core.tlog.policy import PolicyFile
from cji_core.tlog.proofs import LogProof, parse_proof
from cji_core.trail.checkpoint import CheckpointError
from cji_core.trail.merkle import ProofError, verify_consistency
from cji_core.trail.witnesses.records import RecordError, Records, Witnessed, decode_witnessed

_REMEDY: Final = "Give the folder state/log of the deliverer."


def newest_records(folders: Sequence[Path]) -> dict[str, bytes]:
    """The newest record in each folder, named for its trail. Raises PacketError or OSError."""
    found: dict[str, bytes] = {}
    for folder in folders:
        try:
            record = Records(folder).newest()
        except RecordError as error:
            raise PacketError(f"{folder}: the newest record: {error}", _REMEDY) from error
        if record is None:
            raise PacketError(f"{folder} has no record of the log", _REMEDY)
        name = f"{record.receipt.trail}.json"
        if name in found:
            raise PacketError(f"{folder} is of a trail that another folder is of", "Give one folder of each trail.")
        found[name] = record.encode()
    return found


def read_entry(name: str, data: bytes, keys: Keys) -> LogEntry:
    """A record. PacketError for a text that is none; what its proof does not show is a fault, no error."""
    record, proof = _record(name, data), proof_in(name, data)
    return LogEntry(
        file=File.of(name, data),
        trail=record.receipt.trail,
        log=proof.note.origin,
        index=proof.index,
        log_size=proof.note.size,
        checkpoint=read_checkpoint(name, record.offer.note.encode(), keys),
        fault=_fault(record, proof),
    )


def proof_in(name: str, data: bytes) -> LogProof:
    """The proof of a record, with the log's checkpoint; nothing is verified. Raises PacketError."""
    try:
        return parse_proof(_record(name, data).receipt.proof.encode())
    except CheckpointError as error:
        raise PacketError(f"{name} has no proof of a log: {error}", _REMEDY) from error


def in_trail(entry: LogEntry, found: Surveyed) -> LogEntry:
    """An entry with what its trail has of it, and after it."""
    size = entry.checkpoint.size
    under = found.under.get(size, Under(last="", stopped=False))
    return msgspec.structs.replace(
        entry,
        consistency=found.consistency.get(size, ()),
        last_time=under.last,
        stopped=under.stopped,
        waiting_since=under.waiting,
    )


def kept_outside(material: Material) -> Iterator[Checkpoint]:
    """The trails' checkpoints outside the machine: those that were kept, and those in the agency's log."""
    yield from material.checkpoints or ()
    yield from (each.checkpoint for each in material.log or () if not each.fault)


def trail_of(entry: LogEntry, material: Material) -> Trail | None:
    """The packet's trail that an entry is of."""
    return next((each for each in material.trails if each.identity == entry.trail), None)


def lines_of(trail: Trail) -> int:
    """Lines that a trail ever had, those that were pruned included."""
    return trail.first_line - 1 + trail.lines if trail.lines else 0


def entry_fault(entry: LogEntry, material: Material) -> str:
    """The part that an entry does not show of the packet's trail; empty if it is of its head or of an earlier line."""
    trail, size = trail_of(entry, material), entry.checkpoint.size
    if entry.fault or entry.checkpoint.fault:
        return entry.fault or f"its checkpoint: {entry.checkpoint.fault}"
    if trail is None or entry.checkpoint.origin != f"cji-worker/{trail.worker}":
        return "it is of a trail that was not given"
    if size > lines_of(trail):
        return f"the log has {size} lines of {trail.file}, and {lines_of(trail)} were given: its end is missing"
    try:
        verify_consistency(
            earlier=size,
            earlier_root=hex_decode(entry.checkpoint.root),
            size=lines_of(trail),
            root=hex_decode(trail.root),
            proof=[hex_decode(each) for each in entry.consistency],
        )
    except (ProofError, ValueError):
        return f"the lines of {trail.file} do not continue the {size} that the log has"
    return ""


def entry_is_late(entry: LogEntry, material: Material, *, at: datetime, policy: PolicyFile, now: datetime) -> str:
    """Why an entry, cosigned `at` a time, is too old for the packet, by the times in its trail; empty if it is not.

    A line waited longer for a cosigned checkpoint than the policy promises; or the lines under the entry end before the
    period does, and the worker had not stopped with them: a trail that was cut off at an old entry looks like that.
    Lines after the entry are nobody's word, and only count against it.
    """
    trail = trail_of(entry, material)
    if trail is None:
        return ""
    try:
        end, last = min(moment(material.period.end), now), moment(entry.last_time)
        waited = moment(trail.last_time) - moment(entry.waiting_since or trail.last_time)
    except ValueError:
        return f"{trail.file} has a time that cannot be read"
    if (at - last).total_seconds() > policy.max_delay_seconds:
        return f"the last of its lines of {trail.file} is of {entry.last_time}"
    if waited.total_seconds() > policy.max_delay_seconds:
        return f"lines of {trail.file} since {entry.waiting_since} are in no entry until {trail.last_time}"
    if not entry.stopped and (end - last).total_seconds() > policy.max_age_seconds:
        return f"its lines of {trail.file} end at {entry.last_time}, before the period does, and no stop is among them"
    return ""


def without_entry(material: Material) -> tuple[Trail, ...]:
    """The trails of which the packet has no entry."""
    of: Mapping[str, LogEntry] = {each.trail: each for each in material.log or ()}
    return tuple(each for each in material.trails if each.identity not in of)


def _record(name: str, data: bytes) -> Witnessed:
    try:
        return decode_witnessed(data)
    except RecordError as error:
        raise PacketError(f"{name} is not a record of the agency's log: {error}", _REMEDY) from error


def _fault(record: Witnessed, proof: LogProof) -> str:
    receipt = record.receipt
    try:
        proof.shows(receipt.entry, trail=receipt.trail, note=record.offer.note)
    except CheckpointError as error:
        return str(error)
    return ""
