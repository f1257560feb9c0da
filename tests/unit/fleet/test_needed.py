"""Which statements are sent for a receipt, where the tasks of a job ran on workers of two releases."""

from dataclasses import dataclass
from typing import Any

import pytest

from cji_core.operations.stages.stage import Stage
from cji_core.pool.documents import DocumentError
from cji_worker.fleet.tasks.needed import Attempts, needed
from cji_worker.fleet.tasks.published import PublishedAttempt
from cji_worker.keyholder.gathering import Gathering, StatementsRefusedError
from tests.support.task_statements import MACHINE, Honest

OTHERS: list[dict[str, Any]] = [{"code_sha384": "00" * 48}, {"tables_sha256": "00" * 32}, {"host_profile": "another"}]
HONEST = Honest()


@dataclass
class Ran:
    """A job whose tasks all ran twice: attempt 0 in the old release, attempt 1 after `--again` in the new one."""

    old: dict[str, Any]
    reads: dict[str, int]
    """Attempt of its producers that the newest attempt of a stage has read; 1 unless named."""

    def attempts(self) -> Attempts:
        return {
            (stage.name, n): tuple(_published(k) for k in ((1,) if stage.plans else (1, 0)))
            for stage, n in HONEST.places
        }

    def statement(self, stage: str, number: int, one: PublishedAttempt) -> str:
        found = HONEST.job.stage(stage)
        assert isinstance(found, Stage)
        attempt = int(one.attempt, 16)
        read = self.reads.get(stage, 1) if attempt else 0
        release = {} if attempt else self.old
        return HONEST.signed(HONEST.facts(found, number, attempt=attempt, read=read, **release))

    def gathered(self, sent: Attempts) -> None:
        gathering = Gathering(HONEST.header, HONEST.planned, HONEST.job, HONEST.plan, key=HONEST.key, machine=MACHINE)
        for (stage, number), attempts in sent.items():
            for one in attempts:
                gathering.add(self.statement(stage, number, one))
        gathering.finish()


def _published(attempt: int) -> PublishedAttempt:
    name = attempt.to_bytes(16, "big").hex()
    return PublishedAttempt(attempt=name, statement_sha256="ab" * 32, bytes_in=1, bytes_out=1, seconds=1.0)


@pytest.mark.parametrize("old", OTHERS, ids=str)
def test_a_job_that_ran_again_after_a_change_of_release_ends(old: dict[str, Any]) -> None:
    ran = Ran(old, {})
    found = ran.attempts()
    with pytest.raises(StatementsRefusedError) as refused:
        ran.gathered(found)
    assert refused.value.about == "machine"
    sent = needed(HONEST.job, found, ran.statement)
    assert [len(each) for each in sent.values()] == [1] * len(sent)
    assert list(sent) == list(found)
    ran.gathered(sent)


@pytest.mark.parametrize("old", OTHERS, ids=str)
def test_an_older_attempt_that_was_read_is_sent_and_refused(old: dict[str, Any]) -> None:
    """A task of the new release has read a stream of the old one: half of the job would be of either."""
    last = HONEST.places[-1][0].name
    ran = Ran(old, {last: 0})
    sent = needed(HONEST.job, ran.attempts(), ran.statement)
    assert any(len(each) == 2 for each in sent.values())
    with pytest.raises(StatementsRefusedError) as refused:
        ran.gathered(sent)
    assert refused.value.about == "machine"


def test_statements_are_read_only_where_a_task_ran_twice() -> None:
    once = {task: each[:1] for task, each in Ran(OTHERS[0], {}).attempts().items()}

    def unread(*_: object) -> str:
        raise AssertionError

    assert needed(HONEST.job, once, unread) is once


def test_a_blob_that_is_no_statement_is_named() -> None:
    with pytest.raises(DocumentError):
        needed(HONEST.job, Ran(OTHERS[0], {}).attempts(), lambda *_: "a.b.c")
