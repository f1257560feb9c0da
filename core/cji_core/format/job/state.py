"""One Run stream on the front's side: a pure state machine, events in, the next state or a Refusal out.

    AWAIT_OPEN --Open--> STREAMING --Finish--> FINISHED --HalfClose--> CLOSED
                          Segment ^ |
                                  +-+

Invariants
* Open comes once and first. A segment has the next index of this part, or index 0 of the next part; every part has at
  least one segment, so Finish is accepted only in the last part.
* Sizes are checked before a segment is passed on: 32 bytes to 1 MiB, 74 more for index 0 (its FLOE header), all parts
  together at most the job's cap. Only a part's last segment may be shorter than 1 MiB.
* The *last* segment of a part is authenticated by the decoder in the cell and not known here; this machine only keeps a
  peer from wasting a cell's time. A half-close without Finish is INCOMPLETE.
* After a Refusal the stream is over.
"""

import enum
from dataclasses import dataclass, replace

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job.limits import LIMITS, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """The job was admitted: `parts` inputs follow.

    For a task they are its streams, perhaps none; those from number `small_from` on have segments of 64 KiB.
    """

    parts: int
    small_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """`size` bytes of segment `index` of `part`, FLOE header of index 0 included."""

    part: int
    index: int
    size: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The peer declares every part complete."""


@dataclass(frozen=True, slots=True)
class HalfClose:
    """The peer's direction of the stream ended."""


@dataclass(frozen=True, slots=True)
class Empty:
    """A message in which nothing, or nothing known, is set."""


Event = Open | Segment | Finish | HalfClose | Empty


class Phase(enum.Enum):
    """The phase of the stream."""

    AWAIT_OPEN = enum.auto()
    STREAMING = enum.auto()
    FINISHED = enum.auto()
    CLOSED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The machine's state: the next expected segment and the bytes so far."""

    phase: Phase = Phase.AWAIT_OPEN
    parts: int = 0
    small_from: int | None = None
    part: int = 0
    index: int = 0
    part_may_go_on: bool = True
    job_bytes: int = 0


def advance(state: RunState, event: Event, *, limits: Limits = LIMITS) -> RunState:
    """Return the state after `event`.

    Raises Refusal: MALFORMED_HEADER before Open and for a second Open, SEGMENT_INVALID for a wrong part, index, size or
    place, LIMIT_EXCEEDED above a cap, INCOMPLETE when the stream stops early.
    """
    match event:
        case Open():
            return _open(state, event, limits)
        case Segment():
            return _segment(state, event, limits)
        case Finish():
            return _finish(state)
        case HalfClose():
            if state.phase is not Phase.FINISHED:
                raise Refusal(Reason.INCOMPLETE, stage=Stage.UNSEAL)
            return replace(state, phase=Phase.CLOSED)
        case Empty():
            raise _out_of_place(state)


def _out_of_place(state: RunState) -> Refusal:
    if state.phase is Phase.AWAIT_OPEN:
        return Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    return Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)


def _open(state: RunState, event: Open, limits: Limits) -> RunState:
    least, most = (1, limits.parts) if event.small_from is None else (0, limits.task_streams)
    if state.phase is not Phase.AWAIT_OPEN or not least <= event.parts <= most:
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    return replace(state, phase=Phase.STREAMING, parts=event.parts, small_from=event.small_from)


def _segment(state: RunState, event: Segment, limits: Limits) -> RunState:
    if state.phase is not Phase.STREAMING:
        raise _out_of_place(state)
    goes_on = (event.part, event.index) == (state.part, state.index) and state.part_may_go_on and state.parts > 0
    starts_next = state.index > 0 and (event.part, event.index) == (state.part + 1, 0) and event.part < state.parts
    if not (goes_on or starts_next):
        raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
    sealed = event.size - (limits.floe_header_bytes if event.index == 0 else 0)
    if sealed < limits.segment_min_bytes:
        raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
    job_bytes = state.job_bytes + event.size
    is_small = state.small_from is not None and event.part >= state.small_from
    full = limits.shuffle_segment_bytes if is_small else limits.segment_bytes
    if sealed > full or job_bytes > limits.job_bytes:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.UNSEAL)
    return replace(
        state,
        part=event.part,
        index=event.index + 1,
        part_may_go_on=sealed == full,
        job_bytes=job_bytes,
    )


def _finish(state: RunState) -> RunState:
    if state.phase is Phase.FINISHED or state.phase is Phase.CLOSED:
        raise _out_of_place(state)
    whole = state.part == state.parts - 1 and state.index > 0
    if state.phase is Phase.AWAIT_OPEN or not (whole or state.parts == 0):
        raise Refusal(Reason.INCOMPLETE, stage=Stage.UNSEAL)
    return replace(state, phase=Phase.FINISHED)
