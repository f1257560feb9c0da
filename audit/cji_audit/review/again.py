"""A signed review's report made again from the lines that it was made from: it must be the same, byte for byte."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cji_audit.errors import AuditError
from cji_audit.review.confirmations import Sources
from cji_audit.review.folder import Reviewed
from cji_audit.review.model import encode
from cji_audit.review.page import render
from cji_audit.review.reader import Context, ReviewError, review
from cji_audit.review.signed import sha384

SOURCES: Final = "the report has other sources"


class NotAgain(AuditError):  # noqa: N818 - a verdict
    """A report that does not follow from what was given, or cannot be made from it (`sources`)."""

    code = "review-not-made-again"
    remedy = (
        "Give the trails of this review, whole, and use the software that made it, which the report names. Otherwise "
        "the report or a trail was changed: investigate."
    )

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.sources = what, bool(remedy)
        self.remedy = remedy or self.remedy

    def __str__(self) -> str:
        return self.what


def made_again(each: Reviewed, trails: Sequence[Path], *, receipts: Path | None, confirmations: Sources | None) -> None:
    """Return if report and page follow from the trails, with what else the report was made of. Raises NotAgain."""
    report = each.report
    if (report.receipts is None) is not (receipts is None):
        raise NotAgain(SOURCES, remedy="Give --receipts exactly if the report was made with a folder of receipts.")
    if report.confirmations is None:
        confirmations = None
    elif confirmations is None:
        raise NotAgain(SOURCES, remedy="Give --confirmations and --policy, with which the report was made.")
    elif (own := confirmations.folder / str(each.week)).is_dir():
        confirmations = replace(confirmations, folder=own)
    context = Context(
        week=each.week,
        settings=report.settings,
        software=report.software,
        complete=report.complete,
        heads=tuple(state.head for state in report.heads),
    )
    try:
        made = review(trails, context, receipts=receipts, confirmations=confirmations, upto=report.trails)
    except (ReviewError, OSError, ValueError) as error:
        raise NotAgain(str(error)) from error
    if encode(made) != encode(report):
        differing = [name for name in report.__struct_fields__ if getattr(made, name) != getattr(report, name)]
        raise NotAgain(f"the report does not follow from the trails: it differs in {', '.join(differing)}")
    if sha384(render(made)) != each.signed.statement.page_sha384:
        raise NotAgain("the page that was signed does not follow from the report")
