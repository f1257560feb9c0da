"""The folder of reviews: a folder for each week, named after it, with the report, its page and the signed review.

    REVIEWS/2026-W48/review.json  review.html  review.signed.json

Anyone who reads it names the keys of the reviewers. A week is due some days after it has ended; a due week without a
signed review is overdue. Weeks count from the first signed review; without one, from the first line of the trail.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.errors import AuditError
from cji_audit.review.hours import zone_named
from cji_audit.review.model import MAX_BYTES, Report, ReportError, decode
from cji_audit.review.reader import first_week
from cji_audit.review.signed import FIRST_PREVIOUS, SignedReview, SignedReviewError, sha384, verify
from cji_audit.review.signed import read as read_signed
from cji_audit.review.week import Week
from cji_core.jose import key_id
from cji_core.moments import moment

REPORT: Final = "review.json"
PAGE: Final = "review.html"
SIGNED: Final = "review.signed.json"
MOST_WEEKS: Final = 5200
_MOST_NAMED: Final = 8


Fault = Literal[
    "unreadable",
    "key-unknown",
    "week-differs",
    "report-differs",
    "page-differs",
    "week-open",
    "time-invalid",
    "too-early",
    "too-late",
    "alert-open",
    "given-twice",
    "chain-broken",
    "order",
]
"""Why a signed review does not verify, or a chain of them."""


class ReviewFolderError(AuditError):
    """A review that does not verify, or a chain that is broken. `week` and `what` name it, `fault` is its kind."""

    code = "review-folder-invalid"
    remedy = "Name a folder of signed reviews."

    def __init__(self, week: str, what: str, fault: Fault) -> None:
        super().__init__(week, what)
        self.week, self.what, self.fault = week, what, fault

    def __str__(self) -> str:
        return f"{self.week}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """One week's signed review with its report, both verified."""

    week: Week
    report: Report
    signed: SignedReview

    @property
    def ended(self) -> datetime:
        """The end of its week."""
        return datetime.fromisoformat(self.report.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekState:
    """One week: reviewed, not yet due, or overdue. `due` is the moment after which it is overdue."""

    week: str
    state: Literal["reviewed", "open", "overdue"]
    due: datetime
    reviewer: str | None = None
    signed: str | None = None


def read_limited(path: Path, most: int) -> bytes:
    """The bytes of a file of at most `most` bytes. Raises OSError or ValueError."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path.name} is larger than {most >> 20} MiB")
    return data


def read_report(folder: Path) -> tuple[Report, bytes]:
    """The report in a folder, and its bytes. Raises ReviewFolderError."""
    try:
        data = read_limited(folder / REPORT, MAX_BYTES)
        return decode(data), data
    except (OSError, ValueError, ReportError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ReviewFolderError(folder.name, f"{REPORT}: {reason}", "unreadable") from error


def read_reviewed(folder: Path, keys: Sequence[ec.EllipticCurvePublicKey]) -> Reviewed:
    """The signed review in one week's folder. Raises ReviewFolderError."""
    try:
        found = {name: read_limited(folder / name, MAX_BYTES) for name in (SIGNED, REPORT, PAGE)}
    except (OSError, ValueError) as error:
        reason = f"{Path(error.filename).name}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise ReviewFolderError(folder.name, reason, "unreadable") from error
    return reviewed(folder.name, found[SIGNED], report=found[REPORT], page=found[PAGE], keys=keys)


def reviewed(
    name: str, signed: bytes, *, report: bytes, page: bytes, keys: Sequence[ec.EllipticCurvePublicKey]
) -> Reviewed:
    """A week's review, if one of these keys signed this report and this page after the week. Raises ReviewFolderError.

    `name` is the week. This is all that can be said of one review without its trails and the others.
    """
    try:
        week, unverified = Week.parse(name), read_signed(signed)
    except (ValueError, SignedReviewError) as error:
        raise ReviewFolderError(name, f"{SIGNED}: {error}", "unreadable") from error
    try:
        found = verify(signed, keys)
    except SignedReviewError as error:
        known = unverified.key_id in map(key_id, keys)
        raise ReviewFolderError(name, f"{SIGNED}: {error}", "unreadable" if known else "key-unknown") from error
    try:
        content = decode(report)
    except ReportError as error:
        raise ReviewFolderError(name, f"{REPORT}: {error}", "unreadable") from error
    statement = found.statement
    if {statement.week, content.week} != {name}:
        what = f"the report is about {content.week}, the signature about {statement.week}"
        raise ReviewFolderError(name, what, "week-differs")
    if statement.report_sha384 != sha384(report):
        raise ReviewFolderError(name, f"{REPORT} is not the one that was signed", "report-differs")
    if statement.page_sha384 != sha384(page):
        raise ReviewFolderError(name, f"{PAGE} is not the one that was signed", "page-differs")
    _require_week(week, content, found)
    return Reviewed(week=week, report=content, signed=found)


def _require_week(week: Week, report: Report, signed: SignedReview) -> None:
    """The report is about the whole week, and was signed after it, with a comment on every alert."""
    name, statement, zone = str(week), signed.statement, zone_named(report.settings.time_zone)
    if (report.begins, report.ends) != (week.begins(zone), week.shifted(1).begins(zone)) or not report.complete:
        raise ReviewFolderError(name, "the report is not about the whole week", "week-open")
    try:
        moment(statement.time)
    except ValueError:
        what = f"it was signed at {statement.time!r}, which does not exist"
        raise ReviewFolderError(name, what, "time-invalid") from None
    if statement.time < report.ends:
        what = f"it was signed at {statement.time}, before its week ended at {report.ends}"
        raise ReviewFolderError(name, what, "too-early")
    alerts = [each.id for each in report.findings if each.severity == "alert" and each.id not in statement.findings]
    if alerts:
        raise ReviewFolderError(name, f"no comment on {', '.join(alerts)}", "alert-open")


def week_folders(reviews: Path) -> list[Path]:
    """The folders of weeks that have a signed review, in order. Raises OSError, or ValueError for too many."""
    found: list[tuple[Week, Path]] = []
    for path in reviews.iterdir():
        try:
            week = Week.parse(path.name)
        except ValueError:
            continue
        if (path / SIGNED).exists():
            found.append((week, path))
    if len(found) > MOST_WEEKS:
        raise ValueError(f"more than {MOST_WEEKS} weeks")
    return [path for _, path in sorted(found)]


def verify_reviews(reviews: Sequence[Reviewed]) -> None:
    """Return if the reviews are of successive weeks and each names the one before it. Raises ReviewFolderError.

    The first one may continue a chain that was not given.
    """
    for fault in chain_faults(reviews):
        raise fault


def chain_faults(reviews: Sequence[Reviewed]) -> Iterator[ReviewFolderError]:
    """Each review, in the order of weeks, that does not continue the one before it."""
    for before, after in pairwise(reviews):
        name = str(after.week)
        if before.week == after.week:
            yield ReviewFolderError(name, "given twice", "given-twice")
        elif before.week.shifted(1) != after.week:
            missing = before.week.shifted(1).until(after.week.shifted(-1))
            yield ReviewFolderError(name, f"no signed review of {weeks_text(missing)}", "chain-broken")
        elif after.signed.statement.previous_sha384 != before.signed.digest:
            what = f"its signature names another review before it than that of {before.week}"
            yield ReviewFolderError(name, what, "chain-broken")
        elif after.report.begins != before.report.ends:
            what = f"it begins at {after.report.begins}, {before.week} ended at {before.report.ends}"
            yield ReviewFolderError(name, what, "chain-broken")
        elif after.signed.statement.time < before.signed.statement.time:
            yield ReviewFolderError(name, f"it was signed before that of {before.week}", "order")


def late(each: Reviewed, allowed_days: int) -> ReviewFolderError | None:
    """Why a review was not signed within these days after its week; None if it was."""
    due, time = each.ended + timedelta(days=allowed_days), each.signed.statement.time
    if datetime.fromisoformat(time) <= due:
        return None
    what = f"it was signed at {time}, more than {allowed_days} days after its week"
    return ReviewFolderError(str(each.week), what, "too-late")


def unreviewed_before(report: Report) -> list[Week]:
    """The weeks from the first line of its trails to the one before this report."""
    zone = zone_named(report.settings.time_zone)
    first = min(datetime.fromisoformat(trail.first) for trail in report.trails)
    return Week.of(first, zone).until(Week.parse(report.week).shifted(-1))


def weeks_text(weeks: Sequence[Week]) -> str:
    """Their names; a long row by its ends."""
    if len(weeks) > _MOST_NAMED:
        return f"{weeks[0]} to {weeks[-1]}"
    return ", ".join(map(str, weeks))


def all_reviewed(reviews: Path, keys: Sequence[ec.EllipticCurvePublicKey]) -> list[Reviewed]:
    """Every signed review in the folder, verified, in one chain from its first one.

    Raises ReviewFolderError, OSError or ValueError.
    """
    found = [read_reviewed(folder, keys) for folder in week_folders(reviews)]
    if found and found[0].signed.statement.previous_sha384 != FIRST_PREVIOUS:
        raise ReviewFolderError(str(found[0].week), "an earlier review, which it names, is missing", "chain-broken")
    verify_reviews(found)
    return found


def states(
    reviews: Path,
    keys: Sequence[ec.EllipticCurvePublicKey],
    now: datetime,
    *,
    allowed_days: int,
    trail: Path | None = None,
) -> list[WeekState]:
    """Every week from the first one to the last that has ended, in order.

    The first week is that of the first signed review; without one, that of the trail's first line. Raises
    ReviewFolderError, ReviewError for a trail without a first line, OSError or ValueError.
    """
    reviewed = all_reviewed(reviews, keys)
    name = reviewed[-1].report.settings.time_zone if reviewed else "UTC"
    zone, by_week = zone_named(name), {each.week: each for each in reviewed}
    starts = [*by_week] or ([first_week(trail, name)] if trail else [])
    last = Week.of(now, zone).shifted(-1)
    found = list[WeekState]()
    for week in min(starts).until(last) if starts else ():
        ends = datetime.fromisoformat(week.shifted(1).begins(zone))
        due = ends + timedelta(days=allowed_days)
        one = by_week.get(week)
        found.append(
            WeekState(
                week=str(week),
                state="reviewed" if one else "overdue" if now >= due else "open",
                due=due,
                reviewer=one.signed.statement.reviewer if one else None,
                signed=one.signed.statement.time if one else None,
            )
        )
    return found
