"""Jobs that passed admission and wait for the pool ledger."""

import asyncio
from collections.abc import Callable

from cji_core.errors import Refusal
from cji_core.format.job import Header
from cji_worker.ipc.messages import Admit
from cji_worker.keyholder.pool import PoolLedger
from cji_worker.keyholder.pool_days import Allowance


class PoolClaims:
    """By call number. `answered` is called once for each job that was not removed before, in the main thread.

    An answer counts for the claim that asked for it, and for no later one of the same number.
    """

    def __init__(self, pool: PoolLedger, answered: Callable[[Admit, Header, Refusal | None], None]) -> None:
        self._pool, self._answered = pool, answered
        self._waiting: dict[int, tuple[Admit, Header]] = {}

    def __contains__(self, call: int) -> bool:
        return call in self._waiting

    def claim(self, request: Admit, header: Header, allowance: Allowance) -> None:
        """Ask the pool ledger, without waiting."""
        loop, claimed = asyncio.get_running_loop(), (request, header)
        self._waiting[request.call] = claimed

        def answer(refusal: Refusal | None) -> None:
            loop.call_soon_threadsafe(self._answer, claimed, refusal)

        self._pool.claim(
            header.job_id, header_sha384=header.sha384, attempt=request.attempt, allowance=allowance, answer=answer
        )

    def remove(self, call: int) -> tuple[Admit, Header] | None:
        """Forget a job whose caller left; None if it does not wait here."""
        return self._waiting.pop(call, None)

    def _answer(self, claimed: tuple[Admit, Header], refusal: Refusal | None) -> None:
        """Pass on the answer to this very claim: a call that was aborted may have come again with another job."""
        request, header = claimed
        if self._waiting.get(request.call) is claimed:
            del self._waiting[request.call]
            self._answered(request, header, refusal)
