"""The results of `cji audit review` as JSON."""

from typing import Annotated, Any

import msgspec

from cji_core.command.json_output import member


class ReviewedWeek(msgspec.Struct, frozen=True, kw_only=True):
    """A signed review of one week."""

    week: Annotated[str, member("the week, such as 2026-W48")]
    reviewer: Annotated[str, member("name of the reviewer")]
    key_id: Annotated[str, member("thumbprint of the key")]
    time: Annotated[str, member("when it was signed, UTC")]
    comment: Annotated[str, member("the conclusion")]
    findings: Annotated[dict[str, str], member("comments by finding")]
    report_sha384: Annotated[str, member("SHA-384 of the report, hexadecimal")]
    follows_from_trails: Annotated[bool, member("whether the report was made again from the trails")]


class WeekDue(msgspec.Struct, frozen=True, kw_only=True):
    """One week: whether it is reviewed."""

    week: Annotated[str, member("the week")]
    state: Annotated[str, member("`reviewed`, `open` or `overdue`")]
    due: Annotated[str, member("after which it is overdue, ISO 8601")]
    reviewer: Annotated[str | None, member("who reviewed it; null if nobody")]
    signed: Annotated[str | None, member("when; null if it is not reviewed")]


class WeeksDue(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit review status`: the weeks."""

    overdue: Annotated[tuple[str, ...], member("weeks that are overdue")]
    weeks: Annotated[tuple[WeekDue, ...], member("objects of the kind WeekDue")]


class SignedReview(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit review sign`: the signed review of one week."""

    file: Annotated[str, member("file of the signature")]
    key: Annotated[str, member("thumbprint of the reviewer's key")]
    sha384: Annotated[str, member("digest of the review, hexadecimal, which a worker records")]


class MadeReview(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit review`: the review of one week."""

    week: Annotated[str, member("the week, such as 2026-W48")]
    complete: Annotated[bool, member("whether the week has ended")]
    folder: Annotated[str, member("folder of the report")]
    alerts: Annotated[int, member("number of alerts")]
    warnings: Annotated[int, member("number of warnings")]
    notices: Annotated[int, member("number of notices")]
    findings: Annotated[
        tuple[dict[str, Any], ...], member("its findings, as in review.json: `cji audit review schema`")
    ]
