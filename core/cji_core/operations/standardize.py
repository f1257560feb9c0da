"""`standardize`, declared: names, addresses, states, ZIP codes, dates and codes of offenses in one form."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from cji_core.errors import Stage
from cji_core.format.records import PERSONAL, DataClass, RecordSchema, columns
from cji_core.format.records.declared import UINT64, UTF8
from cji_core.operations.declaration import Operation, OutputSpec, Side, Signature
from cji_core.operations.parameters import Name, Parameters, ParametersError, bad_parameters, decoded
from cji_core.operations.stages.by_shard import ByShard
from cji_core.operations.status_codes import RowCode
from cji_core.suggest import listed
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Values that stay as they are, because they cannot be read."""

    NOT_A_NAME = 911, "The value is not LAST, FIRST MIDDLE SUFFIX; it stays as it is."
    NOT_AN_ADDRESS = 912, "The value has no number with a street, no suffix of a street and no box; it stays as it is."
    NOT_A_STATE = 913, "The value is not a state or its code; it stays as it is."
    NOT_A_ZIP_CODE = 914, "The value is not five or nine digits; it stays as it is."
    NOT_READ_AS_DATE = 915, "The value is not a date in a form that is read; it stays as it is."
    UNKNOWN_OFFENSE = 916, "No table has the code of the offense; it stays as it is."


# ------------------------------------------------------------------ parameters

Form = Literal["name", "address", "state", "zip", "date", "offense"]
PARTS: Final = ("last", "first", "middle", "suffix")
"""Columns that the form `name` fills from `NAM`."""
NAM: Final = "NAM"


class Standardize(Parameters, frozen=True, kw_only=True, tag="standardize"):
    """The form of each of some columns. `name` is the form of `NAM` alone."""

    columns: Annotated[dict[Name, Form], Meta(min_length=1, max_length=64)]

    def __post_init__(self) -> None:
        for column, form in self.columns.items():
            if (form == "name") != (column == NAM):
                raise ValueError("columns: NAM, and no other column, has the form name")
        if self.columns.keys() & set(PARTS):
            raise ValueError("columns: last, first, middle and suffix are filled from NAM")


def decode(message: pb.Standardize) -> Standardize:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    forms = {each.column: each.form for each in message.columns}
    if len(forms) != len(message.columns):
        raise bad_parameters(Stage.ADMIT)
    return decoded(Standardize, {"columns": forms})


def encode(parameters: Standardize) -> pb.Standardize:
    """The parameters as they stand in a header; columns keep their order."""
    return pb.Standardize(
        columns=[pb.StandardColumn(column=column, form=form) for column, form in parameters.columns.items()]
    )


def check_columns(parameters: Standardize, columns: frozenset[str]) -> frozenset[str]:
    """The columns of the result. Raises: ParametersError where one to standardize is not there."""
    missing = sorted(parameters.columns.keys() - columns)
    if missing:
        raise ParametersError(
            f"no column {listed(missing, columns)}", remedy="Name columns of the records in `columns`, after renaming."
        )
    return columns | (frozenset(PARTS) if NAM in parameters.columns else frozenset())


# ------------------------------------------------------------------ outputs

CHANGES: Final = OutputSpec(
    name="changes",
    schema=RecordSchema.output(
        "changes/1",
        columns(DataClass.CASE, "row", UINT64),
        columns(DataClass.NONE, "column form", UTF8),
    ),
)
"""The values that have another form in the result: one row for each, by row and column."""

# ------------------------------------------------------------------ the operation

OFFENSE_CODES: Final = "offense_codes"
BY_SHARD: Final = ByShard(parts=(CHANGES,), numbered=(CHANGES.name,), sides=(OFFENSE_CODES,))
"""Every shard by itself, with the agency's table."""


def _signature(parameters: Standardize) -> Signature:
    named = NAM in parameters.columns
    offenses = "offense" in parameters.columns.values()
    return Signature(
        accepts=frozenset(("person/1", "hotfile/1")) if named else PERSONAL,
        parts=(CHANGES,),
        sides=(Side(name=OFFENSE_CODES, schema="offense_codes/1"),) if offenses else (),
    )


STANDARDIZE: Final = Operation(
    parameters=Standardize,
    decode=decode,
    encode=encode,
    columns=check_columns,
    rewrites=lambda parameters: (*parameters.columns, *(PARTS if NAM in parameters.columns else ())),
    signature=_signature,
    stages=lambda _: BY_SHARD.stages,
    schemas=(CHANGES.schema,),
    codes=Code,
)
