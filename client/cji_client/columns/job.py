"""The encrypted columns of a job, as its header states them: keys, the columns of each input, outputs to be sealed.

The keys come from the file that `cji columns rewrap` wrote beside columns.toml: sealed to the worker, and signed by the
agency. Nothing here opens them. Whatever a worker's policy would refuse about them and the job itself shows is refused
here first, with the reason in words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_client.columns.file import ColumnsFile, load_columns
from cji_client.errors import SpecError
from cji_client.spec import JobSpec, read_file_bytes
from cji_core.documents import decode
from cji_core.errors import Refusal
from cji_core.format.columns import ColumnKeys, ColumnRight, parse_column_keys
from cji_core.format.job import LIMITS, SealedOutput
from cji_core.strict import StrictError, b64url_decode

_KEYS_BYTES: Final = 64 << 10
_REWRAP: Final = "Have the agency run `cji columns rewrap` for this job's worker, submitter, purpose and dates."


class _KeysFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    statement: Annotated[str, Meta(min_length=1)]
    wrapped_key: Annotated[str, Meta(min_length=1)]
    sealed_keys: Annotated[str, Meta(min_length=1)]
    signature: Annotated[str, Meta(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One columns.toml with the keys of its table."""

    file: ColumnsFile
    keys: ColumnKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class JobColumns:
    """`keys` of the header, `outputs` to be sealed, and by name of an input (its sealed columns, position of keys)."""

    keys: tuple[ColumnKeys, ...] = ()
    outputs: tuple[SealedOutput, ...] = ()
    inputs: Mapping[str, tuple[tuple[str, ...], int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The side of a job that a statement on column keys is compared with; `submitter` is its signer's thumbprint."""

    spec: JobSpec
    submitter: bytes
    not_after: datetime


def job_columns(files: Mapping[str, Path], sealed: Mapping[str, Sequence[str]], use: Use) -> JobColumns:
    """The columns of a job whose inputs name these `files`; `sealed` are the columns of cells that each input has.

    SpecError if a file cannot be read, or does not serve this job.
    """
    tables = {path: _table(path, use) for path in dict.fromkeys(files.values())}
    keys = {table.keys.statement.sha384: table.keys for table in tables.values()}
    if len(keys) > LIMITS.column_statements:
        raise SpecError(
            f"the inputs have encrypted columns of {len(keys)} tables; a job has at most {LIMITS.column_statements}",
            remedy="Make two jobs.",
        )
    positions = {digest: position for position, digest in enumerate(keys)}
    inputs = dict[str, tuple[tuple[str, ...], int]]()
    for name, path in files.items():
        table = tables[path]
        for column in sealed[name]:
            _require_right(table, column, ColumnRight.OPEN)
        inputs[name] = tuple(sorted(sealed[name])), positions[table.keys.statement.sha384]
    outputs = dict.fromkeys(chain.from_iterable(_outputs(table, positions) for table in tables.values()))
    return JobColumns(keys=tuple(keys.values()), outputs=tuple(outputs), inputs=inputs)


def read_keys(path: Path) -> ColumnKeys:
    """The keys in the file that `cji columns rewrap` writes; SpecError if there are none."""
    try:
        found = decode(read_file_bytes(path), _KeysFile, limit=_KEYS_BYTES)
        return parse_column_keys(
            statement=b64url_decode(found.statement),
            wrapped_key=b64url_decode(found.wrapped_key),
            sealed_keys=b64url_decode(found.sealed_keys),
            signature=b64url_decode(found.signature),
        )
    except (StrictError, Refusal):
        raise SpecError(f"{path.name} has no column keys that can be read", remedy=_REWRAP) from None


def _table(path: Path, use: Use) -> _Table:
    file = load_columns(path)
    table = _Table(file=file, keys=read_keys(Path(file.keys_file)))
    statement, spec = table.keys.statement, use.spec
    if (statement.table, statement.format.name.lower()) != (file.table, file.format):
        raise SpecError(f"{file.keys_file} has the keys of {statement.table}, not of {file.table}", remedy=_REWRAP)
    for what, holds in (
        (f"records of {spec.originating_ori}", statement.originating_ori == spec.originating_ori),
        (f"the purpose {spec.purpose_code}", spec.purpose_code in statement.purpose_codes),
        ("this signing key", use.submitter in statement.submitters),
        (f"the worker's key {spec.kek_id}", statement.kek_id == spec.kek_id),
        (f"a job of the suite {spec.suite.value}", statement.suite == spec.suite),
    ):
        if not holds:
            raise SpecError(f"the column keys of {file.table} are not for {what}", remedy=_REWRAP)
    if use.not_after > statement.not_after:
        until = statement.not_after.isoformat()
        raise SpecError(
            f"the column keys of {file.table} end at {until}, before the job does",
            remedy=f"Lower valid_hours. {_REWRAP}",
        )
    return table


def _require_right(table: _Table, record: str, right: ColumnRight) -> None:
    """The statement, not columns.toml, has the rights; both are of one agency, and one may be older."""
    stated = table.keys.statement.column(record)
    if stated is None or right not in stated.rights:
        raise SpecError(
            f"the column keys of {table.file.table} do not allow to {right.name.lower()} {record}",
            remedy=f'Add "{right.name.lower()}" to its rights in columns.toml. {_REWRAP}',
        )


def _outputs(table: _Table, positions: Mapping[bytes, int]) -> Iterator[SealedOutput]:
    for result in table.file.results:
        _require_right(table, result.as_, ColumnRight.SEAL)
        yield SealedOutput(
            output=result.output,
            column=result.column,
            column_keys=positions[table.keys.statement.sha384],
            as_column=result.as_,
        )
