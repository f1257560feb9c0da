"""Jobs that wait for the pool ledger's answer to their claim, by call number. For the main thread.

An answer counts for the claim that asked for it, and for no later one of the same number.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import Header
from cji_core.pool.entries import Kind
from cji_worker.ipc.messages import Admit
from cji_worker.keyholder.cells import Cell
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_exchanges import JobOfPool, PoolExchanges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claimed:
    """A job that waits, and the cell that is reserved for it; the end of a job in parts needs none."""

    request: Admit
    header: Header
    cell: Cell | None


class PoolClaims:
    """`answered` is called once for each job that was not removed before, with its attempt entry or why not."""

    def __init__(self, pool: PoolExchanges, answered: Callable[[Claimed, int | Refusal], None]) -> None:
        self._pool, self._answered = pool, answered
        self._waiting: dict[int, Claimed] = {}

    def __contains__(self, call: int) -> bool:
        return call in self._waiting

    def waiting(self) -> Iterable[Claimed]:
        """The jobs that wait."""
        return self._waiting.values()

    def claim(self, claimed: Claimed, *, submitter: str, allowance: Allowance) -> None:
        """Ask, without waiting. Raises ALREADY_EXISTS for a whole job that waits here under another call."""
        request, header = claimed.request, claimed.header
        kind = Kind.WHOLE if request.task is None and request.finish is None else Kind.PARTS
        if kind is Kind.WHOLE and any(each.header.job_id == header.job_id for each in self._waiting.values()):
            raise Refusal(Reason.ALREADY_EXISTS, stage=Stage.ADMIT)
        self._waiting[request.call] = claimed
        self._pool.claim(
            JobOfPool.of(header, submitter),
            name=request.attempt,
            kind=kind,
            allowance=allowance,
            answer=lambda answer: self._answer(claimed, answer),
        )

    def remove(self, call: int) -> Claimed | None:
        """Forget a job whose caller left; None if it does not wait here."""
        return self._waiting.pop(call, None)

    def _answer(self, claimed: Claimed, answer: int | Refusal) -> None:
        """Pass on the answer to this very claim: a call that was aborted may have come again with another job."""
        call = claimed.request.call
        if self._waiting.get(call) is claimed:
            del self._waiting[call]
            self._answered(claimed, answer)
