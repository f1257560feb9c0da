"""Rules that are data: files that a reviewer can read, and that an operator can replace by name.

The shipped files lie beside this module. `load` reads them, or the files of the same names in the operator's folder,
all at once and once per process: a cell cannot open files. A file that does not make sense stops the start.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from worker.compute.tables.dissemination import Dissemination
from worker.compute.tables.ncic import Ncic
from worker.compute.tables.screening import Screening
from worker.errors import StartupError

__all__ = ["Dissemination", "Ncic", "Screening", "Tables", "load"]

_NAMES: Final = ("dissemination.toml", "ncic.toml", "screening.toml")
_MAX_BYTES: Final = 1 << 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables in force; `sha256` is over their names and bytes, in the order of their names."""

    dissemination: Dissemination
    ncic: Ncic
    screening: Screening
    sha256: bytes


def load(folder: Path | None = None) -> Tables:
    """The shipped tables, each replaced by the file of its name in `folder`. Raises: StartupError."""
    contents = {name: _read(name, folder) for name in _NAMES}
    if folder is not None:
        _refuse_others(folder)
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        digest.update(name.encode() + b"\0" + len(data).to_bytes(8, "big") + data)
    return Tables(
        dissemination=_decode("dissemination.toml", contents, Dissemination),
        ncic=_decode("ncic.toml", contents, Ncic),
        screening=_decode("screening.toml", contents, Screening),
        sha256=digest.digest(),
    )


def _read(name: str, folder: Path | None) -> bytes:
    try:
        if folder is not None and (folder / name).exists():
            data = (folder / name).read_bytes()
        else:
            data = (files(__name__) / name).read_bytes()
    except OSError as error:
        raise StartupError(f"The table {name} cannot be read", "Make it readable for the worker.") from error
    if len(data) > _MAX_BYTES:
        raise StartupError(f"The table {name} is larger than 1 MiB", "Compare it with the shipped one.")
    return data


def _refuse_others(folder: Path) -> None:
    """A misspelt name would silently leave the shipped table in force."""
    try:
        others = sorted(path.name for path in folder.iterdir() if path.suffix == ".toml" and path.name not in _NAMES)
    except OSError as error:
        raise StartupError(
            f"The folder of tables {folder} cannot be read", "Name a readable folder in `tables`."
        ) from error
    if others:
        raise StartupError(f"{others[0]} in {folder} is no table", f"The tables are {', '.join(_NAMES)}.")


def _decode(name: str, contents: Mapping[str, bytes], kind: type[T]) -> T:
    try:
        return msgspec.toml.decode(contents[name], type=kind)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise StartupError(f"The table {name} is not valid: {error}", "Compare it with the shipped one.") from error
