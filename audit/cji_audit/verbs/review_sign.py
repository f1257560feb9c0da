"""`cji audit review sign`, `verify` and `status`: what follows a report."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.review import (
    Reviewed,
    ReviewError,
    ReviewFolderError,
    Sources,
    UnsignableError,
    Week,
    WeekState,
    read_reviewed,
    sign_review,
    states,
    unreviewed_before,
    verify_reviews,
    week_folders,
    weeks_text,
)
from cji_audit.review.again import NotAgain, made_again
from cji_audit.review.folder import late
from cji_audit.review.signed import FIRST_PREVIOUS, read
from cji_audit.verbs.review_answers import ReviewedWeek, SignedReview, WeeksDue
from cji_core.certs import load_ec_public_key
from cji_core.command.common import FILE, Failure, configuration, explained, signing_key
from cji_core.command.json_output import answers, print_answer, print_document
from cji_core.format.job import Policy, PolicyInvalid
from cji_core.jose import key_id, parse_p384

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_REVIEWERS: Final = click.option(
    "--reviewer", "reviewers", type=FILE, multiple=True, help="Public key of a reviewer, PEM or JWK."
)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--key", "key_file", type=FILE, required=True, help="Your P-384 key, from `cji key new-signing`.")
@click.option("--reviewer", required=True, help="Your name, for the readers of the review.")
@click.option("--comment", required=True, help="Your conclusion.")
@click.option("--finding", "findings", multiple=True, metavar="ID=COMMENT", help="Your comment on one finding.")
@click.option("--known", type=FILE, multiple=True, help="Public key of the reviewer who signed the week before.")
@click.option("--begin", is_flag=True, help="Begin the chain with this week, although the trails begin earlier.")
@answers(SignedReview)
@explained
def sign(
    folder: Path,
    *,
    key_file: Path,
    reviewer: str,
    comment: str,
    findings: tuple[str, ...],
    known: tuple[Path, ...],
    begin: bool,
    as_json: bool,
) -> None:
    """Comment on the review of one week, and sign it. Read review.html first.

    Every alert needs a comment of its own. The signature covers the report, the page, your comments, and the review of
    the week before, so weeks are signed in their order and none can be left out.

    \b
    Example:
      cji audit review sign reviews/2026-W48 --key reviewer.key --reviewer "Jane Doe" \\
        --comment "One alert, explained." --finding "F1=VM 17 was replaced, ticket 4711"
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    comments, key = dict(_comment(text) for text in findings), signing_key(key_file)
    try:
        path = sign_review(
            folder.resolve(),
            key,
            reviewer=reviewer,
            comment=comment,
            findings=comments,
            now=datetime.now(UTC),
            known=public_keys(known),
            begin=begin,
        )
    except UnsignableError as error:
        raise Failure(str(error), remedy=error.remedy, status=1) from error
    except ReviewFolderError as error:
        remedy = "If another reviewer signed that week, name its public key with --known."
        raise Failure(str(error), remedy=remedy, status=3) from error
    except OSError as error:
        raise Failure(f"{error.filename} cannot be written ({error.strerror})", remedy="", status=2) from error
    digest = read(path.read_bytes()).digest
    answer = SignedReview(file=str(path), key=key_id(key.public_key()), sha384=digest)
    print_answer(answer, f"signed {path}\ndigest, for `cji record review`: {digest}", as_json=as_json)


@click.command()
@click.argument("folders", metavar="DIR...", type=_FOLDER, nargs=-1, required=True)
@_REVIEWERS
@click.option("--trail", "trails", type=FILE, multiple=True, help="A trail of these reviews: make the reports again.")
@click.option("--receipts", type=_FOLDER, help="The folder of receipts that the reports were made with.")
@click.option("--confirmations", type=_FOLDER, help="Folder of confirmations, or of folders WEEK with them.")
@click.option("--policy", "policies", type=FILE, multiple=True, help="A policy of the confirmed jobs.")
@click.option("--days", type=click.IntRange(0, 366), help="Days within which each review must have been signed.")
@answers(ReviewedWeek, listed=True)
@explained
def verify(
    folders: tuple[Path, ...],
    *,
    reviewers: tuple[Path, ...],
    trails: tuple[Path, ...],
    receipts: Path | None,
    confirmations: Path | None,
    policies: tuple[Path, ...],
    days: int | None,
    as_json: bool,
) -> None:
    """Verify signed reviews: signatures, the chain of weeks, and with --trail that each report follows from the trails.

    DIR is the folder of all reviews, or of single weeks. Each was signed after its week, with a comment on every alert,
    and with --days not later than that. With --trail, each report is made again from the lines that it
    was made from, and must be the same byte for byte. The exit status is 3 if anything does not verify.

    \b
    Example:
      cji audit review verify reviews --reviewer jane.pub --trail worker-1.log --trail worker-2.log
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    keys = public_keys(reviewers)
    try:
        found = [read_reviewed(folder, keys) for folder in _weeks(folders)]
        found.sort(key=lambda each: each.week)
        verify_reviews(found)
        for error in (late(each, days) for each in found if days is not None):
            if error is not None:
                raise error
    except ReviewFolderError as error:
        remedy = (
            "Do not rely on it. Find the true review, or who changed it; name every reviewer's key with --reviewer."
        )
        raise Failure(str(error), remedy=remedy, status=3) from error
    if not found:
        raise Failure("there is no signed review", remedy="Sign one with `cji audit review sign`.", status=3)
    for each in found if trails else ():
        _again(each, trails, receipts, confirmation_sources(confirmations, policies))
    first = found[0].signed.statement.previous_sha384 == FIRST_PREVIOUS
    if as_json:
        print_document([_object(each, recomputed=bool(trails)) for each in found])
        return
    _show(found, first=first, again=bool(trails))


@click.command()
@click.argument("reviews", type=_FOLDER, required=False)
@_REVIEWERS
@click.option("--config", type=FILE, help="worker.toml: its [review] names folder, reviewers and allowed days.")
@click.option("--days", type=click.IntRange(0, 366), help="Days allowed after a week has ended. Default: 7.")
@click.option("--trail", type=FILE, help="Count weeks from the first line of this trail.")
@answers(WeeksDue)
@click.pass_context
@explained
def status(
    context: click.Context,
    reviews: Path | None,
    *,
    reviewers: tuple[Path, ...],
    config: Path | None,
    days: int | None,
    trail: Path | None,
    as_json: bool,
) -> None:
    """Show which weeks are reviewed, open and overdue. For cron: the exit status is 1 if one is overdue.

    \b
    Examples:
      cji audit review status reviews --reviewer jane.pub --days 7 --trail worker-1.log
      cji audit review status --config /etc/cji/worker.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    keys = list(public_keys(reviewers))
    if config is not None:
        loaded = configuration(config)
        if loaded.review is None:
            raise Failure("the configuration has no [review]", remedy="docs/configuration.md explains it.", status=2)
        keys += map(parse_p384, loaded.review.reviewers)
        reviews, days = reviews or Path(loaded.review.folder), loaded.review.allowed_days if days is None else days
        trail = trail or Path(loaded.audit_file)
    if reviews is None or not keys:
        raise click.UsageError("Give the folder of reviews and --reviewer, or --config.")
    try:
        found = states(reviews, keys, datetime.now(UTC), allowed_days=7 if days is None else days, trail=trail)
    except (ReviewFolderError, ReviewError) as error:
        raise Failure(str(error), remedy="Do not rely on the reviews until this is explained.", status=3) from error
    except (OSError, ValueError) as error:
        raise Failure(f"the reviews cannot be read: {error}", remedy="", status=2) from error
    overdue = [each.week for each in found if each.state == "overdue"]
    if as_json:
        print_document({"overdue": overdue, "weeks": [_row(each) for each in found]})
    else:
        for each in found:
            by = f"by {json.dumps(each.reviewer, ensure_ascii=False)}, {each.signed}" if each.reviewer else ""
            click.echo(f"{each.week}  {each.state:8}  {by or f'due {each.due:%Y-%m-%d %H:%M} UTC'}")
        click.echo(f"overdue: {', '.join(overdue)}" if overdue else "no review is overdue")
    if not found and trail is None:
        raise Failure("there is no signed review", remedy="Sign one, or give --trail to count weeks.", status=1)
    context.exit(1 if overdue else 0)


def public_keys(files: Sequence[Path]) -> tuple[ec.EllipticCurvePublicKey, ...]:
    """P-384 public keys from files, PEM as `cji key new-signing` writes them, or JWK. Failure with status 2."""
    found = []
    for path in files:
        try:
            text = path.read_bytes()
            pem = b"-----BEGIN" in text
            found.append(load_ec_public_key(text, ec.SECP384R1) if pem else parse_p384(text.decode("ascii").strip()))
        except (OSError, ValueError) as error:
            remedy = "Give the .pub file from `cji key new-signing`, or a JWK."
            raise Failure(f"{path.name} is not a P-384 public key", remedy=remedy, status=2) from error
    return tuple(found)


def _comment(text: str) -> tuple[str, str]:
    name, equals, comment = text.partition("=")
    if not equals or not comment.strip():
        raise click.BadParameter(f"{text!r} is not ID=COMMENT", param_hint="--finding")
    return name.strip(), comment.strip()


def _weeks(folders: tuple[Path, ...]) -> list[Path]:
    """The folders of weeks among and in these folders."""
    found: dict[Path, None] = {}
    for folder in (path.resolve() for path in folders):
        try:
            Week.parse(folder.name)
            found[folder] = None
        except ValueError:
            found |= dict.fromkeys(week_folders(folder))
    return [*found]


def confirmation_sources(folder: Path | None, policies: tuple[Path, ...]) -> Sources | None:
    """The folder of confirmations with the policies of their jobs. Failure for one without the other."""
    if (folder is None) is not (not policies):
        remedy = "Give the policies that were in force when the confirmed jobs were admitted."
        raise Failure("--confirmations and --policy belong together", remedy=remedy, status=2)
    if folder is None:
        return None
    try:
        return Sources(folder=folder, policies=tuple(Policy.load(each.read_bytes()) for each in policies))
    except PolicyInvalid as error:
        raise Failure(str(error), remedy="Give the policy file of a worker.", status=2) from error


def _show(found: Sequence[Reviewed], *, first: bool, again: bool) -> None:
    """The reviews, and what was verified of them."""
    for each in found:
        statement = each.signed.statement
        text = json.dumps(f"{statement.reviewer}: {statement.comment}", ensure_ascii=False)[1:-1]
        click.echo(f"{each.week}  {statement.time}  {text}")
    left = weeks_text(unreviewed_before(found[0].report)) if first else ""
    since = f"the first review ({f'not reviewed: {left}' if left else 'the trails begin in it'})"
    if not first:
        since = f"{found[0].week}; the review before it was not given"
    compared = "the reports follow from the trails" if again else "not compared with the trails: give --trail"
    click.echo(f"verified: {len(found)} weeks in one chain from {since}; {compared}")


def _again(each: Reviewed, trails: tuple[Path, ...], receipts: Path | None, confirmations: Sources | None) -> None:
    """Make a report again. Failure 3 if it is another one, 2 if it has other sources."""
    try:
        made_again(each, trails, receipts=receipts, confirmations=confirmations)
    except NotAgain as error:
        status = 2 if error.sources else 3
        raise Failure(f"{each.week}: {error}", remedy=error.remedy, status=status) from error


def _object(each: Reviewed, *, recomputed: bool) -> dict[str, object]:
    statement = each.signed.statement
    return {
        "week": str(each.week),
        "reviewer": statement.reviewer,
        "key_id": each.signed.key_id,
        "time": statement.time,
        "comment": statement.comment,
        "findings": dict(statement.findings),
        "report_sha384": statement.report_sha384,
        "follows_from_trails": recomputed,
    }


def _row(one: WeekState) -> dict[str, object]:
    return {
        "week": one.week,
        "state": one.state,
        "due": one.due.isoformat(),
        "reviewer": one.reviewer,
        "signed": one.signed,
    }
