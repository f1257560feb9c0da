"""The private folder of one sealed result on its way, so that nothing that was verified is lost.

    $XDG_STATE_HOME/cji/results/JOB-xxxxxxxx    mode 0700, files 0600; ~/.local/state without the variable

Parts are written into it as they come. When the receipt has been verified, header, receipt and evidence are added: from
then on it is a folder of `cji_client.result_folder`, and `cji job open` opens it, whatever ends this process. It is
removed once the result is where it was wanted; before the receipt nothing in it is verified, and it is removed in any
case. Only a process that is killed before the receipt leaves one that does not open, without `result.json`.

Room for it is held before anything is sent (`Space`).
"""

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, Self, cast

from cji_attestation.attested import AttestedWorker
from cji_client.errors import SpecError
from cji_client.job_folder import part_file
from cji_client.result import Result
from cji_client.result_folder import complete_result, replace_evidence, save_result
from cji_client.space import Space
from cji_client.standing import Standing


class Store(Protocol):
    """The place in which the sealed result of a run is kept."""

    def part(self, number: int) -> BinaryIO:
        """An empty file for a part. Raises OSError."""

    def settling(self) -> contextlib.AbstractContextManager[None]:
        """A block in which no signal ends this process: from the last message to a result that is kept."""

    def keep(self, result: Result) -> None:
        """Keep a verified result; its evidence may not be completed yet."""


class Kept:
    """The folder of one result, a `Store`. Use as a context manager, which removes it or leaves it, as it should."""

    def __init__(
        self, standing: Standing, *, size: int, settling: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        """Make it, with room for `size` bytes; `settling` is as `Store.settling`. SpecError if there is no room."""
        self._standing, self._settling = standing, settling
        state = _state_folder()
        try:
            self.folder = _new_folder(standing.job_id, state)
        except OSError as error:
            raise SpecError(
                f"{state} cannot be written ({error.strerror})",
                remedy="The sealed result is kept there until it is opened: name another folder in XDG_STATE_HOME.",
            ) from None
        try:
            (self.folder / "parts").mkdir(mode=0o700)
            self._space = Space(self.folder, size)
        except BaseException:
            self._remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._space.close()
        if kind is None or self._standing.kept != self.folder:
            self._remove()

    def part(self, number: int) -> BinaryIO:
        """As `Store.part`; once more for another attempt."""
        return cast("BinaryIO", _Part(part_file(self.folder, number), self._space))

    def settling(self) -> contextlib.AbstractContextManager[None]:
        """As `Store.settling`."""
        return self._settling()

    def keep(self, result: Result) -> None:
        """As `Store.keep`. If the folder is gone or cannot be written, a new one takes its place."""
        self._space.close()
        if all(isinstance(output.file, _Part) for output in result.outputs):  # else this disk was full before
            with contextlib.suppress(OSError):
                complete_result(result, self.folder)
                self._standing.kept = self.folder
                return
        for state in (_state_folder(), None):
            self._remove()
            with contextlib.suppress(OSError, SpecError):
                self.folder = _new_folder(self._standing.job_id, state)
                save_result(result, self.folder)
                self._standing.kept = self.folder
                return

    def stamp(self, attested: AttestedWorker) -> None:
        """Replace the evidence by the same, completed."""
        with contextlib.suppress(OSError):
            replace_evidence(self.folder, attested)

    def moved(self, folder: Path) -> None:
        """The sealed result is in this folder now; this one is not needed any more."""
        self._standing.kept = folder

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class _Part(io.FileIO):
    """A file in the folder, which takes its bytes from the space that is held."""

    def __init__(self, path: Path, space: Space) -> None:
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600), "r+")
        self._space = space

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # Buffer is Python 3.12
        size = len(view)
        self._space.give(size)
        while view:
            view = view[super().write(view) :]
        return size


def _state_folder() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser())


def _new_folder(job_id: bytes, state: Path | None) -> Path:
    """A new folder in the state folder, or without one in that for temporary files. Raises OSError."""
    if state is None:
        return Path(tempfile.mkdtemp(prefix=f"cji-{job_id.hex()}-"))
    results = state / "cji" / "results"
    results.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{job_id.hex()}-", dir=results))
