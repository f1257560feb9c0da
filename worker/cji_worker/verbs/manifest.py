"""`cji manifest`: list the code of a worker when its image is built, and compare a machine with the list."""

import subprocess
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_core.command.common import explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.errors import StartupError
from cji_core.manifest import covered_folders, manifest_path, verified_code, verify
from cji_core.manifest import write as write_manifest
from cji_worker.launch import command
from cji_worker.memory import heap_environment

_PROCESSES: Final = (
    "cji_worker.front.server",
    "cji_worker.keyholder.__main__",
    "cji_worker.cell.zygote",
    "cji_worker.verbs.serve",
)
_SECONDS: Final = 120


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`cji manifest write` and `verify`: a manifest with which this machine agrees."""

    file: Annotated[str, member("file of the manifest")]
    code_sha384: Annotated[str, member("its SHA-384, hexadecimal, as receipts name it")]


@click.group()
def manifest() -> None:
    """List and verify the files that a worker runs.

    \b
    When an image is built, after everything is installed:
      python -m compileall -qf --invalidation-mode checked-hash /opt/cji/lib
      cji manifest write
    On a machine, and at every start of `cji serve`:
      cji manifest verify
    """  # noqa: D301 - \b is click's mark for text that it must not wrap


@manifest.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Instead of the place where serve looks.")
@answers(Manifest)
@explained
def write(out: Path | None, *, as_json: bool) -> None:
    """Write the manifest of this environment; print its digest.

    It is a file of sha256sum. The digest is `code_sha384` in receipts and in the audit trail: publish it with the
    image.
    """
    path = out or manifest_path()
    folders = covered_folders()
    click.echo(f"hashing {', '.join(map(str, folders))} ...", err=True)
    outside = {p for p in _mapped() if not any(p.is_relative_to(folder) for folder in folders)}
    path.write_bytes(write_manifest(folders, outside))
    digest = verify(path, folders).sha384.hex()
    print_answer(Manifest(file=str(path), code_sha384=digest), digest, as_json=as_json)


@manifest.command("verify")
@answers(Manifest)
@explained
def verify_command(*, as_json: bool) -> None:
    """Compare this machine with its manifest; print the digest of the manifest.

    Ends with 1 and names the first file that was changed, is missing, or is not listed.
    """
    digest = verified_code().sha384.hex()
    print_answer(Manifest(file=str(manifest_path()), code_sha384=digest), digest, as_json=as_json)


def _mapped() -> set[Path]:
    """The files that the worker's processes map."""
    found: set[Path] = set()
    for module in _PROCESSES:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command("cji_worker.verbs.mapped_files", module),
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **heap_environment()},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            remedy = "Install the packages that deploy/README.md names, and everything in requirements.lock."
            raise StartupError(f"{module} cannot be loaded: {reason}", remedy)
        found |= {Path(line) for line in done.stdout.splitlines()}
    return found
