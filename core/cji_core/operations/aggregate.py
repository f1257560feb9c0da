"""`aggregate`, declared: tables of counts that give nobody away, and the FBI's Return A from NIBRS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta, field, structs
from msgspec.structs import replace

from cji_core.errors import Stage as Where
from cji_core.format.records import PERSONAL, DataClass, RecordSchema, columns
from cji_core.format.records.declared import BINARY, BOOL, INT64, UINT16, UINT64, UTF8, Fields
from cji_core.operations.declaration import Operation, OutputSpec, Project, Side, Signature
from cji_core.operations.deidentify.rules import Domain
from cji_core.operations.parameters import (
    Name,
    Parameters,
    ParametersError,
    Sealing,
    bad_parameters,
    decoded,
    known,
    with_key,
)
from cji_core.operations.stages.stage import RESULT_OUTPUT, Edge, Stage, Stages, Width
from cji_core.operations.status_codes import RowCode
from cji_core.suggest import listed
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Values without a place in a cell or on a line."""

    UNCLASSIFIABLE = 601, "The value is missing or not a category; the row is counted as unclassifiable."
    NO_PERSON = 602, "The row names no person; it is counted as a row only."
    NOT_A_NUMBER = 603, "The value is not a whole number of one to fifteen digits; it is in no sum."
    NOT_COUNTED = 611, "The report is deleted later, is there already, or changes one that is not here."
    FITS_NO_LINE = 612, "Something in the incident fits no line of its form, or its month is not known."
    UNREADABLE_SEGMENT = 613, "The level of the segment cannot be read; nothing in it is counted."
    REJECTED = 614, "The validation has rejected the report; it is not counted."


# ------------------------------------------------------------------ parameters

MAX_KEYS: Final = 4
MAX_SUMS: Final = 4

_THRESHOLD: Final = 11
_EXACT: Final = 1

_Month = Annotated[str, Meta(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])\Z")]
_Category = Annotated[str, Meta(min_length=1)]
_Categories = Annotated[tuple[_Category, ...], Meta(max_length=4096)]
_UpTo1000 = Annotated[int, Meta(ge=1, le=1000)]


class Dominance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cell is sensitive if its `top` largest persons make up more than `percent` of one of its sums."""

    top: Annotated[int, Meta(ge=1, le=5)] = 1
    percent: Annotated[int, Meta(ge=1, le=99)]


class Privacy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Differential privacy of persons, with epsilon in thousandths.

    A person counts in `rows_per_person` rows at most, the first ones. The noise is derived from the key of `project`:
    `project_key` names a file of `cji key project`; the key of the job is used where it is left out.
    `wrapped_project_key` is filled when the job is sealed.
    """

    epsilon_thousandths: Annotated[int, Meta(ge=1, le=20_000)]
    rows_per_person: _UpTo1000
    project: Domain
    project_key: Path | None = None
    wrapped_project_key: bytes = b""


class Aggregate(Parameters, frozen=True, kw_only=True, tag="aggregate"):
    """Cells of `keys`, or the lines of a `preset`.

    `keys` has columns to group by with their categories: every other value is unclassifiable; none: the values that
    occur. `person` is the column that identifies persons, "" for none; `sums` are columns of whole numbers. A cell of
    fewer than `threshold` persons (rows, where there is no `person`) is hidden, and others so that it cannot be worked
    out; 1 hides nothing. `dominance` hides cells too; rows are its persons, where there is no `person`. Numbers are
    rounded to multiples of `base`, halves up; 1 rounds nothing. `privacy` adds noise to rows instead and hides nothing:
    then every key has its categories, and cells are listed whether empty or not.

    A preset counts the `reports` that a validation has accepted, or all: there is no default. It makes the sheets of
    `months` (YYYY-MM), all without any. Its numbers are exact, unless a `threshold` is given.
    """

    preset: Literal["srs_return_a", "srs_leoka", "srs_shr"] | None = None
    keys: Annotated[dict[Name, _Categories], Meta(max_length=MAX_KEYS)] = field(default_factory=dict)
    person: str = ""
    sums: Annotated[tuple[Name, ...], Meta(max_length=MAX_SUMS)] = ()
    threshold: _UpTo1000 | None = None
    base: _UpTo1000 = 1
    dominance: Dominance | None = None
    privacy: Privacy | None = None
    reports: Literal["accepted", "all"] | None = None
    months: Annotated[tuple[_Month, ...], Meta(max_length=1200)] = ()

    def __post_init__(self) -> None:
        if self.threshold is None:
            structs.force_setattr(self, "threshold", _EXACT if self.preset or self.privacy else _THRESHOLD)
        if self.preset is not None:
            if (self.keys, self.person, self.sums, self.base, self.dominance, self.privacy) != (
                {},
                "",
                (),
                1,
                None,
                None,
            ):
                raise ValueError("preset: takes reports, months and threshold only")
            if self.preset != "srs_return_a" and self.hides_below > _EXACT:
                raise ValueError(f"threshold: {self.preset} hides nothing; it is for the agency and the FBI")
            if self.reports is None:
                raise ValueError('reports: "accepted", with the side table incidents of a validation, or "all"')
            if len(set(self.months)) != len(self.months):
                raise ValueError("months: one twice")
            return
        if self.reports is not None or self.months:
            raise ValueError("reports, months: with a preset only")
        if self.dominance is not None and not self.sums:
            raise ValueError("dominance: of sums, and there are none")
        self._check_privacy()
        if not self.keys:
            raise ValueError("keys: at least one column, or a preset")
        if len(set(self.sums)) != len(self.sums):
            raise ValueError("sums: a column twice")
        for column, categories in self.keys.items():
            if len(set(categories)) != len(categories):
                raise ValueError(f"keys: a category of {column} twice")

    def _check_privacy(self) -> None:
        if self.privacy is None:
            return
        if (self.sums, self.base, self.dominance, self.threshold) != ((), 1, None, _EXACT):
            raise ValueError("privacy: takes keys and person only")
        if not self.person or not all(self.keys.values()):
            raise ValueError("privacy: needs person, and the categories of every key")

    @property
    def hides_below(self) -> int:
        """The threshold, given or not."""
        return known(self.threshold)

    @property
    def withholds(self) -> bool:
        """Whether numbers are withheld, so that they must not be found elsewhere in the outputs."""
        return self.hides_below > 1 or self.dominance is not None or self.privacy is not None

    @property
    def columns(self) -> frozenset[str]:
        """All columns that are read."""
        return frozenset((*self.keys, *self.sums, *((self.person,) if self.person else ())))


_REPORTS: Final = {pb.Aggregate.REPORTS_UNSPECIFIED: None, pb.Aggregate.ACCEPTED: "accepted", pb.Aggregate.ALL: "all"}


def decode(message: pb.Aggregate) -> Aggregate:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    keys = {key.column: tuple(key.categories) for key in message.keys}
    if len(keys) != len(message.keys):
        raise bad_parameters(Where.ADMIT)
    privacy = message.privacy
    parameters = decoded(
        Aggregate,
        {
            "preset": message.preset or None,
            "keys": keys,
            "person": message.person,
            "sums": tuple(message.sums),
            "threshold": message.threshold,
            "base": message.base,
            "dominance": {"top": message.dominance.top, "percent": message.dominance.percent}
            if message.HasField("dominance")
            else None,
            "privacy": {
                "epsilon_thousandths": privacy.epsilon_thousandths,
                "rows_per_person": privacy.rows_per_person,
                "project": privacy.project,
                "wrapped_project_key": privacy.wrapped_project_key,
            }
            if message.HasField("privacy")
            else None,
            "reports": _REPORTS.get(message.reports, "unknown"),
            "months": tuple(message.months),
        },
    )
    if parameters.privacy is not None and not parameters.privacy.wrapped_project_key:
        raise bad_parameters(Where.ADMIT)
    return parameters


def encode(parameters: Aggregate) -> pb.Aggregate:
    """The parameters as they stand in a header."""
    dominance, reports, privacy = parameters.dominance, parameters.reports, parameters.privacy
    return pb.Aggregate(
        preset=parameters.preset,
        keys=[pb.GroupKey(column=column, categories=values) for column, values in parameters.keys.items()],
        person=parameters.person,
        sums=parameters.sums,
        threshold=parameters.hides_below,
        base=parameters.base,
        dominance=None if dominance is None else pb.Dominance(top=dominance.top, percent=dominance.percent),
        privacy=None
        if privacy is None
        else pb.Privacy(
            epsilon_thousandths=privacy.epsilon_thousandths,
            rows_per_person=privacy.rows_per_person,
            project=privacy.project,
            wrapped_project_key=privacy.wrapped_project_key,
        ),
        reports=next((number for number, name in _REPORTS.items() if name == reports), None),
        months=parameters.months,
    )


def complete(parameters: Aggregate, sealing: Sealing) -> Aggregate:
    """With the key of the project wrapped, where noise is derived from it."""
    privacy = parameters.privacy
    return parameters if privacy is None else replace(parameters, privacy=with_key(privacy, sealing))


# ------------------------------------------------------------------ outputs

_CASE: Final = DataClass.CASE

CELLS: Final = RecordSchema.output(
    "aggregate_cells/1",
    columns(_CASE, "grouping", UINT16),
    columns(_CASE, " ".join(f"key_{i + 1}" for i in range(MAX_KEYS)), BINARY),
    columns(_CASE, "unclassifiable", UINT16),
    columns(_CASE, "hidden", BOOL),
    columns(_CASE, "rows persons", UINT64),
    columns(_CASE, " ".join(f"sum_{i + 1}" for i in range(MAX_SUMS)), UINT64),
)
"""One row a cell that is not empty; see `cell_table`."""

RETURN_A: Final = RecordSchema.output(
    "return_a/1",
    columns(_CASE, "form ori month line title", BINARY),
    columns(_CASE, "hidden", BOOL),
    columns(_CASE, "actual cleared cleared_under_18", UINT64),
)
"""One row a line of a form; see `return_a`."""

SHR: Final = RecordSchema.output(
    "shr/1",
    columns(_CASE, "ori month", BINARY),
    columns(_CASE, "incident", UINT64),
    columns(_CASE, "offense situation", BINARY),
    columns(_CASE, "victim", UINT64),
    columns(DataClass.BIOGRAPHIC, "victim_age victim_sex victim_race victim_ethnicity", BINARY),
    columns(_CASE, "offender", UINT64),
    columns(DataClass.BIOGRAPHIC, "offender_age offender_sex offender_race offender_ethnicity", BINARY),
    columns(_CASE, "weapon relationship circumstance", BINARY),
)
"""One row a victim and an offender; see `shr`."""

ACCOUNTING: Final = OutputSpec(
    name="accounting",
    schema=RecordSchema.output(
        "return_a_accounting/1", columns(_CASE, "outcome", UTF8), columns(_CASE, "reports", UINT64)
    ),
)
"""Reports by what became of them, of the forms only."""


# ------------------------------------------------------------------ stages


VALUES: Final = Edge(name="values", fields=Fields.of([("key", INT64), ("value", BINARY)]))
COUNTED: Final = Edge(name="counted", fields=Fields.of([("cell", INT64), ("persons", INT64)]))
LEADERS: Final = Edge(name="leaders", fields=Fields.of([("sum", INT64), ("cell", INT64), ("amount", INT64)]))


def sum_name(i: int) -> str:
    """The name of a column of sums."""
    return f"sum_{i + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEdges:
    """The streams that depend on the parameters, and those between stages that look at all rows of a person."""

    cells: Edge
    persons: Edge
    by_person: tuple[Edge, ...]

    @classmethod
    def of(cls, parameters: Aggregate) -> Self:
        """Those of these parameters."""
        keys = [(f"key_{i + 1}", BINARY) for i in range(len(parameters.keys))]
        sums = [(sum_name(i), INT64) for i in range(len(parameters.sums))]
        of_person = [*keys, ("person", BINARY), *(sums if parameters.dominance is not None else ())]
        counted = (COUNTED,) if parameters.person else ()
        leading = () if parameters.dominance is None else (LEADERS,)
        return cls(
            cells=Edge(name="cells", fields=Fields.of([*keys, ("rows", INT64), *sums])),
            persons=Edge(name="persons", fields=Fields.of(of_person), each=True),
            by_person=(*counted, *leading),
        )


def _stages(parameters: Aggregate) -> Stages | None:
    """Cells by shard: `cell_parts` describes the stages. A submission is read as a whole, and so is a private table."""
    if parameters.preset is not None or parameters.privacy is not None:
        return None
    edges = CellEdges.of(parameters)
    of_cells, of_persons, by_person = edges.cells, edges.persons, edges.by_person
    group = Stage(
        name="group",
        width=Width.SHARDS,
        records=True,
        writes=(of_cells, of_persons) if by_person else (of_cells,),
    )
    values = Stage(name="values", width=Width.ONE, reads=(of_cells.name,), writes=(VALUES,))
    count = Stage(name="count", width=Width.SHARDS, reads=(VALUES.name, of_persons.name), writes=by_person)
    merge = Stage(
        name="merge",
        width=Width.ONE,
        reads=(of_cells.name, *(edge.name for edge in by_person)),
        outputs=(RESULT_OUTPUT,),
    )
    return Stages(in_order=(group, values, count, merge) if by_person else (group, merge))


# ------------------------------------------------------------------ the operation


SIDE: Final = "incidents"
"""Verdicts of a validation."""
_NIBRS: Final = frozenset(("nibrs.flat/3.1",))


def made_by(parameters: Aggregate) -> RecordSchema:
    """The schema of the result."""
    return CELLS if parameters.preset is None else SHR if parameters.preset == "srs_shr" else RETURN_A


def _signature(parameters: Aggregate) -> Signature:
    if parameters.preset is None:
        privacy = parameters.privacy
        project = None if privacy is None else Project(privacy.project, privacy.wrapped_project_key)
        return Signature(accepts=PERSONAL, result=made_by(parameters).schema_id, project=project)
    sides = (Side(name=SIDE, schema="nibrs_verdicts/1", required=True),) if parameters.reports == "accepted" else ()
    return Signature(accepts=_NIBRS, result=made_by(parameters).schema_id, parts=(ACCOUNTING,), sides=sides)


def _check_columns(parameters: Aggregate, columns: frozenset[str]) -> frozenset[str]:
    missing = parameters.columns - columns
    if missing:
        raise ParametersError(f"no column {listed(missing, columns)}")
    return columns


AGGREGATE: Final = Operation(
    parameters=Aggregate,
    decode=decode,
    encode=encode,
    complete=complete,
    columns=_check_columns,
    signature=_signature,
    stages=_stages,
    terminal=True,
    schemas=(CELLS, RETURN_A, SHR, ACCOUNTING.schema),
    steps=("count", "group"),
    codes=Code,
)
