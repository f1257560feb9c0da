"""The floor of the pool: no job is admitted under a bundle that an operator has put behind it. For the main thread.

An entry of the pool's floors is the signed head of a bundle; entries have dense numbers, are created once and never
removed. Anything else takes a number and counts nothing, and so does a head that this machine's image has no key for,
or of another pool. The floor is the highest `Rank` among them. It is read at each claim, so a machine that a reload did
not reach admits no job from then on; and every minute, so that it withdraws from the pool without one.

    claim ──▶ read what follows the entries that are known ──▶ compare with the bundle in force ──▶ go on, or NOT_READY
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from cji_attestation.bundle.floors import NONE, demanded
from cji_core.errors import Reason, Refusal, Stage
from cji_core.log import log
from cji_worker.keyholder.bundle_in_force import BundleInForce
from cji_worker.keyholder.pool_ledger import Fault, FloorEntries, Outcome, PoolLedger, ReadFloors

EVERY_S: Final = 60.0
"""Between two looks at the floors without a claim."""
AGAIN_S: Final = 5.0
"""After one that the ledger did not answer."""
MOST_READS: Final = 16
"""Of `pool_ledger.MOST_FLOORS` entries for one claim: nobody who may create entries can hold a claim for longer."""

Answer = Callable[[Refusal | None], None]


class Floors:
    """`pool_name` is the pool of the bundles that count."""

    def __init__(
        self,
        pool: PoolLedger,
        bundle: BundleInForce,
        *,
        pool_name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool, self._bundle, self._pool_name, self._clock = pool, bundle, pool_name, clock
        self._next, self._floor = 1, NONE
        self._looks_at, self._is_looking = 0.0, False
        self.known = False
        """Whether the floors have been read since the start."""

    @property
    def is_outdated(self) -> bool:
        """Whether the bundle in force is behind the floor."""
        mine = self._bundle.rank
        return mine is None or mine < self._floor

    def check(self, answer: Answer) -> None:
        """Read the floors to their end, then answer with the reason why no job may begin now, or None."""
        self._read(answer, MOST_READS)

    def follow(self) -> None:
        """Once a beat: look at the floors every minute, at first at once."""
        if not self._is_looking and self._clock() >= self._looks_at:
            self._is_looking = True
            self.check(self._looked)

    def _looked(self, refusal: Refusal | None) -> None:
        answered = refusal is None or refusal.reason is Reason.NOT_READY
        self._is_looking, self._looks_at = False, self._clock() + (EVERY_S if answered else AGAIN_S)

    def _read(self, answer: Answer, reads: int) -> None:
        first, loop = self._next, asyncio.get_running_loop()

        def take(outcome: Outcome) -> None:
            if not isinstance(outcome, FloorEntries):
                full = outcome is Fault.FULL
                answer(Refusal(Reason.OVERLOADED if full else Reason.LEDGER_UNAVAILABLE, stage=Stage.ADMIT))
                return
            self._take(first, outcome.entries)
            if outcome.is_end:
                self.known = True
                answer(Refusal(Reason.NOT_READY, stage=Stage.ADMIT) if self.is_outdated else None)
            elif reads > 1:
                self._read(answer, reads - 1)
            else:
                answer(Refusal(Reason.LEDGER_UNAVAILABLE, stage=Stage.ADMIT))

        def reply(outcome: Outcome) -> None:
            loop.call_soon_threadsafe(take, outcome)

        self._pool.ask(ReadFloors(first), reply)

    def _take(self, first: int, entries: tuple[bytes, ...]) -> None:
        was_outdated, accepted = self.is_outdated, self._bundle.accepted
        for number, entry in enumerate(entries, first):
            if number == self._next and accepted is not None:  # two claims may have read the same ones
                self._next += 1
                self._floor = max(self._floor, demanded(entry, accepted, pool=self._pool_name))
        if self.is_outdated and not was_outdated:
            log("bundle outdated", what=f"bundle {self._floor.serial} is the floor of the pool")
