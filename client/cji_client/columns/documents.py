"""Documents of a Cosmos DB container with client-side encryption: a table of their cells, and documents from results.

The policy of a container names properties at the top. Below them every leaf of objects and arrays is a cell of its own,
in base64 (`id` in base64url); names, structure and null stay in clear. So a column of columns.toml is the path of one
leaf, a JSON Pointer (RFC 6901): `/ssn`, `/address/street`, and of an array one column for each item: `/tags/0`. A leaf
that columns.toml does not describe stays where it is, and so does everything else that is not asked for. An array whose
items are described in part is refused: no item is left out in silence.

A leaf in clear below an encrypted property is a finding: the encryption of that document failed, and it may hold what
should have been sealed. It is never sent.
"""

import base64
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pyarrow as pa

from cji_client.columns.back import CellRows
from cji_client.columns.cells import is_cell
from cji_client.columns.file import ColumnsFile, load_columns
from cji_client.errors import ColumnError, SpecError
from cji_client.sources import Batches
from cji_client.spec import InputSpec
from cji_core.format.paths import FileName
from cji_core.strict import StrictError, b64_decode, parse

Document: TypeAlias = "Mapping[str, Any]"

_ID: Final = "/id"
_TO_BASE64: Final = str.maketrans("-_+/", "+/-_")
"""From base64url with padding, which `id` has, to base64, and back: a character of the wrong one stays wrong."""
_BATCH: Final = 4_096
_LINE_BYTES: Final = 8 << 20
"""Of one document; Cosmos DB takes 2 MB."""
_FILE_BYTES: Final = 1 << 28
_DEPTH: Final = 130
"""Levels of a document: 128 in Cosmos DB."""
_NUMBER_BITS: Final = 1024
"""Of a whole number; JSON's readers hold none that is larger."""
_SHOWN: Final = 200
_CLEAR: Final = (
    "Encrypt the document again. If its clear values may be left out, pass clear='leave_out' to Documents: they are "
    "not sent, and `findings` lists them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearLeaf:
    """A leaf in clear below an encrypted property: number of the document (from 0), path, and its kind, no value."""

    document: int
    path: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    """The leaves of a container's documents that a job takes, each as its steps."""

    sealed: Mapping[str, tuple[str, ...]]
    plain: Mapping[str, tuple[str, ...]]
    described: frozenset[tuple[str, ...]]
    """All leaves of columns.toml, those with the right `seal` alone included."""

    @property
    def schema(self) -> pa.Schema:
        sealed = [pa.field(name, pa.binary()) for name in self.sealed]
        return pa.schema([*sealed, *(pa.field(name, pa.string()) for name in self.plain)])

    @property
    def encrypted(self) -> frozenset[str]:
        """The properties at the top that the container's policy encrypts, as far as columns.toml describes them."""
        return frozenset(steps[0] for steps in self.described)


class Documents:
    """The documents of a container as a table, which is a source of records, and as documents with results."""

    def __init__(
        self,
        documents: Iterable[Document],
        columns: FileName | ColumnsFile,
        *,
        plain: Sequence[str] = (),
        clear: Literal["refuse", "leave_out"] = "refuse",
    ) -> None:
        """`columns` describes the encrypted leaves, `plain` are paths of leaves that are sent as they are.

        SpecError names document (from 0) and path of a leaf that cannot be used; with `clear` = "leave_out" leaves in
        clear below an encrypted property count as missing.
        """
        self._file = columns if isinstance(columns, ColumnsFile) else load_columns(columns)
        self._documents, self._paths = list(documents), _paths(self._file, plain)
        found = list[ClearLeaf]()
        batches = _batches(self._documents, self._paths, found if clear == "leave_out" else None)
        self.table = pa.Table.from_batches(batches, self._paths.schema)
        """One row for each document, one column for each path."""
        self.findings: tuple[ClearLeaf, ...] = tuple(found)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def put(
        self, batches: Iterable[pa.RecordBatch], *, key: str, path: str = _ID, output: str = "result"
    ) -> Iterator[dict[str, Any]]:
        """Copies of the documents for which `batches` of an output have a row, with its cells in base64.

        `[[results]]` of columns.toml have the path of each column of cells. The column `key` of the output has the
        value that a document has at `path`: text, or a cell. SpecError for a row without a document of its own.
        """
        rows = CellRows(batches, self._file, key=key, output=output)
        steps = [_steps(name) for name in rows.names]
        at = self._by_key(path)
        for row in rows:
            number = at.pop(row[0], None)
            if number is None:
                raise SpecError(
                    f"a row of {output} has a {key} that no document has at {path}, or that a row before it has",
                    remedy="Pass the documents that the job was made of, and a key that is unique in both.",
                )
            document = copy.deepcopy(dict(self._documents[number]))
            for where, cell in zip(steps, row[1:], strict=True):
                _set(document, where, None if cell is None else _text(cell, where), number)
            yield document

    def _by_key(self, path: str) -> dict[str | bytes, int]:
        steps, found = _steps(path), dict[str | bytes, int]()
        encrypted = steps[0] in self._paths.encrypted
        for number, document in enumerate(self._documents):
            known = _cell(_at(document, steps), steps) if encrypted else _plain_leaf(number, document, steps)
            if known is None or known in found:
                raise _refused(number, steps, "no key of its own", "Choose a path with a unique text in each document.")
            found[known] = number
        return found


def read_documents(path: Path, spec: InputSpec) -> Batches:
    """The documents in a file: JSON Lines (.jsonl), or a JSON array. `rename` of `spec` has the paths sent in clear."""
    if spec.columns is None:
        raise SpecError(
            f"{path.name} is JSON",
            remedy="Export the records as CSV, Excel (.xlsx), Parquet or Arrow. Documents of Cosmos DB need `columns`.",
        )
    file = load_columns(spec.columns)
    if file.format != "cosmos_db":
        raise SpecError(
            f"{path.name} is JSON, and {spec.columns.name} describes a table of SQL Server",
            remedy="Export the table as Parquet, Arrow or CSV.",
        )
    paths = _paths(file, tuple(spec.rename))
    documents = _lines(path) if path.suffix.lower() == ".jsonl" else iter(_array(path))
    return Batches(schema=paths.schema, batches=_batches(documents, paths, None), notes=(f"{path.name}: documents",))


def _lines(path: Path) -> Iterator[Document]:
    with path.open("rb") as file:
        for number in range(1 << 62):
            line = file.readline(_LINE_BYTES)
            if not line:
                return
            if line.strip():
                yield _object(_json(line, path, f"line {number + 1}", _LINE_BYTES - 1), path, f"line {number + 1}")


def _array(path: Path) -> list[Document]:
    with path.open("rb") as file:
        found = _json(file.read(_FILE_BYTES + 1), path, "the file", _FILE_BYTES)
    if not isinstance(found, list):
        raise SpecError(f"{path.name} is not an array of documents", remedy="Export an array, or JSON Lines (.jsonl).")
    return [_object(each, path, f"document {number}") for number, each in enumerate(found)]


def _json(data: bytes, path: Path, where: str, limit: int) -> Any:
    try:
        return parse(data.removeprefix(b"\xef\xbb\xbf"), limit=limit, depth=_DEPTH)
    except StrictError as error:
        raise SpecError(
            f"{path.name}: {where}: {error}", remedy="Export the documents again, one a line (.jsonl)."
        ) from None


def _object(value: Any, path: Path, where: str) -> Document:
    if not isinstance(value, dict):
        raise SpecError(f"{path.name}: {where} is not a document", remedy="Export documents, which are JSON objects.")
    return value


def _paths(file: ColumnsFile, plain: Sequence[str]) -> _Paths:
    if file.format != "cosmos_db":
        raise SpecError(
            f"{file.table} is a table of SQL Server, which has no documents",
            remedy='Name the columns.toml of the container, with format = "cosmos_db".',
        )
    described = {column.name: _steps(column.name) for column in file.columns}
    sealed = {column.name: described[column.name] for column in file.columns if "open" in column.rights}
    steps = frozenset(described.values())
    encrypted = {each[0] for each in steps}
    clear = {name: _steps(name) for name in plain}
    if both := sorted(name for name, each in clear.items() if each[0] in encrypted):
        raise ColumnError(
            f"{', '.join(both)} is below an encrypted property, and cannot be sent as it is",
            columns=both,
            remedy="Describe the leaf in columns.toml.",
        )
    return _Paths(sealed=sealed, plain=clear, described=steps)


def _steps(path: str) -> tuple[str, ...]:
    if not path.startswith("/") or path == "/":
        raise ColumnError(
            f"{_shown(path)} is not the path of a leaf",
            columns=(path,),
            remedy="Write it like /ssn or /home/street.",
        )
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/"))


def _batches(
    documents: Iterable[Document], paths: _Paths, left_out: list[ClearLeaf] | None
) -> Iterator[pa.RecordBatch]:
    numbered, schema = enumerate(documents), paths.schema
    while chunk := list(islice(numbered, _BATCH)):
        for number, document in chunk:
            _check_leaves(number, document, paths, left_out)
        sealed = [
            pa.array([_cell(_at(document, steps), steps) for _, document in chunk], pa.binary())
            for steps in paths.sealed.values()
        ]
        plain = [
            pa.array([_plain_leaf(number, document, steps) for number, document in chunk], pa.string())
            for steps in paths.plain.values()
        ]
        yield pa.RecordBatch.from_arrays([*sealed, *plain], schema=schema)


def _check_leaves(number: int, document: Document, paths: _Paths, left_out: list[ClearLeaf] | None) -> None:
    """Every leaf below an encrypted property is a cell, or a finding; no item of a described array is forgotten."""
    if not isinstance(document, Mapping):
        raise SpecError(f"document {number} is not a JSON object", remedy="Pass documents, which are dicts.")
    waiting = list[tuple[tuple[str, ...], Any, bool]]()
    waiting += [((name,), document[name], False) for name in paths.encrypted if name in document]
    while waiting:
        steps, value, in_array = waiting.pop()
        if isinstance(value, Mapping):
            _require_leaf(number, steps, paths, "an object")
            waiting += [((*steps, name), item, in_array) for name, item in value.items()]
        elif isinstance(value, list | tuple):
            _require_leaf(number, steps, paths, "an array")
            listed = in_array or any(each[: len(steps)] == steps for each in paths.described)
            waiting += [((*steps, str(at)), item, listed) for at, item in enumerate(value)]
        elif value is not None:
            if _cell(value, steps) is None:
                found = ClearLeaf(document=number, path=_shown(_pointer(steps)), kind=_kind(value))
                if left_out is None:
                    raise _refused(number, steps, f"{found.kind} that is not a cell: in clear, or damaged", _CLEAR)
                left_out.append(found)
            elif in_array and steps not in paths.described:
                remedy = "Describe each item in columns.toml as a column (/tags/0, /tags/1), or none of the array."
                raise _refused(number, steps, "an item of an array that columns.toml describes in part", remedy)


def _require_leaf(number: int, steps: tuple[str, ...], paths: _Paths, found: str) -> None:
    if steps in paths.described:
        remedy = "Describe its leaves in columns.toml, each by its own path, such as /address/street or /tags/0."
        raise _refused(number, steps, f"{found}, wanted a cell", remedy)


def _plain_leaf(number: int, document: Document, steps: tuple[str, ...]) -> str | None:
    value = _at(document, steps)
    if value is None or (isinstance(value, str) and _is_unicode(value)):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if (isinstance(value, int) and value.bit_length() <= _NUMBER_BITS) or (
        isinstance(value, float) and value.is_integer()
    ):
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        raise _refused(number, steps, "text that is not Unicode", "Leave the path out, or repair the document.")
    if isinstance(value, int):
        raise _refused(number, steps, "a number that is too large", "Leave the path out, or repair the document.")
    raise _refused(number, steps, f"{_kind(value)}, wanted one value", "Name the path of one of its leaves.")


def _is_unicode(text: str) -> bool:
    """Whether it has no half of a surrogate pair. An error of the codec would carry the text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _at(document: Any, steps: Sequence[str]) -> Any:
    """The value of a document there; None where it has none."""
    for step in steps:
        if isinstance(document, Mapping):
            document = document.get(step)
        elif isinstance(document, list | tuple):
            document = document[int(step)] if step.isdecimal() and int(step) < len(document) else None
        else:
            return None
    return document


def _set(document: dict[str, Any], steps: Sequence[str], value: str | None, number: int) -> None:
    here: Any = document
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        if isinstance(here, list) and step.isdecimal() and int(step) < len(here):
            key: Any = int(step)
        elif isinstance(here, dict):
            key = step
            here.setdefault(key, None if last else {})
        else:
            raise _refused(
                number, tuple(steps), "nothing that could have this leaf", "Choose another path for results."
            )
        if last:
            here[key] = value
        here = here[key]


def _cell(leaf: Any, steps: tuple[str, ...]) -> bytes | None:
    """The marker and the cell that a leaf has in base64; None for anything else."""
    if not isinstance(leaf, str):
        return None
    try:
        data = b64_decode(leaf.translate(_TO_BASE64) if _pointer(steps) == _ID else leaf)
    except StrictError:
        return None
    return data if is_cell(data, marker=True) else None


def _text(cell: bytes, steps: tuple[str, ...]) -> str:
    text = base64.b64encode(cell).decode()
    return text.translate(_TO_BASE64) if _pointer(steps) == _ID else text


def _pointer(steps: Iterable[str]) -> str:
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    names = {str: "text", int: "a number", float: "a number", dict: "an object", list: "an array"}
    return names.get(type(value), "a value")


def _refused(number: int, steps: tuple[str, ...], found: str, remedy: str) -> ColumnError:
    path = _shown(_pointer(steps))
    return ColumnError(f"document {number}, {path}: found {found}", columns=(path,), remedy=remedy)


def _shown(path: str) -> str:
    """A path in a message: names of properties are the database's, and may have any characters."""
    return "".join(c if " " <= c <= "~" else "?" for c in path[:_SHOWN])
