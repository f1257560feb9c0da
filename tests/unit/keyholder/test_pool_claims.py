"""Jobs that wait for the pool ledger: each goes on with the answer to its own claim, or not at all."""

import asyncio
from collections.abc import Callable
from datetime import date

import pytest

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import Header, JobId, parse
from cji_worker.ipc.messages import Admit
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_ledger import Answer, PoolClaims, PoolLedger
from tests.support.connections import TRANSPORT
from tests.support.job_headers import make

ALLOWED = Allowance(day=date(2026, 1, 1), submitter="s", ori="WI0130000", most=9)
Answered = tuple[Admit, Header, Refusal | None]


class HeldLedger(PoolLedger):
    """Its answers are given by the test, in any order."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Answer]] = []

    def claim(
        self, job_id: bytes, *, header_sha384: bytes, attempt: bytes | None, allowance: Allowance, answer: Answer
    ) -> None:
        assert allowance is ALLOWED
        self.asked.append((job_id, answer))


def claim(claims: PoolClaims, job: bytes, *, call: int = 1) -> tuple[Admit, Header]:
    header = parse(make(job_id=JobId(job * 16)))
    request = Admit(
        call=call,
        submitter="s",
        source="fleet",
        transport=TRANSPORT,
        correlation_id="c",
        header=header.data,
        signature=b"",
    )
    claims.claim(request, header, ALLOWED)
    return request, header


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
def ledger() -> HeldLedger:
    return HeldLedger()


@pytest.fixture
def answered() -> list[Answered]:
    return []


@pytest.fixture
def claims(ledger: HeldLedger, answered: list[Answered]) -> PoolClaims:
    return PoolClaims(ledger, lambda *answer: answered.append(answer))


async def test_an_answer_goes_to_its_own_claim(
    claims: PoolClaims, ledger: HeldLedger, answered: list[Answered]
) -> None:
    one, other = claim(claims, b"a"), claim(claims, b"b", call=2)
    refusal = Refusal(Reason.REPLAYED, stage=Stage.ADMIT)
    ledger.asked[1][1](refusal)
    ledger.asked[0][1](None)
    await settled()
    assert answered == [(*other, refusal), (*one, None)]
    assert not any(call in claims for call in (1, 2))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the second first"])
async def test_no_job_goes_on_with_the_answer_to_another(
    claims: PoolClaims, ledger: HeldLedger, answered: list[Answered], order: tuple[int, int]
) -> None:
    """The front aborts a call and gives its number again: the first job may begin, the second one is a replay."""
    claim(claims, b"a")
    assert claims.remove(1) is not None
    second = claim(claims, b"b")
    refusal = Refusal(Reason.REPLAYED, stage=Stage.ADMIT)
    answers: list[Callable[[], None]] = [lambda: ledger.asked[0][1](None), lambda: ledger.asked[1][1](refusal)]
    for each in order:
        answers[each]()
    await settled()
    assert answered == [(*second, refusal)]


async def test_the_same_job_again_waits_for_its_own_answer(
    claims: PoolClaims, ledger: HeldLedger, answered: list[Answered]
) -> None:
    """Equal in every byte, and still another claim."""
    first = claim(claims, b"a")
    assert claims.remove(1) == first
    claim(claims, b"a")
    ledger.asked[0][1](None)
    await settled()
    assert answered == []
    assert 1 in claims


async def test_a_job_that_left_is_not_answered(
    claims: PoolClaims, ledger: HeldLedger, answered: list[Answered]
) -> None:
    claim(claims, b"a")
    assert claims.remove(1) is not None
    assert claims.remove(1) is None
    ledger.asked[0][1](None)
    await settled()
    assert answered == []
