"""Rules that are data: files that a reviewer can read, and that an operator can replace by name.

The shipped files lie beside this module; `cji_core.format.configuration.table_files` reads them once per worker. A
process decodes them before it gives up its files. A file that is not valid stops the start.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cji_core.documents import toml
from cji_core.errors import StartupError
from cji_core.format.configuration.table_files import read_table_files
from cji_core.operations.tables.dissemination import Dissemination
from cji_core.operations.tables.missing import Missing
from cji_core.operations.tables.ncic import Ncic
from cji_core.operations.tables.screening import Screening

__all__ = ["Dissemination", "Missing", "Ncic", "Screening", "Tables", "decode", "load"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables in force; `sha256` is over their names and bytes, in the order of their names."""

    dissemination: Dissemination
    missing: Missing
    ncic: Ncic
    screening: Screening
    sha256: bytes


def decode(contents: Mapping[str, bytes]) -> Tables:
    """The tables in the files that `read_table_files` returned. Raises: StartupError."""
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        digest.update(name.encode() + b"\0" + len(data).to_bytes(8, "big") + data)
    return Tables(
        dissemination=_decode("dissemination.toml", contents, Dissemination),
        missing=_decode("missing.toml", contents, Missing),
        ncic=_decode("ncic.toml", contents, Ncic),
        screening=_decode("screening.toml", contents, Screening),
        sha256=digest.digest(),
    )


def load(folder: Path | None = None) -> Tables:
    """The tables in force with this folder. Raises: StartupError."""
    return decode(read_table_files(folder))


def _decode(name: str, contents: Mapping[str, bytes], kind: type[T]) -> T:
    try:
        return toml(contents[name], kind)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise StartupError(f"The table {name} is not valid: {error}", "Compare it with the shipped one.") from error
