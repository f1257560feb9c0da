"""Records from standard input: in memory, under a name that readers of files can open as often as they need.

They never reach a disk. A file in memory needs Linux (memfd_create(2)).
"""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from cji_client.errors import SpecError
from cji_client.files import INPUT_SUFFIXES
from cji_client.files.memory import MemoryFiles

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
    with MemoryFiles() as files:
        path, memory = files.new(f"stdin.{kind}")
        shutil.copyfileobj(sys.stdin.buffer, memory)
        yield path
