"""`cji release fetch`, `list` and `verify`: a log of releases as its readers have it. Only `fetch` uses a network."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, ParamSpec, TypeVar

import click
import msgspec

from cji_attestation.verbs.evidence_options import AT, time_of
from cji_core.command.common import FILE, Failure, explained, plural
from cji_core.command.json_output import answers, member, print_answer, print_document
from cji_core.tlog.calls import LogUnreachableError, fetch_copy, log_client
from cji_core.tlog.leaves import LeafError
from cji_core.tlog.policy import Policy, load_policy
from cji_core.tlog.proofs import parse_proof
from cji_core.tlog.releases import MAX_COPY_BYTES, KnownReleases, Released, ReleaseLogError, decode_copy, read_releases
from cji_core.tlog.submissions import MAX_SUBMISSION_BYTES, Added, read_message
from cji_core.trail.checkpoint import CheckpointError
from cji_core.trail.fields import utc_hundredths

ENTRY: Final = "release.json"
COPY: Final = "releases.json"
POLICY: Final = click.option(
    "--policy", "policy_file", type=FILE, required=True, help="The policy of the log of releases, pinned by you."
)
CA: Final = click.option("--ca-file", type=FILE, help="TLS roots, PEM. Default: the system's.")
_REFUSED: Final = "Do not use this release. Compare the policy with the publisher's, and fetch the log again."
_WITHDRAWN: Final = "Use a release that `cji release list` shows as in force."
P = ParamSpec("P")
T = TypeVar("T")


class FetchedReleases(msgspec.Struct, frozen=True, kw_only=True):
    """`cji release fetch`: a copy of a log of releases, verified."""

    file: Annotated[str, member("the file with every entry and the checkpoint")]
    entries: Annotated[int, member("number of entries")]
    releases: Annotated[int, member("number of releases, withdrawn ones too")]
    cosigned: Annotated[str, member("time of the oldest cosignature of its quorum, UTC")]


class ReleaseShown(msgspec.Struct, frozen=True, kw_only=True):
    """A release in the log."""

    product: Annotated[str, member("name of the product")]
    version: Annotated[str, member("its version, SemVer 2.0.0")]
    flavour: Annotated[str | None, member("of its image: `production`, `debug` or `engine`; null without an image")]
    platform: Annotated[str | None, member("where the image boots; null without an image")]
    time: Annotated[str, member("when it was released, UTC")]
    commit: Annotated[str, member("commit of the source")]
    sha384: Annotated[str, member("SHA-384 that names the release, hexadecimal")]
    pcrs: Annotated[dict[str, str], member("predicted PCRs, SHA-256, hexadecimal; empty without an image")]
    bundle_keys_sha384: Annotated[str | None, member("whose bundles the image takes, as `release_bundle_keys` pins it")]
    withdrawn: Annotated[str | None, member("why it was withdrawn; null if it is in force")]


class VerifiedRelease(msgspec.Struct, frozen=True, kw_only=True):
    """`cji release verify`: files of one release in force."""

    release: Annotated[str, member("product, version, flavour and platform")]
    sha384: Annotated[str, member("SHA-384 that names the release, hexadecimal")]
    commit: Annotated[str, member("commit of the source")]
    files: Annotated[tuple[str, ...], member("files that are those of the release")]
    missing: Annotated[tuple[str, ...], member("files of the release that are not in the folder")]
    entries: Annotated[int, member("entries of the log that were read, all there are")]
    cosigned: Annotated[str, member("time of the oldest cosignature of the quorum, UTC")]


def release_faults(command: Callable[P, T]) -> Callable[P, T]:
    """Turn what a log, a copy or a file gets wrong into a `Failure`: 4 without an answer, 3 for what does not count."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except LogUnreachableError as error:
            raise Failure(str(error), remedy=error.remedy, status=error.status) from error
        except (CheckpointError, LeafError) as error:
            remedy = _REFUSED if isinstance(error, LeafError) else ReleaseLogError.remedy
            raise Failure(f"refused: {error}", remedy=remedy, status=3) from error
        except OSError as error:
            what = f"{error.filename or 'a file'} cannot be used: {error.strerror or error}"
            raise Failure(what, remedy="Name another one, or give yourself the right to it.", status=2) from error

    return run


@click.command("fetch")
@POLICY
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@CA
@answers(FetchedReleases)
@explained
@release_faults
def fetch(policy_file: Path, out: Path, ca_file: Path | None, *, as_json: bool) -> None:
    """Fetch every entry of a log of releases, verify all, and write them to a file.

    The file is written only if a quorum of the policy's witnesses cosigned the log lately, and if the log begins with
    the entries that the file had before: a log that forgets a withdrawal is found. Name the file in `releases` of the
    reference values, and run this from a timer, more often than `max_age_seconds` of the policy.

    \b
    Example:
      cji release fetch --policy release-policy.toml -o releases.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    policy = load_policy(policy_file)
    found = fetched(policy, out, None if ca_file is None else str(ca_file))
    count = len(found.releases.all())
    answer = FetchedReleases(file=str(out), entries=len(found.leaves), releases=count, cosigned=_utc(found.at))
    text = f"{out}: {plural(count, 'release')}, cosigned {answer.cosigned}"
    print_answer(answer, text, as_json=as_json)


def fetched(policy: Policy, out: Path, ca_file: str | None) -> KnownReleases:
    """Fetch, verify and write a copy. Raises CheckpointError, LeafError, OSError or StartupError."""
    copy = fetch_copy(log_client(ca_file), policy)
    data = copy.encode()
    found = read_releases(data, policy, now=int(datetime.now(UTC).timestamp()))
    if out.exists():
        found.continues(decode_copy(_read(out, MAX_COPY_BYTES)))
    new = out.with_name(f"{out.name}.new")
    new.write_bytes(data)
    os.replace(new, out)
    return found


@click.command("list")
@click.argument("file", type=FILE)
@POLICY
@AT
@answers(ReleaseShown, listed=True)
@explained
@release_faults
def list_(file: Path, policy_file: Path, *, at: str | None, as_json: bool) -> None:
    """List the releases in FILE, which `cji release fetch` wrote, and which of them were withdrawn. Uses no network.

    \b
    Example:
      cji release list releases.json --policy release-policy.toml
    """  # noqa: D301 - as above
    found = _known(file, load_policy(policy_file), at).releases.all()
    if as_json:
        print_document([msgspec.to_builtins(_shown(each)) for each in found], indent=2)
        return
    for each in found:
        click.echo(f"{each}" if each.withdrawn else f"{each}, in force")


@click.command("verify")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@POLICY
@click.option("--releases", "copy_file", type=FILE, help="A later copy of the log. Default: releases.json in FOLDER.")
@AT
@answers(VerifiedRelease)
@explained
@release_faults
def verify(folder: Path, policy_file: Path, *, copy_file: Path | None, at: str | None, as_json: bool) -> None:
    """Verify that the files in FOLDER are those of one release in force. Uses no network.

    FOLDER has the entry of the release with its proof, release.json, and a copy of the log, releases.json. Every entry
    of the log is read: a withdrawn release is refused, and so are a file of another release and one that nobody
    released. The copy must be cosigned by a quorum of the policy, not longer ago than it allows: give a later one with
    `--releases`, or your own time with `--at`. The exit status is 3 if it is refused.

    \b
    Examples:
      cji release verify cji-worker-0.2.0 --policy release-policy.toml
      cji release verify cji-worker-0.2.0 --policy release-policy.toml --releases releases.json
    """  # noqa: D301 - as above
    policy = load_policy(policy_file)
    known = _known(copy_file or folder / COPY, policy, at)
    added = read_message(_read(folder / ENTRY, MAX_SUBMISSION_BYTES), Added)
    proof = parse_proof(added.proof.encode())
    policy.accept(proof.note, now=None)
    released = known.shows(added.entry.encode(), proof)
    if released.withdrawn is not None:
        raise Failure(f"refused: {released}", remedy=_WITHDRAWN, status=3)
    files = dict(_digests(folder))
    _require_files(files, released, known)
    expected = {each.name for each in released.release.artefacts}
    answer = VerifiedRelease(
        release=released.release.name,
        sha384=released.sha384,
        commit=released.release.commit,
        files=tuple(sorted(files)),
        missing=tuple(sorted(expected - files.keys())),
        entries=len(known.leaves),
        cosigned=_utc(known.at),
    )
    text = f"{answer.release}: {plural(len(files), 'file')} of it, in force, log cosigned {answer.cosigned}"
    lines = [text, *(f"not in the folder: {name}" for name in answer.missing)]
    print_answer(answer, "\n".join(lines), as_json=as_json)


def _require_files(files: Mapping[str, str], released: Released, known: KnownReleases) -> None:
    """Raise Failure for a file of another release, or of none."""
    own = {each.name: each.sha256 for each in released.release.artefacts}
    if not files:
        raise Failure("the folder has no file of the release", remedy="Name the folder with its files.", status=2)
    for name, digest in sorted(files.items()):
        if own.get(name) == digest:
            continue
        of = [
            each.release.name
            for each in known.releases.all()
            if each is not released and digest in {one.sha256 for one in each.release.artefacts}
        ]
        what = f"of {' and '.join(of)}" if of else "of no release in the log"
        raise Failure(f"refused: {name} is {what}, not of {released.release.name}", remedy=_REFUSED, status=3)


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Name below the folder, and SHA-256, of every file but those about the log. Raises Failure for a link."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Failure(f"refused: {name!a} is not a file or folder", remedy=_REFUSED, status=3)
        if path.is_file() and name not in {ENTRY, COPY}:
            with path.open("rb") as file:
                yield name, hashlib.file_digest(file, "sha256").hexdigest()


def _known(path: Path, policy: Policy, at: str | None) -> KnownReleases:
    when = time_of(at) or datetime.now(UTC)
    return read_releases(_read(path, MAX_COPY_BYTES), policy, now=int(when.timestamp()))


def _read(path: Path, limit: int) -> bytes:
    """The file, cut behind what its reader refuses."""
    with path.open("rb") as file:
        return file.read(limit + 1)


def _shown(each: Released) -> ReleaseShown:
    release, image = each.release, each.release.image
    return ReleaseShown(
        product=release.product,
        version=release.version,
        flavour=None if image is None else image.flavour,
        platform=None if image is None else image.platform,
        time=release.time,
        commit=release.commit,
        sha384=each.sha384,
        pcrs={} if image is None else {str(one.pcr): one.sha256 for one in image.pcrs},
        bundle_keys_sha384=None if image is None else image.bundle_keys_sha384,
        withdrawn=None if each.withdrawn is None else each.withdrawn.explanation,
    )


def _utc(at: int) -> str:
    return utc_hundredths(datetime.fromtimestamp(at, UTC))
