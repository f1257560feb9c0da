"""Rules that are data: files that a reviewer can read, and that an operator can replace by name.

The shipped files lie beside this module. `load` reads them, or the files of the same names in the operator's folder,
all at once and once per process: a cell cannot open files. A file that does not make sense stops the start.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from worker.errors import Unfit
from worker.records import DataClass

__all__ = ["Dissemination", "Flag", "Grant", "Tables", "load"]

_NAMES: Final = ("dissemination.toml",)
_MAX_BYTES: Final = 1 << 20

Flag = Literal["sealed", "juvenile", "non_conviction", "restricted_file"]
_CRIMINAL_JUSTICE_ONLY: Final = frozenset(("sealed", "juvenile"))

_Code = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,3}\Z")]
_Name = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,63}\Z")]
_File = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Purpose(_Table, frozen=True, kw_only=True):
    """A purpose code (NIEM RapSheetPurposeCode)."""

    meaning: str
    criminal_justice: bool


class Files(_Table, frozen=True, kw_only=True):
    """Letters of NCIC files; `restricted` ones are protected as criminal history is (CJISSECPOL 4.2.2)."""

    restricted: tuple[_File, ...]
    unrestricted: tuple[_File, ...]


class Grant(_Table, frozen=True, kw_only=True):
    """What these recipients may have for these purposes."""

    purposes: Annotated[tuple[_Code, ...], Meta(min_length=1)]
    recipients: Annotated[tuple[_Name, ...], Meta(min_length=1)]
    flags: tuple[Flag, ...]
    data: Annotated[tuple[DataClass, ...], Meta(min_length=1)]


class Dissemination(_Table, frozen=True, kw_only=True):
    """The whole table; what no grant names is withheld."""

    version: Literal[1]
    non_conviction_after_days: Annotated[int, Meta(ge=1, le=36_500)]
    purposes: Annotated[dict[_Code, Purpose], Meta(min_length=1)]
    files: Files
    grants: Annotated[tuple[Grant, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        pairs = [pair for grant in self.grants for pair in product(grant.purposes, grant.recipients)]
        if len(set(pairs)) != len(pairs):
            raise ValueError("two grants for one purpose and recipient class")
        for grant in self.grants:
            for code in grant.purposes:
                if code not in self.purposes:
                    raise ValueError(f"a grant for purpose {code}, which is not in the table")
                if not self.purposes[code].criminal_justice and _CRIMINAL_JUSTICE_ONLY & set(grant.flags):
                    raise ValueError(f"sealed or juvenile records granted for purpose {code}")
        if set(self.files.restricted) & set(self.files.unrestricted):
            raise ValueError("a file that is both restricted and unrestricted")

    @property
    def recipients(self) -> frozenset[str]:
        """Every recipient class that there is."""
        return frozenset(name for grant in self.grants for name in grant.recipients)

    def grant(self, purpose: str, recipient: str) -> Grant | None:
        """What this recipient class may have for this purpose, if anything."""
        found = (grant for grant in self.grants if purpose in grant.purposes and recipient in grant.recipients)
        return next(found, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables in force; `sha256` is over their names and bytes, in the order of their names."""

    dissemination: Dissemination
    sha256: bytes


def load(folder: Path | None = None) -> Tables:
    """The shipped tables, each replaced by the file of its name in `folder`. Raises: Unfit."""
    contents = {name: _read(name, folder) for name in _NAMES}
    if folder is not None:
        _refuse_others(folder)
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        digest.update(name.encode() + b"\0" + len(data).to_bytes(8, "big") + data)
    return Tables(
        dissemination=_decode("dissemination.toml", contents, Dissemination),
        sha256=digest.digest(),
    )


def _read(name: str, folder: Path | None) -> bytes:
    try:
        if folder is not None and (folder / name).exists():
            data = (folder / name).read_bytes()
        else:
            data = (files(__name__) / name).read_bytes()
    except OSError as error:
        raise Unfit(f"The table {name} cannot be read", "Make it readable for the worker.") from error
    if len(data) > _MAX_BYTES:
        raise Unfit(f"The table {name} is larger than 1 MiB", "Compare it with the shipped one.")
    return data


def _refuse_others(folder: Path) -> None:
    """A misspelt name would silently leave the shipped table in force."""
    try:
        others = sorted(path.name for path in folder.iterdir() if path.suffix == ".toml" and path.name not in _NAMES)
    except OSError as error:
        raise Unfit(f"The folder of tables {folder} cannot be read", "Name a readable folder in `tables`.") from error
    if others:
        raise Unfit(f"{others[0]} in {folder} is no table", f"The tables are {', '.join(_NAMES)}.")


def _decode(name: str, contents: Mapping[str, bytes], kind: type[Dissemination]) -> Dissemination:
    try:
        return msgspec.toml.decode(contents[name], type=kind)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise Unfit(f"The table {name} is not valid: {error}", "Compare it with the shipped one.") from error
