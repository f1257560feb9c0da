"""Shared by the verbs on bundles: files and refusals."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec

from cji_attestation.bundle.archive import Bundle, read
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import MAX_BYTES
from cji_attestation.bundle.witnesses import Step
from cji_core.command.common import Failure, explained
from cji_core.command.json_output import member
from cji_core.errors import StartupError

P = ParamSpec("P")
T = TypeVar("T")


class BundledFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file in a bundle."""

    name: Annotated[str, member("its name")]
    bytes: Annotated[int, member("its size")]
    sha384: Annotated[str, member("SHA-384, hexadecimal")]


class WitnessStep(msgspec.Struct, frozen=True, kw_only=True):
    """From one policy of the agency's log to the next."""

    file: Annotated[str, member("its file in the bundle")]
    how: Annotated[str, member("`quorum`: the old witnesses cosigned it; `lost`: a statement that they are lost")]
    previous_sha384: Annotated[str, member("digest of the policy before, hexadecimal")]
    policy_sha384: Annotated[str, member("digest of the policy that follows, hexadecimal")]
    operator: Annotated[str, member("who stated it")]
    explanation: Annotated[str, member("why")]
    time: Annotated[str, member("when")]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The members that every answer about one bundle has."""

    pool: Annotated[str, member("the pool")]
    serial: Annotated[int, member("serial number")]
    sha384: Annotated[str, member("SHA-384 that names the bundle, hexadecimal")]
    created: Annotated[str, member("when it was made, ISO 8601")]
    expires: Annotated[str, member("until when machines take it, ISO 8601")]
    bytes: Annotated[int, member("size")]
    files: Annotated[tuple[BundledFile, ...], member("objects of the kind BundledFile")]


def refusals(command: Callable[P, T]) -> Callable[P, T]:
    """As `explained`, with the exit status of a BundleRefused."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except StartupError as error:
            raise Failure(error.what, remedy=error.remedy, status=error.status) from error

    return explained(run)


def bundle_at(path: Path) -> Bundle:
    """The well-formed bundle in a file. Raises BundleRefused."""
    try:
        with path.open("rb") as file:
            return read(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise BundleRefused(f"{path} cannot be read: {error.strerror}", "Name a readable file.") from error


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a bundle in the place of what is there: a reader has one of them whole. Raises BundleRefused."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_bytes(bundle.to_bytes())
        os.replace(new, path)
    except OSError as error:
        raise BundleRefused(f"{path} cannot be written: {error.strerror}", "Choose another folder.") from error


def shown_steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The steps for JSON."""
    return [asdict(each) for each in steps]


def lines_of_steps(steps: Iterable[Step]) -> Iterator[str]:
    """The steps for people."""
    for each in steps:
        how = "cosigned by the old quorum" if each.how == "quorum" else "THE OLD WITNESSES ARE LOST"
        yield f"witnesses  {each.file}, {how}: by {each.operator}, {each.time}: {each.explanation}"


def summary(bundle: Bundle) -> dict[str, Any]:
    """The members of `Summary` for JSON."""
    manifest = bundle.manifest
    return {
        "pool": manifest.pool,
        "serial": manifest.serial,
        "sha384": bundle.sha384.hex(),
        "created": manifest.created,
        "expires": manifest.expires,
        "bytes": len(bundle.to_bytes()),
        "files": [{"name": one.name, "bytes": one.bytes, "sha384": one.sha384} for one in manifest.files],
    }
