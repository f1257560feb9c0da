"""`deidentify`, declared."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any, Final, Self

import msgspec
from msgspec import Meta

from cji_core.errors import Stage as Where
from cji_core.format.records import (
    EVENTS,
    EVERY,
    FREE_TEXT,
    PERSONAL,
    SCHEMAS,
    SEVERAL_ROWS,
    DataClass,
    RecordSchema,
    columns,
)
from cji_core.format.records.declared import BINARY, BOOL, FLOAT64, INT64, UINT32, UINT64, UTF8, Fields
from cji_core.operations.declaration import Operation, OutputSpec, Project, Signature
from cji_core.operations.deidentify.rules import (
    ColumnName,
    DateShift,
    DateTo,
    Domain,
    Generalise,
    Group,
    Hierarchy,
    Mask,
    Redact,
    Token,
    Transform,
)
from cji_core.operations.parameters import (
    Parameters,
    ParametersError,
    Sealing,
    bad_parameters,
    decoded,
    known,
    with_key,
)
from cji_core.operations.stages.by_shard import ByShard
from cji_core.operations.stages.stage import RESULT_OUTPUT, Edge, Stage, Stages, Width
from cji_core.operations.status_codes import RowCode
from cji_core.suggest import listed
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Reasons for a null in the output."""

    PARTIAL_DATE = 102, "The date has unknown digits, and the transform needs those digits."
    DATE_OUT_OF_RANGE = 103, "The shifted date is outside of the years 0001 to 9999."
    BORN_AFTER_AS_OF = 104, "The date lies after the day on which ages are counted."
    NOT_A_ZIP = 105, "The value is not a ZIP code: 12345, 123456789 or 12345-6789."
    TOO_SHORT_TO_MASK = 106, "The value is not longer than the part that the mask keeps."
    KEPT_BYTES_NOT_ASCII = 107, "The part that the mask keeps has bytes that are not ASCII."
    NO_SUBJECT = 108, "The row has no subject, so its dates cannot be shifted."
    TOO_LONG_FOR_A_BLOCK = 109, "The value has more than 15 bytes."
    NOT_OF_THE_ALPHABET = 110, "The value has characters that are not of the radix: 0-9, or 0-9 and A-Z."
    NO_LENGTH_FOR_FF1 = 111, "The value is too short for a domain of a million, or too long."
    SMALL_CLASS = 112, "Too few others share the quasi-identifiers of the row or of its person; they are null."
    IN_NO_GROUP = 113, "The value is in none of the groups."
    NO_PERSON = 114, "The row names no person, so nobody can be counted; its quasi-identifiers are null."
    UNLINKED = 115, "Too few persons have as many rows as this row's person; what links those rows is null."


# ------------------------------------------------------------------ parameters

MAX_COMBINATIONS: Final = 1024
"""Combinations of steps of all hierarchies; each may be tried on the whole table, more than once."""


ONE_EACH: Final = frozenset(
    ("record_id", "NAM", "last", "first", "DOB", "SOC", "OLN", "MNU", "FBI", "SID", "NIC", "subject", "cluster")
)
"""Columns with one value for each person, or few, which shows what rows are of one person."""


class SmallClasses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows that share these columns with fewer than `k` - 1 others are generalised further, or lose them.

    `person` is the column of the input that names the person of a row, "" where every row is another person: classes
    count persons. Reports count classes by size, and have the risk of re-identification; for `sensitive` columns also
    l-diversity and t-closeness.
    """

    quasi_identifiers: Annotated[tuple[ColumnName, ...], Meta(min_length=1)]
    k: Annotated[int, Meta(ge=2, le=1000)]
    sensitive: tuple[ColumnName, ...] = ()
    person: str = ""


class Deidentify(Parameters, frozen=True, kw_only=True, tag="deidentify"):
    """Keyed columns (tokens, shifted dates) need a `project`, inside which tokens join.

    `project_key` names a file of `cji key project`; the key of the job is used where it is left out.
    `wrapped_project_key` is filled when the job is sealed.
    """

    columns: Annotated[dict[ColumnName, Transform], Meta(min_length=1)]
    project: Domain | None = None
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
        for name in FREE_TEXT & self.columns.keys():
            rule = self.columns[name]
            if rule == "keep" or isinstance(rule, Mask) or (isinstance(rule, Hierarchy) and rule.steps[0] == "keep"):
                raise ValueError(
                    f"columns: {name} is free text, which is never kept or masked: redact, null or drop it"
                )
        if self.token_map and not any(isinstance(rule, Token) for rule in rules):
            raise ValueError("token_map: no column makes tokens")
        if self.is_keyed and self.project is None:
            raise ValueError("project: tokens and shifted dates need one")
        small = self.small_classes
        named = () if small is None else (*small.quasi_identifiers, *small.sensitive)
        if len(set(named)) != len(named) or not self.kept.issuperset(named):
            raise ValueError("small_classes: quasi_identifiers and sensitive are different columns of the output")
        if small is not None and small.person and small.person not in self.columns:
            raise ValueError("small_classes: person is a column of the input")
        hierarchies = {name: rule for name, rule in self.columns.items() if isinstance(rule, Hierarchy)}
        if not hierarchies.keys() <= set(() if small is None else small.quasi_identifiers):
            raise ValueError("columns: a hierarchy is for a quasi-identifier of small_classes")
        if prod(len(rule.steps) for rule in hierarchies.values()) > MAX_COMBINATIONS:
            raise ValueError(f"columns: hierarchies have more than {MAX_COMBINATIONS} combinations of steps")

    @property
    def is_keyed(self) -> bool:
        """Whether a column makes tokens or shifts dates."""
        return any(isinstance(rule, Token | DateShift) for rule in self.columns.values())

    @property
    def links(self) -> frozenset[str]:
        """Columns of the output that show which rows are of one person, where `small_classes` names a `person`."""
        small = self.small_classes
        return frozenset() if small is None or not small.person else self.linking(small.person)

    def linking(self, person: str) -> frozenset[str]:
        """Columns of the output that show which rows are of one person, whom the column `person` names.

        They are this column, tokens, and those with one value for each person, if it goes out as it is or shifted.
        Quasi-identifiers are not among them: those of a class are equal.
        """
        quasi = () if self.small_classes is None else self.small_classes.quasi_identifiers
        return frozenset(
            name
            for name, rule in self.columns.items()
            if name not in quasi
            and rule not in ("drop", "null")
            and (
                name == person
                or isinstance(rule, Token)
                or (name in ONE_EACH and (rule == "keep" or isinstance(rule, Mask | DateShift)))
            )
        )

    @property
    def readable(self) -> tuple[str, ...]:
        """Columns of the output whose values, or parts of them, can be read."""
        return tuple(
            name
            for name, rule in self.columns.items()
            if rule not in ("drop", "null") and not isinstance(rule, Token | DateShift)
        )

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
            "small_classes": {
                "quasi_identifiers": tuple(small.quasi_identifiers),
                "k": small.k,
                "sensitive": tuple(small.sensitive),
                "person": small.person,
            }
            if message.HasField("small_classes")
            else None,
            "token_map": message.token_map,
        },
    )
    if len(columns) != len(message.columns) or (parameters.is_keyed and not parameters.wrapped_project_key):
        raise bad_parameters(Where.ADMIT)
    return parameters


def encode(parameters: Deidentify) -> pb.Deidentify:
    """The parameters as they stand in a header; columns keep their order."""
    small = parameters.small_classes
    return pb.Deidentify(
        project=parameters.project,
        wrapped_project_key=parameters.wrapped_project_key,
        columns=[_rule(name, transform) for name, transform in parameters.columns.items()],
        small_classes=None if small is None else pb.SmallClasses(**msgspec.to_builtins(small)),
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
    match kind:
        case "hierarchy":
            if any(step.column for step in message.steps):
                return None
            values["steps"] = tuple(map(_values, message.steps))
        case "group":
            categories = values.pop("categories")
            values["groups"] = {each.name: tuple(each.values) for each in categories}
            if len(values["groups"]) != len(categories):
                return None
        case "redact":
            values = {name: tuple(each) for name, each in values.items()}
        case "date_to":
            values["unit"] = {pb.DateTo.YEAR: "year", pb.DateTo.MONTH: "month"}.get(values["unit"])
    return {"do": kind, **values}


def _rule(column: str, transform: Transform) -> pb.ColumnRule:
    if isinstance(transform, str):
        fields: dict[str, Any] = {transform: {}}
        return pb.ColumnRule(column=column, **fields)
    values = msgspec.to_builtins(transform)
    kind = values.pop("do")
    match transform:
        case DateTo():
            values["unit"] = transform.unit.upper()
        case Group():
            values = {"categories": [{"name": name, "values": each} for name, each in transform.groups.items()]}
        case Hierarchy():
            values = {"steps": [_rule("", step) for step in transform.steps]}
    fields = {"generalise": {kind: values}} if isinstance(transform, Generalise) else {kind: values}
    return pb.ColumnRule(column=column, **fields)


def complete(parameters: Deidentify, sealing: Sealing) -> Deidentify:
    """With the project key wrapped, where a column needs it."""
    return with_key(parameters, sealing) if parameters.is_keyed else parameters


def check_columns(parameters: Deidentify, columns: frozenset[str]) -> frozenset[str]:
    """The columns of the output. Raises: ParametersError where columns and rules are not the same."""
    ruled = frozenset(parameters.columns)
    if columns != ruled:
        differences = (("no rule for", columns - ruled, ruled), ("no column for the rule of", ruled - columns, columns))
        raise ParametersError(
            "; ".join(f"{text} {listed(names, others)}" for text, names, others in differences if names),
            remedy="Name every column once in `columns`, after renaming, and behind a link its `cluster` too.",
            without_rule=columns - ruled,
        )
    return parameters.kept


def remains(parameters: Deidentify) -> tuple[str, ...]:
    """Lines about what these rules leave, whatever the records are; `cji job explain` measures it."""
    small, rules = parameters.small_classes, parameters.columns
    quasi = () if small is None else (*small.quasi_identifiers, *small.sensitive)
    dates = {column.name for schema_id in PERSONAL for column in SCHEMAS[schema_id].columns.values() if column.date}
    shifts = any(isinstance(rule, DateShift) for rule in rules.values())
    found = (
        ("readable, and in no class of small_classes", [name for name in parameters.readable if name not in quasi]),
        ("tokens, whose frequency may rank their values", [name for name in rules if isinstance(rules[name], Token)]),
        ("dates that may give the shift away", [name for name in parameters.readable if shifts and name in dates]),
        ("prose, in which no name is found", [name for name in rules if isinstance(rules[name], Redact)]),
    )
    return tuple(f"{text}: {', '.join(names)}" for text, names in found if names)


PERSONS: Final = frozenset(("subject", "cluster", "SID", "FBI", "SOC", "OLN", "MNU", "record_id"))
"""Columns that may name a person."""


def check_records(parameters: Deidentify, schema_id: str, columns: frozenset[str]) -> None:
    """Raises: ParametersError where `small_classes` would count rows, and a person may have several."""
    small = parameters.small_classes
    if small is None:
        return
    may_be = frozenset(("subject",)) if schema_id in EVENTS else PERSONS
    if small.person and small.person not in may_be:
        raise ParametersError(
            f"small_classes: {small.person} does not name persons",
            remedy=f"Name one of {', '.join(sorted(may_be))} as person of small_classes.",
        )
    if not small.person and (schema_id in SEVERAL_ROWS or "cluster" in columns):
        found = "the column cluster" if "cluster" in columns else schema_id
        raise ParametersError(
            f"small_classes: with {found} a person may have several rows, and classes would count rows",
            remedy="Name the column that identifies a person as person of small_classes: "
            "subject of events, cluster behind a link, SID or FBI of a hot file.",
        )


# ------------------------------------------------------------------ outputs

TOKEN_MAP: Final = OutputSpec(
    name="token_map",
    schema=RecordSchema.output(
        "token_map/1",
        columns(DataClass.NONE, "column", UTF8),
        columns(DataClass.NONE, "token", BINARY, of=EVERY),
        columns(DataClass.BIOGRAPHIC, "value", BINARY, of=EVERY),
    ),
)
"""Every token beside the value that it stands for; see `token_map`."""

K_ANONYMITY: Final = OutputSpec(
    name="k_anonymity",
    schema=RecordSchema.output(
        "k_anonymity/1",
        columns(DataClass.NONE, "stage", UTF8),
        columns(DataClass.CASE, "size classes rows", UINT64),
    ),
)
"""Classes of equal quasi-identifiers by size, before and after; see `k_anonymity`."""

DISCLOSURE_RISK: Final = OutputSpec(
    name="disclosure_risk",
    schema=RecordSchema.output(
        "disclosure_risk/1",
        columns(DataClass.NONE, "stage measure column", UTF8),
        columns(DataClass.NONE, "step", UINT32),
        columns(DataClass.CASE, "value", FLOAT64),
    ),
)
"""Measures of the risk of re-identification, before and after; see `risk`."""


# ------------------------------------------------------------------ stages


SCHEMA: Final = Edge(name="schema", fields=Fields.of([("schema", BINARY)]))
TOKENS: Final = Edge(name=TOKEN_MAP.name, fields=TOKEN_MAP.schema.declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEdges:
    """The streams of `small_classes` that depend on the parameters."""

    groups: Edge
    decided: Edge

    @classmethod
    def of(cls, parameters: Deidentify) -> Self:
        """Those of these parameters, which have `small_classes`."""
        small = known(parameters.small_classes)
        quasi, sensitive = len(small.quasi_identifiers), len(small.sensitive)
        own = [(f"value_{i}", BINARY) for i in range(quasi + sensitive)]
        person = [("person", BINARY)] if small.person else []
        steps = [(f"step_{i}", INT64) for i in range(quasi)]
        return cls(
            groups=Edge(name="groups", fields=Fields.of([*own, *person, ("rows", INT64)])),
            decided=Edge(
                name="decided",
                fields=Fields.of([*own[:quasi], *person, *steps, ("gone", BOOL), ("unlinked", BOOL)]),
            ),
        )


def tokens_by_shard(parameters: Deidentify) -> ByShard:
    """Every shard by itself, without `small_classes`."""
    return ByShard(merged=(TOKEN_MAP,) if parameters.token_map else ())


def _stages(parameters: Deidentify) -> Stages:
    """Every shard by itself; classes of equal rows are of all of them: `k_anonymity_parts` describes the stages."""
    if parameters.small_classes is None:
        return tokens_by_shard(parameters).stages
    edges = ClassEdges.of(parameters)
    tokens = (TOKENS,) if parameters.token_map else ()
    token_map = tuple(edge.name for edge in tokens)
    return Stages(
        in_order=(
            Stage(name="group", width=Width.SHARDS, records=True, writes=(SCHEMA, edges.groups, *tokens)),
            Stage(
                name="decide",
                width=Width.ONE,
                reads=(SCHEMA.name, edges.groups.name, *token_map),
                writes=(edges.decided,),
                outputs=(K_ANONYMITY.name, DISCLOSURE_RISK.name, *token_map),
            ),
            Stage(
                name="publish", width=Width.SHARDS, records=True, reads=(edges.decided.name,), outputs=(RESULT_OUTPUT,)
            ),
        )
    )


# ------------------------------------------------------------------ the operation


def _signature(parameters: Deidentify) -> Signature:
    wanted = (
        (parameters.token_map, TOKEN_MAP),
        (parameters.small_classes is not None, K_ANONYMITY),
        (parameters.small_classes is not None, DISCLOSURE_RISK),
    )
    parts: tuple[OutputSpec, ...] = tuple(part for is_wanted, part in wanted if is_wanted)
    project = Project(known(parameters.project), parameters.wrapped_project_key) if parameters.is_keyed else None
    # a NIBRS line mixes data elements: no rule could fit it
    return Signature(accepts=PERSONAL, parts=parts, project=project)


DEIDENTIFY: Final = Operation(
    parameters=Deidentify,
    decode=decode,
    encode=encode,
    complete=complete,
    columns=check_columns,
    rewrites=lambda parameters: (name for name, rule in parameters.columns.items() if rule != "keep"),
    remains=remains,
    check_records=check_records,
    signature=_signature,
    stages=_stages,
    schemas=(TOKEN_MAP.schema, K_ANONYMITY.schema, DISCLOSURE_RISK.schema),
    steps=("count",),
    codes=Code,
)
