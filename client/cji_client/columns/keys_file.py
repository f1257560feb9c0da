"""`TABLE.keys.json`: the keys of one table's columns, sealed for a worker, and the statement that grants them.

`cji columns rewrap` writes it, a job carries it in its header. It has no secret: it is of use only in jobs
that the statement and the worker's policy allow.
"""

from pathlib import Path
from typing import Final

import msgspec

from cji_core.documents import decode
from cji_core.errors import Refusal, SpecError
from cji_core.format.columns import ColumnKeys, parse_column_keys
from cji_core.format.keys import write_public
from cji_core.format.paths import FileName
from cji_core.strict import StrictError, b64url, b64url_decode

_MAX_BYTES: Final = 1 << 18
_REMEDY: Final = "Make it again with `cji columns rewrap`."


class _KeysFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    statement: str
    wrapped_key: str
    sealed_keys: str
    signature: str


def save_keys(keys: ColumnKeys, file: FileName) -> None:
    """Write a new file; SpecError if it exists."""
    found = _KeysFile(
        statement=b64url(keys.statement.data),
        wrapped_key=b64url(keys.wrapped_key),
        sealed_keys=b64url(keys.sealed_keys),
        signature=b64url(keys.signature),
    )
    write_public(Path(file), msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")


def load_keys(file: FileName) -> ColumnKeys:
    """The keys in this file; SpecError if it has none of this form. Nothing was verified: the worker does that."""
    path = Path(file)
    try:
        with path.open("rb") as stream:
            found = decode(stream.read(_MAX_BYTES + 1), _KeysFile, limit=_MAX_BYTES)
        return parse_column_keys(
            statement=b64url_decode(found.statement),
            wrapped_key=b64url_decode(found.wrapped_key),
            sealed_keys=b64url_decode(found.sealed_keys),
            signature=b64url_decode(found.signature),
        )
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})", remedy=_REMEDY) from None
    except (StrictError, Refusal) as error:
        raise SpecError(f"{path.name} has no keys of columns", remedy=_REMEDY) from error
