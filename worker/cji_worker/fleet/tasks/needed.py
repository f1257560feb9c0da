"""The statements that a receipt needs: those of each task's newest attempt, and of the attempts that these read.

A task may have run on workers of two releases. The keyholder takes statements of its own release alone, so that of an
attempt which nothing needs any more would end the job for nothing.
"""

from collections.abc import Callable, Mapping

from cji_core.operations.stages.streams import TaskStreams
from cji_core.pool.documents import DocumentError
from cji_core.trail import StatedStream, Statement, StatementError, read_statement
from cji_worker.fleet.tasks.published import PublishedAttempt

Attempts = dict[tuple[str, int], tuple[PublishedAttempt, ...]]
"""By stage and number of a task, the newest first."""


def needed(job: TaskStreams, found: Attempts, statement: Callable[[str, int, PublishedAttempt], str]) -> Attempts:
    """The attempts whose statements are sent, as `found`; `statement` reads that of one. Raises what that raises.

    Raises DocumentError for one that is none.
    """
    if all(len(attempts) == 1 for attempts in found.values()):
        return found
    kept, read = Attempts(), set[StatedStream]()
    for stage in reversed(job.stages.in_order):
        for number in range(job.tasks[stage.name]):
            said = {each: _read(statement(stage.name, number, each)) for each in found[stage.name, number]}
            kept[stage.name, number] = tuple(_kept(said, read))
            for each in kept[stage.name, number]:
                read.update(said[each].streams_in)
    return {task: kept[task] for task in found}


def _kept(said: Mapping[PublishedAttempt, Statement], read: set[StatedStream]) -> list[PublishedAttempt]:
    """The newest attempt, and those that wrote streams which a kept attempt has read."""
    newest, *older = said
    return [newest, *(each for each in older if not read.isdisjoint(said[each].streams_out))]


def _read(compact: str) -> Statement:
    try:
        return read_statement(compact)
    except StatementError as error:
        raise DocumentError from error
