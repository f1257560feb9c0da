"""The weekly review of audit trails (CJISSECPOL AU-6): a report for a reviewer, and the signatures that follow it.

Only auditing code imports this room; no process of a worker does.
"""

from cji_audit.review.confirmations import Sources
from cji_audit.review.folder import (
    PAGE,
    REPORT,
    SIGNED,
    Reviewed,
    ReviewFolderError,
    WeekState,
    read_report,
    read_reviewed,
    states,
    unreviewed_before,
    verify_reviews,
    week_folders,
    weeks_text,
)
from cji_audit.review.heads import HeadError, head_of_checkpoint, heads_of_review, heads_of_state
from cji_audit.review.model import Report, ReportError, decode, encode
from cji_audit.review.page import render
from cji_audit.review.reader import Context, ReviewError, review
from cji_audit.review.settings import Settings, load_settings
from cji_audit.review.signed import SignedReviewError, Statement
from cji_audit.review.signing import UnsignableError, sign_review
from cji_audit.review.week import Week

__all__ = [
    "PAGE",
    "REPORT",
    "SIGNED",
    "Context",
    "HeadError",
    "Report",
    "ReportError",
    "ReviewError",
    "ReviewFolderError",
    "Reviewed",
    "Settings",
    "SignedReviewError",
    "Sources",
    "Statement",
    "UnsignableError",
    "Week",
    "WeekState",
    "decode",
    "encode",
    "head_of_checkpoint",
    "heads_of_review",
    "heads_of_state",
    "load_settings",
    "read_report",
    "read_reviewed",
    "render",
    "review",
    "sign_review",
    "states",
    "unreviewed_before",
    "verify_reviews",
    "week_folders",
    "weeks_text",
]
