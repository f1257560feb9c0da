"""The encrypted columns of a job, as its header states them: keys, the columns of each input, outputs to be sealed.

The keys come from the file that `cji columns rewrap` wrote beside columns.toml: sealed to the worker, and signed by the
agency. Nothing here opens them. A header that does not keep to these keys is refused here as the worker would refuse
it, with the rule in words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final

from cji_client.columns.file import ColumnsFile, load_columns
from cji_client.columns.keys_file import load_keys
from cji_client.errors import SpecError
from cji_core.format.columns import ColumnKeys, ColumnRight
from cji_core.format.job import LIMITS, Header, SealedOutput
from cji_core.format.job.policy import ColumnKeysError, require_column_use
from cji_core.operations.registry import Plan
from cji_core.strict import b64url

_REWRAP: Final = (
    "Have the agency run `cji columns rewrap` with the rights that this job needs, for its worker, submitter, purpose "
    "and dates."
)


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

    def check(self, header: Header, plan: Plan, now: datetime) -> None:
        """SpecError if the job's header does not keep to the statements on its keys; the worker has the same rules."""
        try:
            require_column_use(header, reference=plan.reference, now=now)
        except ColumnKeysError as error:
            tables = ", ".join(keys.statement.table for keys in self.keys)
            remedy = f"{_REWRAP} Its submitter is {b64url(header.submitter)}."
            if plan.reference is not None and plan.reference.seconds and plan.reference.side in self.inputs:
                remedy = "Remove retain_seconds from the operation."
            raise SpecError(f"the column keys of {tables} do not serve this job: {error}", remedy=remedy) from None
        made = {each.name: each.schema for each in plan.outputs}
        for result in self.outputs:
            what = "[[results]] in columns.toml: the job has no"
            if result.output not in made:
                raise SpecError(f"{what} output {result.output}", remedy=f"It has {', '.join(made)}.")
            schema = made[result.output]
            if result.column not in schema.columns:
                remedy = f"See `cji schema show {schema.schema_id}`, and correct `output` or `column` there."
                raise SpecError(f"{what} column {result.column} in its output {result.output}", remedy=remedy)


def job_columns(files: Mapping[str, Path], sealed: Mapping[str, Sequence[str]]) -> JobColumns:
    """The columns of a job whose inputs name these `files`; `sealed` are the columns of cells that each input has.

    SpecError if a file cannot be read, or does not have the rights that its columns.toml states.
    """
    tables = {path: _table(path) for path in dict.fromkeys(files.values())}
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


def _table(path: Path) -> _Table:
    file = load_columns(path)
    table = _Table(file=file, keys=load_keys(file.keys_file))
    statement = table.keys.statement
    if (statement.table, statement.format.name.lower()) != (file.table, file.format):
        raise SpecError(f"{file.keys_file} has the keys of {statement.table}, not of {file.table}", remedy=_REWRAP)
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
