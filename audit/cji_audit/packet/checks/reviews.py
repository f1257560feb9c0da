"""The check of weekly reviews: one for each week, sound, of these trails, in time, recorded by a witnessed trail."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from cji_audit.packet.checks.result import Result, fails, holds, missing, of_file
from cji_audit.packet.logged import kept_outside
from cji_audit.packet.material import Checkpoint, Material, Review, Trail
from cji_audit.packet.signed import NO_KEY

ALLOWED_DAYS: Final = "review.allowed_days"
DEFAULT_DAYS: Final = 7
SKEW: Final = timedelta(minutes=5)
"""By which the reviewer's clock may be ahead of the worker's."""


def reviews(material: Material) -> Result:
    """Every whole week of the period has one sound review, signed and recorded within the allowed days."""
    if material.reviews is None:
        return missing("No signed weekly reviews were given (--reviews).")
    days = allowed_days(material)
    for result in _all_faults(material, material.reviews, days):
        return result
    weeks, by_week = material.period.weeks, {each.week: each for each in material.reviews}
    named = ((week, by_week[week]) for week in weeks)
    return holds(
        f"All {len(weeks)} weeks of the period have a review, signed and recorded within {days} days after it.",
        *(
            of_file(each.file, f"review of {week} by {each.reviewer}, recorded in line {each.line}")
            for week, each in named
        ),
    )


def _all_faults(material: Material, given: Sequence[Review], days: int) -> Iterator[Result]:
    """Why the reviews do not hold, in the order in which a reader would ask."""
    for each in given:
        if each.fault == NO_KEY:
            yield missing(f"The key of review {each.file.name} was not given (--reviewer-key).")
        elif each.fault:
            yield fails(f"Review {each.file.name} of week {each.week}: {each.fault}.", of_file(each.file))
    weeks, by_week = material.period.weeks, {each.week: each for each in given}
    if not weeks:
        yield missing("The period has no whole week.")
    if absent := [week for week in weeks if week not in by_week]:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        yield fails(f"Week {absent[0]}{more} has no signed review.")
    for week in weeks:
        yield from _faults(material, by_week[week], days)


def allowed_days(material: Material) -> int:
    """The days of the configuration that was given; 7 without one."""
    values = material.configuration.values if material.configuration else {}
    return int(values.get(ALLOWED_DAYS, DEFAULT_DAYS))


def _faults(material: Material, each: Review, days: int) -> Iterator[Result]:
    """Why a review that is sound in itself does not count."""
    where, shown = f"Review of week {each.week}: ", of_file(each.file)
    due = datetime.fromisoformat(each.ended) + timedelta(days=days)
    for head in each.heads:
        if not any(_has(trail, head.worker, head.lines, head.root) for trail in material.trails):
            what = f"review-of-other-trails: no trail of {head.worker} has these {head.lines} lines"
            yield fails(f"{where}{what}.", shown)
    workers = {head.worker for head in each.heads}
    for trail in material.trails:
        if trail.first_line and trail.first_time < each.ended and trail.worker not in workers:
            yield fails(f"{where}review-left-out-trail: {trail.file} began before its end.", shown)
    if datetime.fromisoformat(each.signed) > due:
        yield fails(f"{where}review-too-late: signed at {each.signed}, more than {days} days after its end.", shown)
    if not each.line:
        yield missing(f"{where}review-not-recorded: no line of the trails has its digest (`cji record review`).")
        return
    recorded = datetime.fromisoformat(each.recorded)
    if recorded > due:
        yield fails(f"{where}review-recorded-late: at {each.recorded}, more than {days} days after its end.", shown)
    if datetime.fromisoformat(each.signed) - recorded > SKEW:
        yield fails(f"{where}review-dated-forward: signed at {each.signed}, recorded at {each.recorded}.", shown)
    if not any(_covers(point, trail, each) for point in kept_outside(material) for trail in material.trails):
        what = "review-not-witnessed: line {} of {} is under no checkpoint outside the machine (--log or --checkpoints)"
        yield missing(f"{where}{what.format(each.line, each.worker)}.")


def _has(trail: Trail, worker: str, lines: int, root: str) -> bool:
    return trail.worker == worker and trail.roots.get(str(lines)) == root


def _covers(point: Checkpoint, trail: Trail, each: Review) -> bool:
    """Whether a sound checkpoint is over the line that records the review."""
    own = not point.fault and trail.worker == each.worker and point.origin.endswith(f"/{trail.worker}")
    return own and point.size >= each.line and trail.roots.get(str(point.size)) == point.root


CHECKS: Final[Mapping[str, Callable[[Material], Result]]] = MappingProxyType({"reviews": reviews})
