"""Messages between the front and a cell: which slot of the ring is whose."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from cji_worker.ipc.messages.base import Message
from cji_worker.ipc.messages.parts import Count
from cji_worker.ipc.ring import SLOT_BYTES, SLOTS

Slot: TypeAlias = Annotated[int, Meta(ge=0, lt=SLOTS)]
Length: TypeAlias = Annotated[int, Meta(ge=0, le=SLOT_BYTES)]


class Opened(Message, frozen=True, kw_only=True):
    """The job is open. The bytes of the result header, as its digest covers them."""

    result_header: bytes


class InputReady(Message, frozen=True, kw_only=True):
    """An input slot holds a sealed segment of `part`."""

    slot: Slot
    part: Count
    length: Length


class Finish(Message, frozen=True, kw_only=True):
    """No more input."""


class OutputFreed(Message, frozen=True, kw_only=True):
    """An output slot was sent and is free."""

    slot: Slot


class InputFreed(Message, frozen=True, kw_only=True):
    """An input slot was unsealed and is free."""

    slot: Slot


class OutputReady(Message, frozen=True, kw_only=True):
    """An output slot holds a sealed segment."""

    slot: Slot
    part: Count
    index: Count
    length: Length


class ProgressMade(Message, frozen=True, kw_only=True):
    """Progress of a step, by volume. `step` is a position in the steps of Admitted, so a cell can send no text."""

    step: Annotated[int, Meta(ge=0, le=255)]
    per_cent: Annotated[int, Meta(ge=0, le=100)]


class OutputsDone(Message, frozen=True, kw_only=True):
    """Every output part is complete, its last segment included."""


CellFromFront = InputReady | Finish | OutputFreed
FrontFromCell = InputFreed | OutputReady | ProgressMade | OutputsDone | Opened
