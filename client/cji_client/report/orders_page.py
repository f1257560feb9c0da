"""The page of `match_orders`: the orders that a clerk must look at first, then those that were applied."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_client.report.job import Job
from cji_client.report.sample import NOT_WANTED, Least, Row, column
from cji_core.operations.match_orders import OUTCOMES, MatchOrders
from cji_core.page.charts import share
from cji_core.page.markup import MOST_ROWS, Part, element, facts, number, section, table, value

_DONE: Final = "applied"
_NEXT: Final = {
    "no_event": "Compare what the order names with the events of this person.",
    "no_person": "Look for the person under other names or numbers, and write the subject into the order.",
    "possible": "Compare the order with this person; if it is the one, write the subject into the order.",
    "several": "Find out which of them is meant, and write the subject into the order.",
    "unknown_subject": "Correct the subject in the order.",
    "unusable": "Complete the order: its id, its action, the events or the whole record, and dates as YYYY-MM-DD.",
}
"""The next step for each outcome but `applied`."""


def sections(job: Job, parameters: MatchOrders) -> Iterable[Element]:
    """The sections of a job's page."""
    samples = {name: Least(MOST_ROWS, partial(_rank, name)) for name in OUTCOMES}
    events = 0
    for batch in job.read("work_list"):
        events += pc.sum(batch["events"]).as_py() or 0
        for sample in samples.values():
            sample.add(batch)
    total = sum(sample.total for sample in samples.values())
    rows: list[Sequence[Part]] = [
        (text, number(samples[name].total), share(samples[name].total, total, urgent=name != _DONE))
        for name, text in OUTCOMES.items()
    ]
    what = "removed or sealed" if parameters.remove else "flagged"
    yield section(
        "Orders",
        facts({"lines of orders": number(total), f"events {what}, counted by line": number(events)}),
        table(("what became of it", "lines", ""), rows),
    )
    for name in (*_NEXT, _DONE):
        if samples[name].total:
            yield _lines(name, samples[name])


def _rank(outcome: str, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    found = pc.equal(batch["outcome"], outcome).to_numpy(zero_copy_only=False)
    ranks: npt.NDArray[np.float64] = column(batch, "line").astype(np.float64)
    ranks[~found] = NOT_WANTED
    return ranks


def _lines(outcome: str, sample: Least) -> Element:
    rows: list[Sequence[Part]] = [_line(row) for row in sample.rows]
    names = ("line", "order", "action", "person", "score", "or", "score", "events")
    return section(
        OUTCOMES[outcome],
        *([element("p", _NEXT[outcome])] if outcome in _NEXT else []),
        table(names, rows, total=sample.total),
    )


def _line(row: Row) -> Sequence[Part]:
    second = row["second_subject"] is not None
    return (
        number(row["line"]),
        value(row["order_id"]),
        value(row["action"]),
        value(row["subject"]) if row["subject"] is not None else "",
        "" if row["probability"] is None else number(row["probability"], 3),
        value(row["second_subject"]) if second else "",
        number(row["second_probability"], 3) if second else "",
        number(row["events"]),
    )
