"""Jobs that passed admission and wait for the pool's ledger."""

import asyncio
from collections.abc import Callable

from worker.errors import Refusal
from worker.ipc.messages import Admit
from worker.job import Header
from worker.keyholder.pool import PoolLedger


class PoolClaims:
    """By call number. `answered` is called once for each job that was not removed before, in the main thread."""

    def __init__(self, pool: PoolLedger, answered: Callable[[Admit, Header, Refusal | None], None]) -> None:
        self._pool, self._answered = pool, answered
        self._waiting: dict[int, tuple[Admit, Header]] = {}

    def __contains__(self, call: int) -> bool:
        return call in self._waiting

    def claim(self, request: Admit, header: Header) -> None:
        """Ask the ledger, without waiting."""
        loop = asyncio.get_running_loop()
        self._waiting[request.call] = request, header

        def answer(refusal: Refusal | None) -> None:
            loop.call_soon_threadsafe(self._answer, request.call, refusal)

        self._pool.claim(header.job_id, header_sha384=header.sha384, attempt=request.attempt, answer=answer)

    def remove(self, call: int) -> tuple[Admit, Header] | None:
        """Forget a job whose caller left; None if it does not wait here."""
        return self._waiting.pop(call, None)

    def _answer(self, call: int, refusal: Refusal | None) -> None:
        if (waiting := self.remove(call)) is not None:
            self._answered(*waiting, refusal)
