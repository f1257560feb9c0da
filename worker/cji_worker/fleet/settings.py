"""The settings of the fleet process: the section [fleet] of worker.toml, and the numbers of cells and fronts.

It reads nothing else of the file, so it needs none of the files that the worker's other sections name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cji_core.documents import toml
from cji_core.errors import StartupError
from cji_core.format.configuration.fleet import FleetSection
from cji_core.format.configuration.worker import FrontSetting
from cji_worker.fronts import front_count

_MAX_BYTES: Final = 256 << 10
_REMEDY: Final = "Compare it with docs/configuration.md."


class _Worker(msgspec.Struct, frozen=True):
    cells: int = 2
    cell_memory_mib: int = 160
    fronts: FrontSetting = "auto"


class _File(msgspec.Struct, frozen=True, kw_only=True):
    worker: _Worker
    fleet: FleetSection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The section, with absolute paths; `cells` is the number of jobs that the worker runs at once, in `fronts`."""

    fleet: FleetSection
    cells: int
    cell_memory_mib: int
    fronts: int


def load(path: Path) -> Settings:
    """Read worker.toml. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise StartupError(f"The configuration {path} is larger than 256 KiB", "Name the right file with --config.")
        found = toml(data, _File)
    except OSError as error:
        raise StartupError(f"The configuration {path} cannot be read", "Name a readable file with --config.") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise StartupError(f"The configuration {path} is not valid: {error}", _REMEDY) from error
    if found.fleet is None:
        raise StartupError(f"The configuration {path} has no [fleet]", "Add it; docs/fleet.md has an example.")
    fleet, worker = found.fleet.below(path.resolve().parent), found.worker
    return Settings(
        fleet=fleet, cells=worker.cells, cell_memory_mib=worker.cell_memory_mib, fronts=front_count(worker.fronts)
    )
