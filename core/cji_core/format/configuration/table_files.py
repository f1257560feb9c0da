"""The files of the tables: shipped ones beside `operations.tables`, each replaced by the operator's of its name.

They are read once per worker, by the supervisor, and every process decodes the same bytes.
"""

from pathlib import Path
from typing import Final

from cji_core.errors import StartupError

NAMES: Final = ("dissemination.toml", "missing.toml", "ncic.toml", "screening.toml")
_SHIPPED: Final = Path(__file__).parents[2] / "operations" / "tables"
_MAX_BYTES: Final = 1 << 20


def read_table_files(folder: Path | None = None) -> dict[str, bytes]:
    """The contents by file name; `folder` is the operator's. Raises StartupError."""
    if folder is not None:
        _refuse_others(folder)
    return {name: _read(name, folder) for name in NAMES}


def _read(name: str, folder: Path | None) -> bytes:
    try:
        if folder is not None and (folder / name).exists():
            data = (folder / name).read_bytes()
        else:
            data = (_SHIPPED / name).read_bytes()
    except OSError as error:
        raise StartupError(f"The table {name} cannot be read", "Make it readable for the worker.") from error
    if len(data) > _MAX_BYTES:
        raise StartupError(f"The table {name} is larger than 1 MiB", "Compare it with the shipped one.")
    return data


def _refuse_others(folder: Path) -> None:
    """A misspelt name would silently leave the shipped table in force."""
    try:
        others = sorted(path.name for path in folder.iterdir() if path.suffix == ".toml" and path.name not in NAMES)
    except OSError as error:
        raise StartupError(
            f"The folder of tables {folder} cannot be read", "Name a readable folder in `tables`."
        ) from error
    if others:
        raise StartupError(f"{others[0]} in {folder} is not a table", f"Keep only {', '.join(NAMES)} in this folder.")
