"""Jobs that wait for the pool ledger: each goes on with the answer to its own claim, or not at all."""

from collections.abc import Callable

import pytest

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import JobId, parse
from cji_core.pool.entries import Kind
from cji_worker.ipc.messages import Admit
from cji_worker.keyholder.pool_claims import Claimed, PoolClaims
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_exchanges import JobOfPool, PoolExchanges
from tests.support.connections import TRANSPORT
from tests.support.job_headers import make
from tests.support.refusals import refused

ALLOWED = Allowance(submitter="s", ori="WI0130000", most=9)
Answer = Callable[[int | Refusal], None]
Answered = tuple[Claimed, int | Refusal]


class HeldExchanges(PoolExchanges):
    """Their answers are given by the test, in any order."""

    def __init__(self) -> None:
        self.asked: list[Answer] = []

    def claim(self, job: JobOfPool, *, name: bytes | None, kind: Kind, allowance: Allowance, answer: Answer) -> None:
        assert allowance is ALLOWED
        assert kind is Kind.WHOLE
        self.asked.append(answer)


def claim(claims: PoolClaims, job: bytes, *, call: int = 1) -> Claimed:
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
    claimed = Claimed(request=request, header=header, cell=None)
    claims.claim(claimed, submitter="s", allowance=ALLOWED)
    return claimed


@pytest.fixture
def ledger() -> HeldExchanges:
    return HeldExchanges()


@pytest.fixture
def answered() -> list[Answered]:
    return []


@pytest.fixture
def claims(ledger: HeldExchanges, answered: list[Answered]) -> PoolClaims:
    return PoolClaims(ledger, lambda *answer: answered.append(answer))


def test_an_answer_goes_to_its_own_claim(claims: PoolClaims, ledger: HeldExchanges, answered: list[Answered]) -> None:
    one, other = claim(claims, b"a"), claim(claims, b"b", call=2)
    refusal = Refusal(Reason.REPLAYED, stage=Stage.ADMIT)
    ledger.asked[1](refusal)
    ledger.asked[0](0)
    assert answered == [(other, refusal), (one, 0)]
    assert not any(call in claims for call in (1, 2))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the second first"])
def test_no_job_goes_on_with_the_answer_to_another(
    claims: PoolClaims, ledger: HeldExchanges, answered: list[Answered], order: tuple[int, int]
) -> None:
    """The front aborts a call and gives its number again: the first job may begin, the second one is a replay."""
    claim(claims, b"a")
    assert claims.remove(1) is not None
    second = claim(claims, b"b")
    refusal = Refusal(Reason.REPLAYED, stage=Stage.ADMIT)
    answers: list[Callable[[], None]] = [lambda: ledger.asked[0](0), lambda: ledger.asked[1](refusal)]
    for each in order:
        answers[each]()
    assert answered == [(second, refusal)]


def test_one_id_waits_once(claims: PoolClaims) -> None:
    """Else each of its calls is entered as an attempt, and all but one are refused."""
    claim(claims, b"a")
    with refused(Reason.ALREADY_EXISTS):
        claim(claims, b"a", call=2)


def test_a_job_that_left_is_not_answered(claims: PoolClaims, ledger: HeldExchanges, answered: list[Answered]) -> None:
    first = claim(claims, b"a")
    assert claims.remove(1) is first
    assert claims.remove(1) is None
    ledger.asked[0](0)
    assert answered == []
