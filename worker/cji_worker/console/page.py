"""The page of the console: one view as HTML, for people."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element

from cji_core.errors import REASONS
from cji_core.page.charts import share
from cji_core.page.markup import Part, element, facts, number, page, section, table, value
from cji_core.page.timeline import columns
from cji_worker.console.diagnosis import causes, headline, warnings
from cji_worker.console.expiry import Left, left
from cji_worker.console.history import MINUTES
from cji_worker.console.view import Destination, Minute, View
from cji_worker.host import CATALOGUE
from cji_worker.ipc.messages import JobCounts
from cji_worker.ipc.status import Status

_SCRIPT: Final = files("cji_worker.console").joinpath("live.js").read_text(encoding="utf-8")
_LOST: Final = "This console does not answer any more. What is below is old."


def document(view: View) -> str:
    """The whole page."""
    name = view.status.worker if view.status else "worker"
    notice = f"As of {view.at:%Y-%m-%d %H:%M:%S} UTC. Read only."
    return "".join(page(f"{name}: {headline(view).lower()}", notice, _content(view), live=_SCRIPT))


def _content(view: View) -> Iterator[Element]:
    yield element("p", _LOST, class_="alarm")
    yield _state(view)
    yield section("Time to expiry", *_expiry(view))
    status = view.status
    if status is not None and status.jobs is not None:
        yield section("Jobs", _now(status, view.minutes), *_last_hour(view), *_by_operation(status.jobs))
        yield section("Refusals since the start", *_reasons(status.jobs))
    yield section("Review, sinks and the log", *_accountability(view))
    if status is not None:
        yield section("Machine and processes", *_machine(status))


def _state(view: View) -> Element:
    """Readiness, and the causes with their remedies."""
    found, serving = causes(view), view.status is not None and view.status.state == "serving"
    known = "Jobs are admitted" if serving else "No job is admitted"
    parts: list[Part] = [element("h2", "The state is not known" if view.status is None else known)]
    parts += [
        element("div", element("p", element("strong", each.what)), element("p", each.remedy), class_="cause")
        for each in (*found, *warnings(view))
    ]
    return element("section", *parts, class_=f"state {'good' if serving else 'bad'}", role="status")


def _expiry(view: View) -> Iterator[Element]:
    rows = [*left(view)]
    if rows:
        heads = ("what", "left", "", "until (UTC)", "what to do")
        yield table(heads, [_expiry_row(each) for each in rows], class_="expiry")
    if view.certificate_unreadable:
        yield element("p", "The server's certificate cannot be read. Let the console's user read it.", class_="note")
    missing = view.status.keys_missing if view.status else None
    for each in missing or ():
        text = element("strong", f"Not held: {each.reason}. ")
        yield element("p", text, value(each.kek_id), class_="note")
    if not rows:
        yield element("p", "Nothing is known to expire.", class_="more")


def _expiry_row(each: Left) -> tuple[Part, ...]:
    text = period(each.seconds) if each.seconds > 0 else f"expired {period(-each.seconds)} ago"
    shown: Part = element("strong", text) if each.urgent else text
    bar = share(max(0.0, min(each.seconds, each.of.span_s)), each.of.span_s, urgent=each.urgent)
    return each.of.title, shown, bar, f"{each.end:%Y-%m-%d %H:%M}", each.of.remedy if each.urgent else ""


def _now(status: Status, minutes: tuple[Minute, ...]) -> Element:
    cells = status.cells
    found: dict[str, Part] = {}
    if cells is not None:
        found["cells busy"] = element("span", number(cells.busy), " of ", number(cells.configured))
        found["cells warm"] = number(cells.warm)
    found["jobs waiting"] = number(status.jobs_waiting)
    found["completed in the last hour"] = number(sum(each.completed for each in minutes))
    found["rows out in the last hour, stated by the cells"] = number(sum(each.rows_out for each in minutes))
    found["ciphertext in the last hour"] = size(sum(each.bytes for each in minutes))
    return facts(found)


def _last_hour(view: View) -> Iterator[Element]:
    """Completed jobs by minute, and above them those that ended without a receipt and refusals."""
    now, found = int(view.at.timestamp() // 60), {each.number: each for each in view.minutes}
    steps = [found.get(number_, Minute(number=number_)) for number_ in range(now - MINUTES + 1, now + 1)]
    yield columns(
        [(each.completed, each.ended + each.refused) for each in steps],
        unit="jobs and calls a minute",
        first="an hour ago",
        last="now",
    )
    legend = (element("span", "completed", class_="key-for"), element("span", "ended or refused", class_="key-against"))
    seen = "" if len(found) == MINUTES else f"{len(found)} of {MINUTES} minutes were seen."
    yield element("p", *legend, seen, class_="legend")


def _by_operation(jobs: JobCounts) -> Iterator[Element]:
    rows = []
    for each in jobs.operations:
        completed = sum(each.completed)
        mean = period(each.duration_ms / completed / 1000) if completed else value(None)
        rows.append((each.operation, number(completed), number(each.ended), mean))
    if rows:
        yield table(("operation", "completed", "no receipt", "mean duration"), rows)
    else:
        yield element("p", "No job has ended since the start.", class_="more")


def _reasons(jobs: JobCounts) -> Iterator[Element]:
    """Refusals, and ends without a receipt, by Reason; the most frequent first."""
    refused, ended = ({each.reason: each.count for each in found} for found in (jobs.refused, jobs.ended))
    totals = {reason: refused.get(reason, 0) + ended.get(reason, 0) for reason in REASONS}
    most = max(totals.values())
    rows = [
        (
            reason,
            number(refused.get(reason, 0)),
            number(ended.get(reason, 0)),
            share(total, most),
            REASONS[reason].blame,
        )
        for reason, total in sorted(totals.items(), key=lambda each: -each[1])
        if total
    ]
    if rows:
        yield table(("reason", "refused", "ended", "", "who can fix it"), rows, class_="reasons")
    else:
        yield element("p", "Nothing was refused since the start.", class_="more")


def _accountability(view: View) -> Iterator[Element]:
    found: dict[str, Part] = {}
    if view.status is not None and (audit := view.status.audit) is not None:
        found["trail"] = "can be written" if audit.writable else element("strong", "cannot be written")
        found["lines"] = number(audit.line)
        found["anchor"] = number(audit.anchor)
    if view.reviews is not None:
        overdue = view.reviews.due <= view.at
        due = f"{'overdue since' if overdue else 'due'} {view.reviews.due:%Y-%m-%d}"
        found["last signed review"] = value(view.reviews.last_signed or "none")
        found["next review"] = element("strong", due) if overdue else due
    if found:
        yield facts(found)
    if view.reviews is None:
        yield element("p", "The state of reviews is not configured.", class_="more")
    if view.destinations:
        heads = ("kind", "name", "last line", "progress")
        yield table(heads, [_destination_row(each, view.at) for each in view.destinations])
    else:
        yield element("p", "No state of sinks or the log is configured, or there is none yet.", class_="more")


def _destination_row(each: Destination, now: datetime) -> tuple[Part, ...]:
    line = element("strong", "unreadable") if each.line is None else number(each.line)
    if each.waiting_since is None:
        return each.kind, value(each.name), line, "has every line"
    return each.kind, value(each.name), line, f"none for {period((now - each.waiting_since).total_seconds())}"


def _machine(status: Status) -> Iterator[Element]:
    found: dict[str, Part] = {
        "version": value(status.version),
        "started": f"{status.started.rstrip('Z').replace('T', ' ')} UTC",
        "client certificates revoked": number(status.clients.revoked if status.clients else None),
        "last reload": _reload(status),
    }
    yield facts(found)
    rows: list[tuple[Part, ...]] = []
    for process in status.processes:
        age = "not yet" if process.beat_age_s is None else f"{process.beat_age_s:.1f} s ago"
        rows.append((process.name, value(process.pid), age))
    yield table(("process", "id", "last heartbeat"), rows)
    held = [
        (each.condition, _held(each.held, each.withdraws_readiness), CATALOGUE[each.condition].requires)
        for each in status.host
    ]
    yield table(("condition", "state", "this machine must"), held)


def _held(held: bool, withdraws: bool) -> Part:
    if held:
        return "held"
    return element("strong", "NOT HELD: no job is admitted") if withdraws else element("strong", "not held")


def _reload(status: Status) -> Part:
    last = status.reload
    if last.running:
        return "running"
    if last.ended is None:
        return "none since the start"
    return element("strong", f"refused: {last.fault.what}") if last.fault else "done"


def period(seconds: float) -> str:
    """A time in its two largest units."""
    whole = timedelta(seconds=round(seconds))
    days, hours, minutes = whole.days, whole.seconds // 3600, whole.seconds % 3600 // 60
    if days >= 2:
        return f"{days} days"
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {whole.seconds % 60} s" if minutes < 10 else f"{minutes} min"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole.seconds} s"


def size(bytes_: float) -> Part:
    """An amount of bytes in its largest decimal unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 1000:
            return element("span", number(bytes_, 0 if unit == "B" else 1), f" {unit}")
        bytes_ /= 1000
    return element("span", number(bytes_, 1), " TB")
