"""Before anything is sent: the records of a job are read and checked against its spec and its operations."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from cji_client.errors import MissingRule, SpecError
from cji_client.files import read_file
from cji_client.progress import Watch, unwatched
from cji_client.seal import INPUT_NAME, SealedJob, seal, size_class
from cji_client.signers import Signer
from cji_client.sources import FittedSource, Source, fit
from cji_client.spec import InputSpec, JobSpec
from cji_core.format.keys import PinnedKey, ProjectKey
from cji_core.format.paths import FileName
from cji_core.jose import SigningKey
from cji_core.operations.parameters import ParametersError
from cji_core.operations.registry import operation_of
from cji_core.suggest import listed

Records: TypeAlias = "Source | FileName"
"""A data frame, a table, batches, or the name of a file."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A job that can be sealed: `inputs` fit the spec, and were read to their end unless that is possible only once."""

    spec: JobSpec
    inputs: dict[str, FittedSource]

    @property
    def notes(self) -> tuple[str, ...]:
        """For the submitter: how the inputs were read."""
        return tuple(note for source in self.inputs.values() for note in source.notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """For the submitter: what most probably is not meant."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[str]:
        for name, source in self.inputs.items():
            if source.rows == 0:
                yield f"{name}: the input has 0 rows"
            if source.empty:
                yield f"{name}: no row has a value in {', '.join(source.empty)}"

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The names of each input's columns."""
        return {name: tuple(source.schema.names) for name, source in self.inputs.items()}

    @property
    def rows(self) -> int:
        """Of all inputs, as far as they were read."""
        return sum(source.rows or 0 for source in self.inputs.values())

    @property
    def bytes(self) -> int:
        """The length of the records in Arrow, as far as they were read."""
        return sum(source.bytes for source in self.inputs.values())

    def seal(
        self, kek: PinnedKey, signing_key: SigningKey | Signer, *, project_key: ProjectKey | None = None
    ) -> SealedJob:
        """Seal it to this key."""
        return seal(
            self.spec,
            kek=kek,
            signing_key=signing_key,
            project_key=project_key,
            rows=self.inputs[INPUT_NAME].rows,
            encrypted={name: source.sealed for name, source in self.inputs.items()},
        )


def prepare(
    records: Records,
    spec: JobSpec,
    *,
    sides: Mapping[str, Records] | None = None,
    watch: Watch = unwatched,
) -> Prepared:
    """Read the records, and the side tables of the spec. `sides` replaces the files of side tables by name.

    SpecError for anything that a worker would refuse: a file, a column, a row, a rule that is missing. `watch` may
    raise to end the reading.
    """
    given = sides or {}
    if unknown := set(given) - set(spec.sides):
        raise SpecError(f"the spec has no side table {listed(unknown, spec.sides)}", remedy=_known(spec))
    if absent := [name for name, side in spec.sides.items() if side.file is None and name not in given]:
        raise SpecError(
            f"the side table {', '.join(absent)} has no records", remedy="Name its file in the spec, or pass `sides`."
        )
    size_class(spec)
    source = _fitted(records, spec.input, watch)
    _check_columns(source.schema, spec)
    files = {name: side.file for name, side in spec.sides.items() if side.file is not None}
    tables = {**files, **given}
    inputs = {name: _fitted(tables[name], side, watch) for name, side in spec.sides.items()}
    return Prepared(spec=spec, inputs=inputs | {INPUT_NAME: source})


def _known(spec: JobSpec) -> str:
    named = ", ".join(spec.sides)
    return f"Use {named}, as in the spec." if named else "Add [sides.NAME] with its schema to the spec."


def _fitted(records: Records, spec: InputSpec, watch: Watch) -> FittedSource:
    source = read_file(Path(records), spec) if isinstance(records, str | os.PathLike) else records
    return fit(source, spec, watch=watch)


def _check_columns(schema: pa.Schema, spec: JobSpec) -> None:
    """Report columns that do not fit by name; the worker would refuse the job without names."""
    columns = frozenset(schema.names)
    for parameters in spec.operations:
        operation = operation_of(parameters)
        try:
            operation.check_records(parameters, spec.input.schema, columns)
            columns = operation.columns(parameters, columns)
        except ParametersError as error:
            message = f"{operation.name}: {error}"
            if error.without_rule:
                raise MissingRule(message, columns=sorted(error.without_rule), remedy=error.remedy) from None
            raise SpecError(message, remedy=error.remedy) from None
