"""The last sections of the page: the trails, their witnesses, the receipts, and the checks with their thresholds."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import msgspec

from cji_audit.review.model import Check, HeadState, Report, TrailState
from cji_core.page.charts import share
from cji_core.page.markup import Part, element, facts, number, section, table, value
from cji_core.trail.rules import RULES

_STATES = {"same": "the same line", "differs": "ANOTHER LINE", "missing": "NO SUCH LINE", "pruned": "pruned since"}


def trails(report: Report) -> Iterator[Element]:
    """A section for each trail."""
    for position, trail in enumerate(report.trails, 1):
        title = f"Trail of {trail.worker}" if len(report.trails) == 1 else f"Trail {position}: {trail.worker}"
        yield section(title, facts(_trail(trail)), _events(trail))


def _trail(trail: TrailState) -> dict[str, Part]:
    anchors, checkpoints = trail.anchors, trail.checkpoints
    return {
        "chain": f"{trail.lines} lines, all verified",
        "lines of the week": number(trail.week_lines),
        "first line": value(trail.first),
        "last line": value(trail.last),
        "hash of the last line": value(trail.hash),
        "Merkle root": value(trail.root),
        "anchors of the week": number(anchors.in_week),
        "last anchor": "none" if anchors.last is None else f"{anchors.last}, {anchors.lines_after} lines after it",
        "checkpoints of the week": number(checkpoints.in_week),
        "last checkpoint": "none"
        if checkpoints.size is None
        else f"{checkpoints.size} lines; {checkpoints.compared} compared",
        "receipts of the week": number(trail.receipts),
        "longest silence": f"{trail.silence_minutes} minutes",
        "started versions": value(", ".join(trail.versions) or "none started"),
    }


def _events(trail: TrailState) -> Element:
    most = max(trail.events.values(), default=0)
    rows = [(value(kind), number(count), share(count, most)) for kind, count in sorted(trail.events.items())]
    return table(("event", "lines", ""), rows, where="review.json")


def heads(report: Report) -> Iterator[Element]:
    """Destinations, checkpoints and earlier reviews."""
    if not report.heads:
        return
    yield section(
        "Seen elsewhere", table(("seen by", "line", "this trail has", "lines behind"), map(_head, report.heads))
    )


def _head(state: HeadState) -> tuple[Part, ...]:
    head = state.head
    behind = "" if state.lines_behind is None else number(state.lines_behind)
    return value(f"{head.kind} {head.source}"), number(head.line), _STATES[state.state], behind


def receipts(report: Report) -> Iterator[Element]:
    """The folder of receipts."""
    found = report.receipts
    if found is None:
        return
    rows: dict[str, Part] = {
        "with their event": number(found.matched),
        "without an event": number(found.without_event),
        "events without one": number(found.events_without_receipt),
        "of other workers": number(found.others),
        "unreadable": number(found.unreadable),
    }
    yield section("Receipts in the folder", facts(rows))


def checks(report: Report) -> Iterator[Element]:
    """Every rule, with its result."""
    done = [each for each in report.checks if each.not_checked is None]
    limited = [each for each in report.checks if each.threshold is not None]
    names = ("check", "findings", "from", "largest below")
    yield section("Checked against a threshold", table(names, map(_limited, limited)))
    found = [each for each in done if each.findings]
    quiet = [each for each in done if not each.findings]
    for title, some in (("Checked, with findings", found), ("Checked, without a finding", quiet)):
        items = (element("li", _counted(each)) for each in some)
        yield section(title, element("ul", *items, class_="columns") if some else element("p", "None."))
    left = [each for each in report.checks if each.not_checked is not None]
    if left:
        yield section("Not checked, or not all of it", table(("check", "findings", "reason"), map(_left, left)))


def _limited(check: Check) -> tuple[Part, ...]:
    amounts = (number(each, 0 if each == int(each) else 2) for each in (check.threshold or 0.0, check.below or 0.0))
    return RULES[check.rule].title, number(check.findings + check.more), *amounts


def _counted(check: Check) -> str:
    more = f", of which {check.more} are not listed" if check.more else ""
    return RULES[check.rule].title + (f": {check.findings + check.more}{more}" if check.findings else "")


def _left(check: Check) -> tuple[Part, ...]:
    return RULES[check.rule].title, number(check.findings + check.more), value(check.not_checked)


def settings(report: Report) -> Element:
    """The hours and thresholds that were applied."""
    found = report.settings
    limits = msgspec.structs.asdict(found.thresholds)
    rows: dict[str, Part] = {
        "time zone": value(found.time_zone),
        "hours": value("; ".join(found.hours or ()) or "none"),
        "holidays": value(", ".join(map(str, found.holidays)) or "none"),
        "software": value(report.software),
    }
    for ori, agency in sorted(found.agencies.items()):
        rows[f"hours of {ori}"] = value(f"{'; '.join(agency.hours)} {agency.time_zone or ''}".strip())
    rows |= {name.replace("_", " "): value(amount) for name, amount in limits.items()}
    return section("Settings", facts(rows))
