"""Shared by the verbs that audit a trail: the keys of an auditor, the index, and faults with remedies."""

import functools
import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import click

from cji_attestation.attested import evidence_cloud, read_as_made, read_evidence
from cji_attestation.verbs.evidence_options import AT, time_of
from cji_attestation.verbs.reference_values import PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, Failure
from cji_core.jose import VerifyingKey, key_id, parse_verifying
from cji_core.pairs import VerifyingPair
from cji_core.trail.chain import ChainError
from cji_core.trail.checkpoint import MAX_BYTES, Checkpoint, CheckpointError, parse_checkpoint
from cji_core.trail.index import IndexUnusableError, TrailIndex
from cji_core.trail.merkle import ProofError
from cji_core.trail.rules import CheckpointKeys
from cji_core.trail.trail import opened

P = ParamSpec("P")
T = TypeVar("T")

_REMEDIES: Final = {
    "cut": "Get the newest copy of the trail. If it ends here, its last lines were removed: investigate.",
    "origin": "Give checkpoints of this trail. Its worker's id is in every line.",
    "hold": "Investigate who placed, released or ignored this hold. An export may have lines that were removed.",
    "pruned": "Restore the lines from an export or a backup, and investigate who removed them.",
    "segment": "Restore the segment under its name from a backup, or investigate which process moved or changed it.",
    "index": "Investigate who changed the trail. To index another trail, give another --index.",
}
_REMEDY: Final = "Investigate who changed the trail. Keep it, and configure a new file."

_TIME: Final = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{2})?)?)?Z?)?)?)?")

INDEX = click.option(
    "--index",
    "index_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your index of this trail, made if it does not exist; by default in your cache folder.",
)


def trail_faults(command: Callable[P, T]) -> Callable[P, T]:
    """Turn faults of trails, checkpoints, proofs and indexes into a `Failure`."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except ChainError as error:
            raise Failure(str(error), remedy=_REMEDIES.get(error.field, _REMEDY), status=3) from error
        except ProofError as error:
            remedy = "Do not rely on it. Ask for a proof against a checkpoint that you have."
            raise Failure(f"proof refused: {error}", remedy=remedy, status=3) from error
        except OSError as error:
            what = f"{error.filename or 'the trail'} cannot be read: {error.strerror or error}"
            raise Failure(
                what, remedy="Give yourself the right to read it, or name the right file.", status=2
            ) from error
        except IndexUnusableError as error:
            remedy = "Remove the index, or give another --index: it is made again from the trail."
            raise Failure(str(error), remedy=remedy, status=2) from error

    return run


def with_keys(
    command: Callable[..., T],
) -> Callable[..., T]:
    """Add the options that name an auditor's keys; the command gets them by thumbprint, and no context."""

    @functools.wraps(command)
    def run(
        context: click.Context,
        *,
        key_files: tuple[Path, ...],
        evidence: tuple[Path, ...],
        profile: Path | None,
        at: str | None,
        **options: object,
    ) -> T:
        keys = [_key(file) for file in key_files]
        for file in evidence:
            keys.append(_attested(context, file, profile, at))
        named = {key_id(key): key.p384 if isinstance(key, VerifyingPair) else key for key in keys}
        return command(named, **options)

    decorated: Callable[..., T] = run
    for option in (
        AT,
        PROFILE,
        click.option(
            "--evidence",
            type=FILE,
            multiple=True,
            help="evidence.json of a job, which names the receipt key; by its maker's word without --profile.",
        ),
        click.option(
            "--key",
            "key_files",
            type=FILE,
            multiple=True,
            help="Receipt key as a public JWK that you trust already. May be repeated.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def _attested(context: click.Context, file: Path, profile: Path | None, at: str | None) -> VerifyingKey:
    """The receipt key of evidence, by the auditor's reference values or else by its maker's word, which is said."""
    data = file.read_bytes()
    trust = trust_named(context, evidence_cloud(data))
    if profile is not None or at is not None:
        values = reference_values(profile, None)
        return read_evidence(data, trust=trust, reference=values, at=time_of(at)).receipt_key
    found = read_as_made(data, trust=trust)
    when = found.time.at.isoformat(timespec="seconds")
    click.echo(
        f"{file.name}: appraised by the reference values in it, at {when}, by {found.time.by}; "
        "give --profile to hold it to your own",
        err=True,
    )
    return found.receipt_key


def checked_time(_: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """A callback: a time as the trail writes it, or its beginning."""
    if text is not None and not _TIME.fullmatch(text):
        raise click.BadParameter("a time in UTC is written like 2026-11-24T15:00, or as its beginning", param=parameter)
    return text and text.removesuffix("Z")


def require_keys(keys: CheckpointKeys) -> None:
    """Failure 2 if the auditor gave none."""
    if not keys:
        raise Failure(
            "no key to verify with", remedy="Give --evidence, the worker's evidence.json, or --key, its JWK.", status=2
        )


def checkpoint_in(file: Path) -> Checkpoint:
    """The checkpoint in a file. Failure 3 if it is none."""
    with file.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    try:
        return parse_checkpoint(data)
    except CheckpointError as error:
        raise Failure(
            f"{file} is not a checkpoint: {error}", remedy="Give a signed note as a witness keeps it.", status=3
        ) from error


@contextmanager
def indexed(trail: Path, file: Path | None) -> Iterator[TrailIndex]:
    """The index of a trail, up to its last line."""
    with TrailIndex(trail, file or _cached(trail)) as index:
        with opened(trail) as files:
            length = files.begin + files.size() - index.size
        with click.progressbar(length=length, label="indexing", hidden=length < 1 << 20, file=sys.stderr) as bar:
            index.update(bar.update)
        yield index


def _cached(trail: Path) -> Path:
    folder = Path(click.get_app_dir("cji", force_posix=True)) / "audit"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(bytes(trail.resolve())).hexdigest()[:32]}.index"


def _key(file: Path) -> VerifyingKey:
    try:
        return parse_verifying(file.read_text("ascii").strip())
    except (ValueError, UnicodeDecodeError) as error:
        remedy = "Give the member receipt_jwk of an evidence.json that you have verified, as a file."
        raise Failure(f"{file} is not a receipt key", remedy=remedy, status=2) from error
