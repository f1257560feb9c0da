"""Pages for people, made by the recipient of a result: one HTML file, without a network, for screens and for paper.

Pages hold records in plain text. They are made where records may be read, by a recipient's program after it has
verified the receipt and opened the outputs; no process of a worker imports this room. `report` makes the page of a
job's result, in the design of `cji_core.page`. Every page has a bounded size: it shows samples and states how many more
there are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element

from cji_client.report import aggregate_page, clear_page, link_page, orders_page, validate_page
from cji_client.report.job import Job
from cji_core.operations.registry import SCHEMAS, operation_of
from cji_core.page.markup import Part, element, facts, page

__all__ = ["Job", "report"]

_SECTIONS: Final[Mapping[str, Callable[[Job, Any], Iterable[Element]]]] = {
    "link": link_page.sections,
    "validate": validate_page.sections,
    "aggregate": aggregate_page.sections,
    "clear": clear_page.sections,
    "match_orders": orders_page.sections,
}
"""By operation."""

_NOTICE: Final = "Criminal justice information: this page contains records in plain text. Handle it as you handle them."
_SIMULATED: Final = "SIMULATED: the receipt is from a simulated machine, which protects nothing."


def report(job: Job) -> Iterator[str] | None:
    """The page of a job, a piece at a time; None if its operations have none, or made records unknown here."""
    shown = [each for each in job.operations if operation_of(each).name in _SECTIONS]
    if not shown or not SCHEMAS.keys() >= set(job.outputs.values()):
        return None
    return page(f"Report: {', '.join(operation_of(each).name for each in shown)}", _NOTICE, _content(job, shown))


def _content(job: Job, shown: Iterable[Any]) -> Iterator[Element]:
    if job.simulated:
        yield element("p", _SIMULATED, class_="notice")
    of_job: dict[str, Part] = {**job.facts}
    yield facts(of_job)
    for parameters in shown:
        yield from _SECTIONS[operation_of(parameters).name](job, parameters)
