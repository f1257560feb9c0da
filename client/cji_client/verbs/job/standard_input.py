"""Records from standard input: in memory, under a name that readers of files can open as often as they need.

They never reach a disk. A file in memory needs Linux (memfd_create(2)).
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from cji_client.errors import SpecError
from cji_client.files import INPUT_SUFFIXES

DASH: Final = Path("-")
RECORDS: Final = click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True)
FORMAT: Final = click.option(
    "--format",
    "kind",
    type=click.Choice([suffix.removeprefix(".") for suffix in INPUT_SUFFIXES]),
    help="The kind of records on standard input, where IN is `-`.",
)


@contextlib.contextmanager
def records_file(file: Path, kind: str | None) -> Iterator[Path]:
    """The file to read: `file`, or for `-` what standard input has, as a file of this kind."""
    if file != DASH:
        if kind is not None:
            raise SpecError("--format is for standard input", remedy="Give - for IN, or leave it out.")
        yield file
        return
    if kind is None:
        raise SpecError("records from standard input need --format", remedy="Give for example --format csv.")
    if not hasattr(os, "memfd_create"):
        raise SpecError("this system has no files in memory", remedy="Write the records to a file and name it.")
    fd = os.memfd_create("records", os.MFD_CLOEXEC)
    try:
        with os.fdopen(fd, "wb", closefd=False) as memory:
            shutil.copyfileobj(sys.stdin.buffer, memory)
        with tempfile.TemporaryDirectory(prefix="cji.") as folder:
            link = Path(folder) / f"stdin.{kind}"
            link.symlink_to(f"/proc/{os.getpid()}/fd/{fd}")
            yield link
    finally:
        os.close(fd)
