"""`redact`, declared: free text without names, dates, numbers and addresses of persons."""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from cji_core.errors import Stage
from cji_core.format.records import PERSONAL, DataClass, RecordSchema, columns
from cji_core.format.records.declared import UINT64, UTF8
from cji_core.operations.declaration import Operation, OutputSpec, Project, Side, Signature
from cji_core.operations.parameters import (
    PROJECT_NAME,
    Name,
    Parameters,
    ParametersError,
    Sealing,
    bad_parameters,
    decoded,
    known,
    with_key,
)
from cji_core.operations.stages.by_shard import ByShard
from cji_core.operations.status_codes import RowCode
from cji_core.suggest import listed
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Reasons for a text that is withheld, and so null."""

    NOT_UTF8 = 901, "The text is not UTF-8; it is withheld."
    CONTROL_CHARACTER = 902, "The text has control, private or unassigned characters; it is withheld."
    OTHER_SCRIPT = 903, "The text has letters that are not Latin, in which nothing would be found; it is withheld."
    TOO_LONG = 904, "The text is longer than 1 MiB; it is withheld."


MAX_TEXT_BYTES: Final = 1 << 20

# ------------------------------------------------------------------ parameters

TextClass = Literal["name", "date", "number", "phone", "address", "plate", "email"]
CLASSES: Final[tuple[TextClass, ...]] = ("name", "date", "number", "phone", "address", "plate", "email")
Marks = Literal["class", "row", "project"]


class Redaction(Parameters, frozen=True, kw_only=True, tag="redact"):
    """Values of `classes` that are found in the text of `columns` are replaced.

    `marks`: by its class ("[NAME]"); by class and a number that equal values of one text share ("[NAME-1]"); by class
    and a token that equal values share inside a `project`. `project_key` names a file of `cji key project`; the key of
    the job is used where it is left out. `wrapped_project_key` is filled when the job is sealed.
    """

    columns: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=32)]
    classes: Annotated[tuple[TextClass, ...], Meta(min_length=1)] = CLASSES
    marks: Marks = "class"
    project: Annotated[str, Meta(pattern=rf"^{PROJECT_NAME.pattern}\Z")] | None = None
    project_key: Path | None = None
    wrapped_project_key: bytes = b""

    def __post_init__(self) -> None:
        if len(set(self.columns)) != len(self.columns) or len(set(self.classes)) != len(self.classes):
            raise ValueError("columns, classes: one twice")
        if (self.marks == "project") != (self.project is not None):
            raise ValueError('project: with marks = "project", and only then')


def decode(message: pb.Redaction) -> Redaction:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    parameters = decoded(
        Redaction,
        {
            "columns": tuple(message.columns),
            "classes": tuple(message.classes),
            "marks": message.marks,
            "project": message.project or None,
            "wrapped_project_key": message.wrapped_project_key,
        },
    )
    if bool(parameters.wrapped_project_key) != (parameters.project is not None):
        raise bad_parameters(Stage.ADMIT)
    return parameters


def encode(parameters: Redaction) -> pb.Redaction:
    """The parameters as they stand in a header."""
    return pb.Redaction(
        columns=parameters.columns,
        classes=parameters.classes,
        marks=parameters.marks,
        project=parameters.project,
        wrapped_project_key=parameters.wrapped_project_key,
    )


def complete(parameters: Redaction, sealing: Sealing) -> Redaction:
    """With the project key wrapped, where marks are tokens."""
    return with_key(parameters, sealing)


def check_columns(parameters: Redaction, columns: frozenset[str]) -> frozenset[str]:
    """The columns of the records, all of them. Raises: ParametersError where one to redact is not there."""
    missing = sorted(set(parameters.columns) - columns)
    if missing:
        raise ParametersError(
            f"no column {listed(missing, columns)}", remedy="Name columns of the records in `columns`, after renaming."
        )
    return columns


# ------------------------------------------------------------------ outputs

SPANS: Final = OutputSpec(
    name="spans",
    schema=RecordSchema.output(
        "redacted_spans/1",
        columns(DataClass.CASE, "row", UINT64),
        columns(DataClass.NONE, "column class rule", UTF8),
        columns(DataClass.CASE, "start end", UINT64),
    ),
)
"""The finds that were replaced: bytes `start` to before `end` of the input's value, and never the value itself."""

# ------------------------------------------------------------------ the operation

PERSONS: Final = "persons"
WORDS: Final = "words"

BY_SHARD: Final = ByShard(parts=(SPANS,), numbered=(SPANS.name,), sides=(PERSONS, WORDS))
"""Every shard by itself, with both side tables."""


def _signature(parameters: Redaction) -> Signature:
    project = None if parameters.project is None else Project(known(parameters.project), parameters.wrapped_project_key)
    return Signature(
        accepts=PERSONAL | {"narrative/1"},
        parts=(SPANS,),
        sides=(Side(name=PERSONS, schema="person/1"), Side(name=WORDS, schema="words/1")),
        project=project,
    )


REDACT: Final = Operation(
    parameters=Redaction,
    decode=decode,
    encode=encode,
    complete=complete,
    columns=check_columns,
    rewrites=lambda parameters: parameters.columns,
    signature=_signature,
    stages=lambda _: BY_SHARD.stages,
    schemas=(SPANS.schema,),
    codes=Code,
    row_bytes=lambda _: 64 << 10,
)
