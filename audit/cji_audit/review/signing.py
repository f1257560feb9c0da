"""How a reviewer signs: a report that is complete and unchanged, every alert commented, no week left out before it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.errors import AuditError
from cji_audit.review.folder import (
    PAGE,
    SIGNED,
    ReviewFolderError,
    read_limited,
    read_report,
    read_reviewed,
    unreviewed_before,
    week_folders,
    weeks_text,
)
from cji_audit.review.model import MAX_BYTES, Report
from cji_audit.review.page import render
from cji_audit.review.signed import FIRST_PREVIOUS, Statement, sha384, sign
from cji_audit.review.week import Week
from cji_core.trail.fields import utc_hundredths


class UnsignableError(AuditError):
    """A review that cannot be signed as it is, with a remedy."""

    code = "review-not-signable"
    remedy = "Answer what the report leaves open; then sign."

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


def sign_review(
    folder: Path,
    key: ec.EllipticCurvePrivateKey,
    *,
    reviewer: str,
    comment: str,
    findings: Mapping[str, str],
    now: datetime,
    known: Sequence[ec.EllipticCurvePublicKey] = (),
    begin: bool = False,
) -> Path:
    """Write the signed review of the week in `folder`, and return its file.

    `known` are other reviewers' keys. With `begin`, the first review may leave out earlier weeks of the trails.
    Raises UnsignableError, ReviewFolderError for a report or an earlier review that does not verify, or OSError.
    """
    report, data = read_report(folder)
    page = _page(folder)
    if str(report.week) != folder.name:
        raise UnsignableError(f"the report is about {report.week}", f"Name its folder {report.week}.")
    if not report.complete:
        raise UnsignableError(f"{report.week} had not ended when the report was made", "Make the report again.")
    if page != render(report):
        raise UnsignableError(f"{PAGE} is not the page of this report", "Make the report again with this software.")
    _require_comments(report, findings)
    statement = Statement(
        version=1,
        week=report.week,
        report_sha384=sha384(data),
        page_sha384=sha384(page),
        reviewer=reviewer,
        time=utc_hundredths(now),
        comment=comment,
        findings=dict(findings),
        previous_sha384=_previous(folder, [key.public_key(), *known]),
    )
    if statement.previous_sha384 == FIRST_PREVIOUS and not begin:
        _require_first(report)
    try:
        signed = sign(statement, key)
    except ValueError as error:
        raise UnsignableError(str(error), "Shorten or correct it.") from error
    target = folder / SIGNED
    try:
        with target.open("xb") as file:
            file.write(signed)
    except FileExistsError:
        raise UnsignableError(f"{report.week} is already signed", "A review is signed once.") from None
    return target


def _page(folder: Path) -> bytes:
    try:
        return read_limited(folder / PAGE, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ReviewFolderError(folder.name, f"{PAGE}: {reason}", "unreadable") from error


def _require_comments(report: Report, findings: Mapping[str, str]) -> None:
    """Comments are about findings, and every alert has one."""
    if unknown := sorted(findings.keys() - {finding.id for finding in report.findings}):
        raise UnsignableError(f"the report has no finding {', '.join(unknown)}", "Use the ids in the report.")
    open_alerts = [each.id for each in report.findings if each.severity == "alert" and each.id not in findings]
    if open_alerts:
        raise UnsignableError(
            f"no comment on {', '.join(open_alerts)}",
            "State the result of your investigation for each alert: --finding ID=COMMENT.",
        )


def _require_first(report: Report) -> None:
    """A first review is about the first week of its trails."""
    if left := unreviewed_before(report):
        remedy = "Review and sign these weeks first. To begin here and leave them out for good, use --begin."
        raise UnsignableError(f"the trails begin earlier: no signed review of {weeks_text(left)}", remedy)


def _previous(folder: Path, keys: Sequence[ec.EllipticCurvePublicKey]) -> str:
    """The digest of the review of the week before; that of no review if this is the first."""
    week = Week.parse(folder.name)
    others = {Week.parse(path.name): path for path in week_folders(folder.resolve().parent)}
    if later := [str(other) for other in sorted(others) if other > week]:
        raise UnsignableError(f"{', '.join(later)} is already signed", "Weeks are signed in their order.")
    earlier = [other for other in sorted(others) if other < week]
    if not earlier:
        return FIRST_PREVIOUS
    if missing := earlier[-1].shifted(1).until(week.shifted(-1)):
        raise UnsignableError(
            f"no signed review of {weeks_text(missing)}", "Review and sign these weeks first, in their order."
        )
    return read_reviewed(others[earlier[-1]], keys).signed.digest
