"""Parameters of `deidentify`: one typed transform for each column.

In job.toml a column is written `NAME = "keep"`, `"drop"` or `"null"`, or `NAME = { do = "...", ... }` for a transform
with parameters. Every input column is named exactly once.
"""

import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from worker.compute.parameters import PROJECT_NAME, Parameters, ParametersError, Sealing, bad_parameters, decoded
from worker.errors import Stage
from worker.wire.v1 import worker_pb2 as pb

_MAX_KEPT_BYTES: Final = 32  # of a mask: with more it would hide nothing

_Column = Annotated[str, Meta(min_length=1, max_length=256)]
_Domain = Annotated[str, Meta(pattern=rf"^{PROJECT_NAME.pattern}\Z")]
_Bytes = Annotated[int, Meta(ge=0, le=_MAX_KEPT_BYTES)]
_Age = Annotated[int, Meta(ge=1, le=120)]  # Safe Harbor requires 90 at most: 45 CFR 164.514(b)(2)(i)(C)


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    pass


class Mask(_Rule, frozen=True, kw_only=True, tag="mask"):
    """Replace every byte but the first `keep_first` and the last `keep_last` ones by the ASCII character `with`."""

    keep_first: _Bytes = 0
    keep_last: _Bytes = 0
    with_: Annotated[str, Meta(pattern=r"^[!-~]\Z")] = msgspec.field(default="*", name="with")

    def __post_init__(self) -> None:
        if self.keep_first + self.keep_last > _MAX_KEPT_BYTES:
            raise ValueError(f"keep_first and keep_last: {_MAX_KEPT_BYTES} bytes at most together")


class HmacToken(_Rule, frozen=True, kw_only=True, tag="hmac_token"):
    """A keyed token; columns of one `domain` join with each other inside a project. `bits` of 80, 128 or 160."""

    domain: _Domain
    bits: Literal[80, 128, 160] = 128  # 2^40, 2^64, 2^80 distinct values before two are expected to share a token


class AesToken(_Rule, frozen=True, kw_only=True, tag="aes_token"):
    """A keyed token of a value of at most 15 bytes, which the project key turns back."""

    domain: _Domain


class Ff1(_Rule, frozen=True, kw_only=True, tag="ff1"):
    """Format-preserving encryption: another value of the same length, of digits or of digits and capitals."""

    domain: _Domain
    radix: Literal[10, 36] = 10


class DateTo(_Rule, frozen=True, kw_only=True, tag="date_to"):
    """Keep a date's year, or its year and month."""

    unit: Literal["year", "month"]


class ZipPrefix(_Rule, frozen=True, kw_only=True, tag="zip_prefix"):
    """Keep the first digits of a ZIP code; 3 is the HIPAA Safe Harbor geography."""

    digits: Annotated[int, Meta(ge=1, le=3)] = 3


class AgeBand(_Rule, frozen=True, kw_only=True, tag="age_band"):
    """A date of birth becomes a band of `width` years counted on `as_of`; ages of at least `top` are one band."""

    width: Annotated[int, Meta(ge=1, le=50)]
    top: _Age
    as_of: datetime.date

    def __post_init__(self) -> None:
        if self.width > self.top:
            raise ValueError("width: no more than top")


class DateShift(_Rule, frozen=True, kw_only=True, tag="date_shift"):
    """Move all dates of one subject by the same secret number of days within ±`max_days`."""

    subject_column: _Column
    max_days: Annotated[int, Meta(ge=1, le=3650)]


_Generalise = DateTo | ZipPrefix | AgeBand
_Token = HmacToken | AesToken | Ff1
Transform = (
    Literal["keep", "drop", "null"] | Mask | HmacToken | AesToken | Ff1 | DateTo | ZipPrefix | AgeBand | DateShift
)


class SmallClasses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows that share these columns with fewer than `k` - 1 others lose them; a report counts classes by size."""

    quasi_identifiers: Annotated[tuple[_Column, ...], Meta(min_length=1)]
    k: Annotated[int, Meta(ge=2, le=1000)]


class Deidentify(Parameters, frozen=True, kw_only=True, tag="deidentify"):
    """Keyed columns (tokens, shifted dates) need a `project`, inside which tokens join.

    `project_key` names a file of `cji key project`; the key of the job is used where it is left out.
    `wrapped_project_key` is filled when the job is sealed.
    """

    columns: Annotated[dict[_Column, Transform], Meta(min_length=1)]
    project: _Domain | None = None
    project_key: Path | None = None
    wrapped_project_key: bytes = b""
    small_classes: SmallClasses | None = None
    token_map: bool = False

    def __post_init__(self) -> None:
        rules = self.columns.values()
        if all(rule == "drop" for rule in rules):
            raise ValueError("columns: every one is dropped")
        if len({rule.max_days for rule in rules if isinstance(rule, DateShift)}) > 1:
            raise ValueError("columns: date_shift has one max_days, so that a subject has one shift")
        if self.token_map and not any(isinstance(rule, _Token) for rule in rules):
            raise ValueError("token_map: no column makes tokens")
        if self.is_keyed and self.project is None:
            raise ValueError("project: tokens and shifted dates need one")
        if self.small_classes is not None:
            of_class = self.small_classes.quasi_identifiers
            if len(set(of_class)) != len(of_class) or not self.kept.issuperset(of_class):
                raise ValueError("small_classes: quasi_identifiers are different columns of the output")

    @property
    def is_keyed(self) -> bool:
        """Whether a column makes tokens or shifts dates."""
        return any(isinstance(rule, _Token | DateShift) for rule in self.columns.values())

    @property
    def kept(self) -> frozenset[str]:
        """The columns of the output."""
        return frozenset(name for name, rule in self.columns.items() if rule != "drop")


def decode(message: pb.Deidentify) -> Deidentify:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    small, columns = message.small_classes, {rule.column: _values(rule) for rule in message.columns}
    parameters = decoded(
        Deidentify,
        {
            "columns": columns,
            "project": message.project or None,
            "wrapped_project_key": message.wrapped_project_key,
            "small_classes": {"quasi_identifiers": tuple(small.quasi_identifiers), "k": small.k}
            if message.HasField("small_classes")
            else None,
            "token_map": message.token_map,
        },
    )
    if len(columns) != len(message.columns) or (parameters.is_keyed and not parameters.wrapped_project_key):
        raise bad_parameters(Stage.ADMIT)
    return parameters


def encode(parameters: Deidentify) -> pb.Deidentify:
    """The parameters as they stand in a header; columns keep their order."""
    small = parameters.small_classes
    return pb.Deidentify(
        project=parameters.project or "",
        wrapped_project_key=parameters.wrapped_project_key,
        columns=[_rule(name, transform) for name, transform in parameters.columns.items()],
        small_classes=None if small is None else pb.SmallClasses(quasi_identifiers=small.quasi_identifiers, k=small.k),
        token_map=parameters.token_map,
    )


def _values(rule: pb.ColumnRule) -> object:
    """The transform as job.toml has it; anything that is none where the rule has none."""
    kind = rule.WhichOneof("transform")
    if kind in {"keep", "drop", "null", None}:
        return kind
    message = getattr(rule, kind)
    if kind == "generalise":
        kind = message.WhichOneof("method")
        message = getattr(message, str(kind), message)
    values = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    if kind == "date_to":
        values["unit"] = {pb.DateTo.YEAR: "year", pb.DateTo.MONTH: "month"}.get(values["unit"])
    return {"do": kind, **values}


def _rule(column: str, transform: Transform) -> pb.ColumnRule:
    if isinstance(transform, str):
        fields: dict[str, Any] = {transform: {}}
        return pb.ColumnRule(column=column, **fields)
    values = msgspec.to_builtins(transform)
    kind = values.pop("do")
    if isinstance(transform, DateTo):
        values["unit"] = transform.unit.upper()
    fields = {"generalise": {kind: values}} if isinstance(transform, _Generalise) else {kind: values}
    return pb.ColumnRule(column=column, **fields)


def complete(parameters: Deidentify, sealing: Sealing) -> Deidentify:
    """With the project key wrapped, where a column needs it."""
    if not parameters.is_keyed or parameters.project is None:
        return parameters
    key = sealing.wrap_project_key(parameters.project, parameters.project_key)
    return replace(parameters, wrapped_project_key=key)


def check_columns(parameters: Deidentify, columns: frozenset[str]) -> frozenset[str]:
    """The columns of the output. Raises: ParametersError where columns and rules are not the same."""
    ruled = frozenset(parameters.columns)
    if columns != ruled:
        differences = (("no rule for", columns - ruled), ("no column for the rule of", ruled - columns))
        raise ParametersError(
            "; ".join(f"{text} {', '.join(sorted(names))}" for text, names in differences if names),
            remedy="Name every column once in `columns`, after renaming, and behind a link its `cluster` too.",
        )
    return parameters.kept
