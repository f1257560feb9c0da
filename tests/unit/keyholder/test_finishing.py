"""The end of a job in parts: what its statements may do to the keyholder, and one end for every admission."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keyholder_bench import Bench, admission, bench, finish_order, sealed_to
from tests.support.task_statements import DEK, ROWS, Honest
from worker.audit import JobAdmitted, JobCompleted, JobEnded
from worker.errors import Reason, Stage
from worker.ipc.messages import Completed, Ended, StatementData, StatementsDone, StatementsWanted
from worker.keyholder.finishing import Finishes

HONEST = Honest(changes=sealed_to(DEK))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as found:
        yield found


@pytest.fixture
def finishes(desk: Bench) -> Finishes:
    return Finishes(effects=desk.effects, signer=desk.signer, custody=desk.custody)


def begin(desk: Bench, finishes: Finishes, honest: Honest = HONEST) -> None:
    finishes.begin(finish_order(honest), admission(desk, honest))
    assert list(desk.messages()) == [StatementsWanted(call=1)]


def tell(finishes: Finishes, *statements: str, done: bool = True) -> None:
    for statement in statements:
        finishes.hear(StatementData(call=1, data=statement.encode(), last=True))
    if done:
        finishes.hear(StatementsDone(call=1))


def ended(desk: Bench, reason: Reason) -> None:
    """The front has the refusal, and the trail the end; the keyholder lives."""
    assert list(desk.messages()) == [Ended(call=1, reason=reason, stage=Stage.COMMIT)]
    assert [type(event) for event in desk.events if isinstance(event, JobAdmitted | JobCompleted | JobEnded)] == [
        JobAdmitted,
        JobEnded,
    ]
    assert desk.events[-1].reason is reason


def test_sums_that_no_receipt_has_room_for(desk: Bench, finishes: Finishes) -> None:
    """Each statement is honest in form; together they overflow."""
    begin(desk, finishes)
    most = (1 << 63) - 1
    tell(
        finishes,
        *(
            HONEST.signed(HONEST.facts(stage, n, **({"rows_out": most} if stage.name == "label" else {})))
            for stage, n in HONEST.places
        ),
    )
    ended(desk, Reason.LIMIT_EXCEEDED)
    assert finishes.current is None


def test_nodes_that_no_receipt_has_room_for(desk: Bench, finishes: Finishes) -> None:
    """Fewer nodes than a job may have, with the longest names."""
    honest = Honest(shards=30, changes=sealed_to(DEK))
    begin(desk, finishes, honest)
    tell(
        finishes,
        *(
            honest.signed(honest.facts(stage, n, worker="w" * 256, region="r" * 256, evidence_sha384=f"{at:096x}"))
            for at, (stage, n) in enumerate(honest.places)
        ),
    )
    ended(desk, Reason.LIMIT_EXCEEDED)


def test_honest_statements_give_a_receipt(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    tell(finishes, *HONEST.statements())
    admitted, completed = desk.events
    assert isinstance(admitted, JobAdmitted)
    assert isinstance(completed, JobCompleted)
    assert completed.volumes.rows_in == 2 * ROWS
    assert list(desk.messages()) == [Completed(call=1, receipt=completed.receipt)]
    assert finishes.current is None
