"""`cji columns describe`: columns.toml from what a database exports as JSON. Everything in an export is a claim."""

import codecs
from pathlib import Path
from typing import Any, Final

from cji_client.columns import cosmos_export, sql_catalogue
from cji_client.columns.draft import Draft
from cji_core.errors import SpecError
from cji_core.strict import StrictError, parse

_MAX_BYTES: Final = 16 << 20
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def describe(export: Path, *, keys: Path | None = None, table: str | None = None) -> Draft:
    """The table of an export; SpecError for one that no columns.toml can be made of."""
    document = _json(export)
    if not isinstance(document, dict):
        raise SpecError(f"{export.name} is neither a catalogue nor a container", remedy=_REMEDY)
    if cosmos_export.is_container(document):
        return cosmos_export.draft(document, None if keys is None else _json(keys), table)
    if keys is not None:
        raise SpecError("--keys is for Cosmos DB", remedy="A catalogue of SQL Server has its keys in it.")
    return sql_catalogue.draft(document, table)


_REMEDY: Final = "Export it as `cji columns describe --help` shows."


def _json(path: Path) -> Any:
    """The document in a file: UTF-8, or with its mark UTF-16, as tools on Windows write it."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
        return parse(data.decode(encoding).strip().encode(), limit=_MAX_BYTES)
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None
    except (StrictError, UnicodeError) as error:
        raise SpecError(f"{path.name} is not JSON: {error}", remedy=_REMEDY) from None
