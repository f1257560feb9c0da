"""The log as a destination of deliveries: from a trail's newest checkpoint to a kept, verified proof.

At start, what the log itself has is compared with the trail, because everything on this machine may have been set back
together: a trail that is shorter than a checkpoint in the log, or whose root at that size is another one, is a
ChainError. A log that lost a checkpoint is a DeliveryError.

The record is kept after the log returned its proof. A crash in between makes the same or a newer checkpoint go to the
log again, which it allows. Then the file of the destination names the last line that the newest proven checkpoint
covers, as a sink's names the last line that it got, so that a worker can require both.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cji_core.errors import StartupError
from cji_core.trail.chain import GENESIS, ChainError
from cji_core.trail.chain import read as read_line
from cji_core.trail.checkpoint import origin_of
from cji_core.trail.delivered import write_position
from cji_core.trail.delivery import LOG, Delivered, DeliveryError
from cji_core.trail.segments import PrunedError
from cji_core.trail.trail import Position as Reached
from cji_core.trail.trail import lines
from cji_core.trail.witnesses.agency_log import LogWitness, OtherPositionError
from cji_core.trail.witnesses.follower import START, Follower, Found, frontier_of
from cji_core.trail.witnesses.keys import ReceiptKeys
from cji_core.trail.witnesses.records import LogReceipt, Offer, Position, RecordError, Records, Witnessed

_NOTHING: Final = Delivered(seq=0, hash=GENESIS.hash)


class LogDestination:
    """The log of one trail. Not thread-safe."""

    name: Final = LOG

    def __init__(
        self,
        log: LogWitness,
        *,
        trail: Path,
        records: Path,
        keys: Callable[[], ReceiptKeys],
        interval: float,
        state: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`records` is the folder of the log's proofs, `interval` the least time between two, in seconds.

        `state` is the folder of the destinations' files; without it there is none.
        """
        self._log, self._trail = log, trail
        self._records, self._keys = Records(records), keys
        self._interval, self._state, self._monotonic = interval, state, monotonic
        self._follower: Follower | None = None
        self._last: Witnessed | None = None
        self._next = float("-inf")

    def advance(self) -> Delivered:
        """Hand the newest checkpoint to the log, if there is a new one and the interval has passed.

        Raises DeliveryError, or ChainError for a trail that was changed.
        """
        try:
            follower = self._follower or self._open()
            follower.read()
            found = follower.newest
            if found is not None and self._monotonic() >= self._next:
                self._submit(follower, found)
        except RecordError as error:
            raise DeliveryError(f"the records of the log: {error}") from error
        except StartupError as error:
            raise DeliveryError(str(error)) from error
        except PrunedError as error:
            raise DeliveryError(f"{error} before it had a checkpoint of them: move its records away") from error
        except OSError as error:
            raise DeliveryError(f"the trail cannot be read: {type(error).__name__}") from error
        except (ChainError, OtherPositionError):
            self._follower = None  # compare everything again next time
            raise
        unknown = follower.unknown
        if unknown is not None and follower.newest is None:
            raise DeliveryError(
                f"the checkpoint of {unknown.checkpoint.size} lines is signed by a key that is not in receipt_keys: "
                "add the key of the worker's last start, or mend its file"
            )
        last = self._last
        return Delivered(seq=last.position.seq, hash=last.position.hash) if last else _NOTHING

    def _open(self) -> Follower:
        last = self._records.newest()
        if last is not None:
            self._log.verify(last.offer, last.receipt)
        known = last.offer if last else None
        theirs = self._log.newest(known)
        self._last = last
        follower = Follower(self._trail, keys=self._keys, at=last.position if last else START)
        if last is not None and known is not None:
            _require_same(last.position, known)
            if theirs is None or theirs.checkpoint().size < known.checkpoint().size:
                raise DeliveryError(f"the log lost its checkpoint of {known.checkpoint().size} lines")
        if theirs is not None and (known is None or theirs != known):
            follower = self._adopt(follower, known, theirs)
        if self._last is not None:
            self._note(self._last.position)
        self._follower = follower
        return follower

    def _adopt(self, follower: Follower, known: Offer | None, theirs: Offer) -> Follower:
        """Compare the trail with a checkpoint of the log that this machine has no record of, and keep one."""
        checkpoint = theirs.checkpoint()
        self._require_our_trail(checkpoint.origin)
        if self._keys().judge(checkpoint) != "verified":
            raise DeliveryError(
                f"the log has a checkpoint of {checkpoint.size} lines that no key in receipt_keys signed"
            )
        size = checkpoint.size
        if known is not None and size == known.checkpoint().size:
            if checkpoint.root != known.checkpoint().root:
                raise ChainError(line=size, field="root", detail="the log has another root of this size")
            return follower
        follower.read(until=size)
        if follower.head.seq < size:
            raise ChainError(
                line=follower.head.seq + 1, field="line", detail=f"the log has a checkpoint of {size} lines"
            )
        if follower.head.seq > size:
            raise DeliveryError(f"the log has a checkpoint of {size} lines, which were pruned")
        if follower.root() != checkpoint.root:
            raise ChainError(line=size, field="root", detail="the log has another root of this size")
        self._keep(theirs, self._log.submit(theirs), follower.position())
        follower.rebase(follower.position())
        return follower

    def _submit(self, follower: Follower, found: Found) -> None:
        proof = [] if self._last is None else follower.proof(found.checkpoint.size)
        offer = Offer(
            previous=self._last.offer.checkpoint().size if self._last else 0,
            consistency=tuple(each.hex() for each in proof),
            note=found.note,
        )
        if self._last is not None:
            offer.continues(self._last.offer)
        self._keep(offer, self._log.submit(offer), found.position)
        follower.rebase(found.position)
        self._next = self._monotonic() + self._interval

    def _keep(self, offer: Offer, receipt: LogReceipt, position: Position) -> None:
        record = Witnessed(offer=offer, receipt=receipt, position=position)
        self._records.add(record)
        self._last = record
        self._note(position)

    def _note(self, position: Position) -> None:
        """Write the destination's file."""
        if self._state is None:
            return
        reached = Reached(seq=position.seq, hash=position.hash, offset=position.start)
        try:
            write_position(self._state, LOG, reached)
        except OSError as error:
            raise DeliveryError("the delivery state cannot be written") from error

    def _require_our_trail(self, origin: str) -> None:
        first = next(lines(self._trail), None)
        if first is not None and origin_of(read_line(first, number=1).worker) != origin:
            raise DeliveryError(f"the log has checkpoints of another trail: {origin!a}")


def _require_same(position: Position, offer: Offer) -> None:
    """Return if the kept position is that of the checkpoint: its peaks have the root, its line is the last one."""
    checkpoint = offer.checkpoint()
    if position.seq != checkpoint.size or frontier_of(position).root() != checkpoint.root:
        raise RecordError("the kept position is not that of the checkpoint")
