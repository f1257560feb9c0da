"""Results on the submitter's disk: all of them or none.

Everything is first written to a new folder with mode 0700 next to the target, and brought to the disk. A folder then
appears by one rename; single files are renamed one by one, the result last, so that the other files exist once the
result does, and go away again if one cannot be renamed.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from cji_core.command.safe_csv import guarded
from cji_core.command.workbook import WorkbookWriter
from cji_core.errors import SpecError

CSV: Final = ".csv"
WORKBOOK: Final = ".xlsx"
FORMATS: Final = (CSV, WORKBOOK, ".parquet", ".arrow")
"""Kinds of files for tables, by suffix. `.arrow` is the Arrow IPC file format."""
RESULT: Final = "result"


class Target:
    """The target of one job's outputs: a new folder, or files that share the stem of `out`."""

    def __init__(self, out: Path, *, suffix: str) -> None:
        """`suffix` is the format of tables in a folder. SpecError if the target exists."""
        self._single = out.suffix.lower() in FORMATS
        self._out = out
        self.suffix = out.suffix.lower() if self._single else suffix
        if not out.parent.is_dir():
            raise SpecError(f"the folder {out.parent} does not exist")
        taken = out.exists() and not (out.is_dir() and not self._single and not any(out.iterdir()))
        if taken or (self._single and any(out.parent.glob(f"{out.stem}.*"))):
            raise SpecError(f"{out} or a file with its stem exists", remedy="Choose another --out.")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """A folder to write to. Its files move to the target if the block succeeds and are deleted otherwise."""
        try:
            folder = Path(tempfile.mkdtemp(prefix=f".{self._out.name}.", dir=self._out.parent))
        except OSError as error:
            raise SpecError(f"the folder {self._out.parent} cannot be written ({error.strerror})") from None
        moved = list[Path]()
        try:
            yield folder
            for file in folder.iterdir():
                _settle(file)
            if self._single:
                names = sorted((file.name for file in folder.iterdir()), key=lambda name: name.startswith(f"{RESULT}."))
                for name in names:
                    os.rename(folder / name, self._beside(name))
                    moved.append(self._beside(name))
                folder.rmdir()
            else:
                os.rename(folder, self._out)
        except BaseException as error:
            for file in moved:
                file.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise SpecError(f"{self._out} cannot be written ({error.strerror or error})") from None
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _beside(self, name: str) -> Path:
        return self._out if name == f"{RESULT}{self.suffix}" else self._out.with_name(f"{self._out.stem}.{name}")


def write_batches(
    path: Path, batches: Iterator[pa.RecordBatch], *, guard: bool = False, cells: Collection[str] = ()
) -> None:
    """Write a table as one of FORMATS, batch by batch. The first batch is empty and carries the schema.

    Lists become text in .csv and .xlsx, and the columns `cells`, whose bytes are encrypted, hexadecimal after 0x. With
    `guard`, texts in .csv that a spreadsheet program would compute are made harmless.
    """
    empty = next(batches)
    with contextlib.ExitStack() as stack:
        form: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch  # noqa: E731
        if path.suffix == CSV:
            form = partial(_flat, text=_guarded_text if guard else _text, cells=cells)
            writer = stack.enter_context(pyarrow.csv.CSVWriter(path, form(empty).schema))
        elif path.suffix == WORKBOOK:
            form = partial(_flat, text=_cell_text, cells=cells)
            writer = stack.enter_context(WorkbookWriter(path, empty.schema.names))
        elif path.suffix == ".parquet":
            writer = stack.enter_context(pyarrow.parquet.ParquetWriter(path, empty.schema))
        else:
            writer = stack.enter_context(pa.ipc.new_file(path, empty.schema))
        for batch in batches:
            writer.write_batch(form(batch))
    path.chmod(0o600)


def write_lines(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    """Write the values of the one column of each batch as lines."""
    with path.open("xb") as file:
        path.chmod(0o600)
        for batch in batches:
            file.writelines(line + b"\n" for line in batch.column(0).to_pylist())


def write_text(path: Path, pieces: Iterator[str]) -> None:
    """Write a text piece by piece."""
    with path.open("x", encoding="utf-8") as file:
        path.chmod(0o600)
        file.writelines(pieces)


def _settle(file: Path) -> None:
    """Bring a file to the disk."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _flat(batch: pa.RecordBatch, *, text: Callable[[pa.Array], pa.Array], cells: Collection[str]) -> pa.RecordBatch:
    names = text(pa.array(batch.schema.names, pa.string())).to_pylist()
    columns = [
        _hexadecimal(column) if name in cells else text(column)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _hexadecimal(column: pa.Array) -> pa.Array:
    return pa.array([None if v is None else f"0x{v.hex()}" for v in column.to_pylist()], pa.string())


def _text(column: pa.Array) -> pa.Array:
    """Lists become items separated by blanks; bytes become text, with � for invalid UTF-8."""
    if pa.types.is_list(column.type):
        return pc.binary_join(column.cast(pa.list_(pa.string())), " ")
    if pa.types.is_binary(column.type):
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()], pa.string())
    return column


def _guarded_text(column: pa.Array) -> pa.Array:
    flat = _text(column)
    return guarded(flat) if pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type) else flat


def _cell_text(column: pa.Array) -> pa.Array:
    return _text(column).cast(pa.string())
