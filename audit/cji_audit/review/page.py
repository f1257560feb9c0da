"""The page of a report, `review.html`: made of the report alone, so it can be made again and compared."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element

import msgspec

from cji_audit.review.hours import DAYS
from cji_audit.review.model import Check, Finding, HeadState, Report, Table, TrailState, Volume
from cji_core.page.charts import share
from cji_core.page.markup import Part, element, facts, number, page, section, table, value
from cji_core.page.plots import columns, short, week_of_hours
from cji_core.trail.rules import RULES, SEVERITIES

_STATES = {"same": "the same line", "differs": "ANOTHER LINE", "missing": "NO SUCH LINE", "pruned": "pruned since"}

_FILE: Final = "review.json"
_VOLUME: Final = (
    "jobs",
    "done",
    "failed",
    "off hours",
    "rows out",
    "CHRI rows",
    "subjects",
    "bytes in",
    "bytes out",
)


STATED: Final = "stated by the cells"
"""Of rows and subjects: no other process counts them."""


def render(report: Report) -> bytes:
    """The page, as UTF-8."""
    title = f"Weekly review {report.week}"
    return "".join(page(title, _notice(report), _sections(report))).encode()


def _notice(report: Report) -> str:
    counts = [sum(each.severity == severity for each in report.findings) for severity in SEVERITIES]
    found = ", ".join(
        f"{count} {severity}{'' if count == 1 else 's'}" for count, severity in zip(counts, SEVERITIES, strict=True)
    )
    state = "" if report.complete else " The week has not ended: this report cannot be signed."
    zone = report.settings.time_zone
    workers = ", ".join(dict.fromkeys(trail.worker for trail in report.trails))
    return (
        f"{report.begins[:16]}Z to {report.ends[:16]}Z, a week in {zone}. Workers: {workers}. {found}.{state} "
        "Everything in the trails was counted; the last sections list what was checked, from which amount, and what "
        "was not."
    )


def _sections(report: Report) -> Iterator[Element]:
    yield section("The week", facts(_totals(report.total) | {"refused": number(report.refused)}))
    yield section("Findings", *_findings(report))
    zone = report.settings.time_zone
    yield section("When", element("p", f"Local time of {zone}."), element("div", *_plots(report), class_="plots"))
    for title, names, found in (
        ("Agencies", ("agency",), report.agencies),
        ("Operators", ("agency", "operator"), report.operators),
        ("Purposes", ("purpose",), report.purposes),
        ("Submitters", ("submitter",), report.submitters),
        ("Operations", ("operation",), report.operations),
    ):
        yield section(title, *_volumes(names, found))
    yield section("Refusals", *_refusals(report))
    yield from trails(report)
    yield from heads(report)
    yield from receipts(report)
    yield from confirmations(report)
    yield from checks(report)
    yield settings(report)


def _totals(of: Volume) -> dict[str, Part]:
    return {
        "jobs admitted": number(of.jobs),
        "completed": number(of.completed),
        "ended without a receipt": number(of.failed),
        "outside hours": number(of.off_hours),
        "rows in": number(of.rows_in),
        f"rows released, {STATED}": number(of.rows_out),
        f"of them with CHRI, {STATED}": number(of.chri_rows_out),
        f"subjects released, {STATED}": number(of.subjects_out),
        "bytes in": number(of.bytes_in),
        "bytes out": number(of.bytes_out),
    }


def _findings(report: Report) -> Iterator[Element]:
    if not report.findings:
        yield element("p", "None.")
    for rule, found in groupby(report.findings, key=lambda finding: finding.rule):
        yield _card(rule, [*found], len(report.trails))


def _card(rule: str, found: Sequence[Finding], trails: int) -> Element:
    about = RULES[rule]
    title = element("h3", element("span", about.severity, class_="chip"), " ", about.title)
    rows = [
        (
            element("b", each.id),
            value(each.subject),
            value(each.detail) if each.detail else "",
            number(each.count) if each.count else "",
            _when(each),
            _lines(each, trails),
        )
        for each in found
    ]
    names = ("finding", "about", "detail", "times", "when (UTC)", "trail:line" if trails > 1 else "lines")
    texts = element("p", *_marked(about.why)), element("p", element("b", "Do: "), *_marked(about.remedy))
    return element("div", title, *texts, table(names, rows, where=_FILE), class_=f"card {about.severity}")


def _marked(text: str) -> list[Part]:
    """A text of ours, in which `commands` are between backquotes."""
    return [element("code", part) if i % 2 else part for i, part in enumerate(text.split("`"))]


def _when(finding: Finding) -> Part:
    if finding.first is None or finding.last is None:
        return ""
    first, last = (time[:16].replace("T", " ") for time in (finding.first, finding.last))
    return value(first if first == last else f"{first} to {last}")


def _lines(finding: Finding, trails: int) -> Part:
    if not finding.places:
        return ""
    texts = [f"{place.trail + 1}:{place.line}" if trails > 1 else str(place.line) for place in finding.places[:6]]
    return element("span", ", ".join(texts) + (" …" if len(finding.places) > 6 or finding.count > 6 else ""))


def _plots(report: Report) -> Iterator[Element]:
    days = [report.slots[i : i + 24] for i in range(0, 168, 24)]
    hours = [report.slots[i::24] for i in range(24)]
    marks = [f"{hour}:00" if hour % 4 == 2 else "" for hour in range(24)]
    for what, name in (("Jobs admitted", "jobs"), (f"Rows released, {STATED}", "rows_out")):

        def amounts(groups: Iterable[Iterable[object]], name: str = name) -> list[int]:
            return [sum(getattr(slot, name) for slot in group) for group in groups]

        yield _plot(f"{what} by day", columns(amounts(days), DAYS, what))
        yield _plot(f"{what} by hour of the day", columns(amounts(hours), marks, what))
        yield _plot(f"{what} by day and hour", week_of_hours(amounts((slot,) for slot in report.slots), DAYS, what))


def _plot(title: str, drawn: Element) -> Element:
    return element("div", element("h3", title), drawn)


def _volumes(names: Sequence[str], found: Table) -> Iterator[Element]:
    most = max((group.volume.rows_out for group in found.groups), default=0)
    rows = [
        (
            *(_named(part) for part in group.key),
            *_amounts(group.volume),
            share(group.volume.rows_out, most),
        )
        for group in found.groups
    ]
    if not rows:
        yield element("p", "None.")
        return
    yield element("p", f"Rows, CHRI rows and subjects are {STATED}.")
    yield table((*names, *_VOLUME, "compared"), rows, class_="volumes", where=_FILE)
    if found.more or found.others != Volume():
        yield element("p", f"{found.more} and more groups that are not listed have together:", class_="more")
        yield element("div", facts(_totals(found.others)))


def _named(part: str | None) -> Element:
    return element("span", "not known", class_="missing") if part is None else value(part)


def _amounts(of: Volume) -> tuple[Element, ...]:
    amounts = (of.jobs, of.completed, of.failed, of.off_hours, of.rows_out, of.chri_rows_out, of.subjects_out)
    sizes = (element("span", short(size), class_="number") for size in (of.bytes_in, of.bytes_out))
    return *map(number, amounts), *sizes


def _refusals(report: Report) -> Iterator[Element]:
    if not report.refusals:
        yield element("p", "None.")
        return
    most = report.refusals[0].count
    rows = [
        (value(each.reason), value(each.submitter or "unknown callers"), number(each.count), share(each.count, most))
        for each in report.refusals
    ]
    yield table(("reason", "submitter", "refused", ""), rows, where=_FILE)


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


def confirmations(report: Report) -> Iterator[Element]:
    """The confirmations of counts; without a folder, that there are none."""
    found = report.confirmations
    if found is None:
        yield section("Confirmed counts", element("p", f"All counts are {STATED}: no confirmations were given."))
        return
    rows: dict[str, Part] = {
        "confirmed by a recipient": number(len(found.confirmed) + found.more),
        "counted otherwise": number(found.differing),
        "refused": number(found.refused),
        "of other trails": number(found.others),
    }
    listed = [
        (
            value(each.job_id),
            value(each.worker),
            number(each.place.line),
            element("span", "confirmed by ", value(each.key), f" on {each.confirmed[:10]}"),
            value(each.recipient),
        )
        for each in found.confirmed
    ]
    more = [element("p", f"{found.more} more are not listed.", class_="more")] if found.more else []
    heads = ("job", "worker", "line", "counts", "for the recipient")
    yield section("Confirmed counts", facts(rows), *([table(heads, listed, where=_FILE)] if listed else []), *more)


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
