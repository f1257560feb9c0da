"""The functions of the stages of `link`, which `cji_core.operations.link.stages` declares."""

from functools import partial

from cji_operations.link.stages import buckets, clustering, components, count, finish, shares, split, unite
from cji_operations.link.stages.routes import ROWS_OF_TASK
from cji_operations.stages.task import StageFunctions

__all__ = ["stage_functions"]


def stage_functions(rows_of_task: int = ROWS_OF_TASK) -> StageFunctions:
    """By the names of the stages; a task gets about this number of rows, over all routes."""
    return {
        "count": count.count,
        "unite": unite.unite,
        "plan": partial(count.plan, rows_of_task=rows_of_task),
        "frequencies": count.frequencies,
        "split": split.split,
        "observe": buckets.observe,
        "train": finish.train,
        "pairs": buckets.pairs,
        "components": components.form,
        "gather": shares.gather,
        "list": shares.list_,
        "report": finish.report,
        "cluster": clustering.cluster,
        "order": clustering.order,
        "label": finish.label,
    }
