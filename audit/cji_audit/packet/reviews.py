"""Weekly reviews in a packet: verified by the functions of `cji audit review verify`, and placed in the trails.

    2026-W48-review.signed.json  2026-W48-review.json  2026-W48-review.html      as `given/reviews` has them

A review's fault is a fact with its reason, no error. `again` makes the reports again from the trails themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.packet.errors import PacketError
from cji_audit.packet.keys import Keys
from cji_audit.packet.material import File, Review, ReviewHead
from cji_audit.packet.signed import NO_KEY
from cji_audit.review import Sources
from cji_audit.review.again import NotAgain, made_again
from cji_audit.review.folder import PAGE, REPORT, SIGNED, Reviewed, ReviewFolderError, chain_faults, reviewed
from cji_audit.review.reader import ReviewError, identity_of
from cji_audit.review.signed import SignedReviewError, UnverifiedReview
from cji_audit.review.signed import read as read_signed
from cji_core.trail.chain import ChainError

_REMEDY: Final = "Give a folder of reviews that `cji audit review sign` wrote."
_NAMES: Final = (SIGNED, REPORT, PAGE)


def collected(folder: Path) -> dict[str, Path]:
    """The files of reviews in a folder and its folders, each under the name that the packet gives it."""
    paths = sorted(path for name in _NAMES for path in folder.rglob(f"*{name.removeprefix('review')}"))
    signed = {path.parent for path in paths if path.name.endswith(SIGNED.removeprefix("review"))}
    return {"-".join(path.relative_to(folder).parts): path for path in paths if path.parent in signed}


def read_reviews(files: Mapping[str, bytes], keys: Keys) -> tuple[Review, ...]:
    """The facts of all signed reviews, each with its fault. PacketError for a file that is not a signed review."""
    found, faults = dict[str, Reviewed](), dict[str, str]()
    unverified = {name: _unverified(name, data) for name, data in files.items() if _is_signed(name)}
    for name, each in unverified.items():
        try:
            found[name] = _reviewed(name, each, files, keys)
        except ReviewFolderError as error:
            faults[name] = NO_KEY if error.fault == "key-unknown" else _words(error)
    for broken in chain_faults(sorted(found.values(), key=lambda each: each.week)):
        faults |= {name: _words(broken) for name, one in found.items() if str(one.week) == broken.week}
    return tuple(
        Review(
            file=File.of(name, files[name]),
            week=each.statement.week,
            reviewer=each.statement.reviewer,
            signed=each.statement.time,
            ended=found[name].report.ends if name in found else "",
            digest=each.digest,
            heads=_heads(found[name]) if name in found else (),
            fault=faults.get(name, ""),
            key_id=each.key_id,
        )
        for name, each in sorted(unverified.items())
    )


def placed(reviews: Sequence[Review], lines: Mapping[str, tuple[str, int, str]]) -> tuple[Review, ...]:
    """The reviews, with the worker, line and time of the trail that records each; `lines` has them by digest."""
    return tuple(_placed(each, *lines.get(each.digest, ("", 0, ""))) for each in reviews)


def again(
    files: Mapping[str, bytes], keys: Keys, trails: Sequence[Path], *, receipts: Path, confirmations: Sources | None
) -> Iterator[tuple[str, str]]:
    """Each review that does not follow from the trails: its file, and why. `receipts` has those of the packet."""
    first = {path: _identity(path) for path in trails}
    for name, data in sorted(files.items()):
        if not _is_signed(name):
            continue
        try:
            each = _reviewed(name, _unverified(name, data), files, keys)
        except ReviewFolderError:
            continue  # is a fault of the facts
        hashes = {state.first_hash for state in each.report.trails}
        own = [path for path in trails if first[path] in hashes]
        given = receipts if each.report.receipts is not None else None
        try:
            made_again(each, own, receipts=given, confirmations=confirmations)
        except NotAgain as error:
            yield name, f"review-not-from-trails: {each.week}: {error}"


def _identity(path: Path) -> str:
    try:
        return identity_of(path)
    except (ReviewError, ChainError, OSError):
        return ""


def _placed(each: Review, worker: str, line: int, time: str) -> Review:
    return msgspec.structs.replace(each, worker=worker, line=line, recorded=time)


def _is_signed(name: str) -> bool:
    return name.endswith(SIGNED.removeprefix("review"))


def _unverified(name: str, data: bytes) -> UnverifiedReview:
    try:
        return read_signed(data)
    except SignedReviewError as error:
        raise PacketError(f"{name} cannot be read: {error}", _REMEDY) from error


def _reviewed(name: str, each: UnverifiedReview, files: Mapping[str, bytes], keys: Keys) -> Reviewed:
    """The review with the report and the page beside it. Raises ReviewFolderError."""
    week, stem = each.statement.week, name.removesuffix(SIGNED)
    known = [key for key in keys.values() if isinstance(key, ec.EllipticCurvePublicKey)]
    if each.key_id not in keys:
        raise ReviewFolderError(week, NO_KEY, "key-unknown")
    try:
        report, page = files[f"{stem}{REPORT}"], files[f"{stem}{PAGE}"]
    except KeyError as error:
        raise ReviewFolderError(week, f"{error.args[0]} was not given", "unreadable") from None
    return reviewed(week, files[name], report=report, page=page, keys=known)


def _heads(each: Reviewed) -> tuple[ReviewHead, ...]:
    return tuple(
        ReviewHead(worker=state.worker, lines=state.lines, root=state.root, hash=state.hash)
        for state in each.report.trails
    )


def _words(error: ReviewFolderError) -> str:
    return f"review-{error.fault}: {error.what}"
