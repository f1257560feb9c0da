"""The check of `cji doctor` on weekly reviews: signed, in one chain, and none overdue."""

from datetime import UTC, datetime
from pathlib import Path

from cji_audit.review import ReviewError, ReviewFolderError, states
from cji_core.command.findings import NotOk
from cji_core.format.configuration.worker import Config, ReviewSection
from cji_core.jose import parse_p384
from cji_core.trail import ChainError
from cji_core.trail.trail import size_of


def check_reviews(config: Config, section: ReviewSection) -> str:
    """The last reviewed week. Raises NotOk, which names the weeks that are overdue."""
    try:
        keys = [parse_p384(jwk) for jwk in section.reviewers]
    except ValueError as error:
        remedy = "Give the JWKs that `cji advisories signer` prints for the reviewers' keys."
        raise NotOk("review.reviewers has a key that is not a JWK of a P-384 key", remedy) from error
    trail = Path(config.audit_file)
    try:
        found = states(
            Path(section.folder),
            keys,
            datetime.now(UTC),
            allowed_days=section.allowed_days,
            trail=trail if _has_lines(trail) else None,
        )
    except (ReviewFolderError, ReviewError, ChainError) as error:
        raise NotOk(str(error), "Find the true review, or who changed it.") from error
    except (OSError, ValueError) as error:
        remedy = "Give this user read access to the folder of reviews."
        raise NotOk(f"the reviews in {section.folder} cannot be read: {error}", remedy) from error
    if overdue := [each.week for each in found if each.state == "overdue"]:
        remedy = "Review and sign these weeks: `cji audit review`, then `cji audit review sign`."
        raise NotOk(f"overdue: {', '.join(overdue)}", remedy)
    done = [each for each in found if each.state == "reviewed"]
    return f"{done[-1].week} is the last reviewed week" if done else "no week is due yet"


def _has_lines(trail: Path) -> bool:
    """Whether the worker has written a line."""
    try:
        return size_of(trail) > 0
    except FileNotFoundError:
        return False
