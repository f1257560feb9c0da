"""`link`, declared."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from cji_core import documents, strict
from cji_core.errors import Stage
from cji_core.operations.declaration import Operation, Side, Signature
from cji_core.operations.link.model import Model, has, is_model
from cji_core.operations.link.outputs import CLUSTER, PARTS, SIDE
from cji_core.operations.link.person_model import model_for
from cji_core.operations.link.splink_import import UnsupportedModelError, from_splink
from cji_core.operations.link.stages import STAGES
from cji_core.operations.parameters import Parameters, ParametersError, Sealing, bad_parameters, decoded
from cji_core.operations.status_codes import RowCode
from cji_core.suggest import did_you_mean
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Rows that are not compared, or not whole."""

    NO_BLOCKING_KEY = 401, "The record has no value in the columns of any blocking rule; it was compared with none."
    TOO_MANY_VALUES = (
        402,
        "The record has more different rows, or a cell more values, than are compared.",
    )


# ------------------------------------------------------------------ parameters

_MAX_MODEL_BYTES: Final = 64 << 10
_SEPARATOR: Final = 8
_PARTED: Final = 16
_PLACEHOLDERS: Final = 1_000

_Share = Annotated[float, Meta(gt=0, lt=1)]
_Value = Annotated[str, Meta(min_length=1, max_length=64)]
_Sample = Annotated[int, Meta(ge=1_000, le=1 << 26)]


class Link(Parameters, frozen=True, kw_only=True, tag="link"):
    """With a `model` of its own, one that Splink saved, or the default for those columns of a person that are there.

    A pair is a match from the probability `match` on, and listed for a clerk from `clerical_review_threshold` on.
    Blocks of more than `block_rows` records are split by the keys of the model, or left out; blocks that stay too large
    are left out, and reported. More than `pairs` pairs are refused before the first one is compared. `random_pairs` are
    compared to learn u, at most `training_pairs` of each blocking rule to learn m. `splink` names the file of a model
    saved by Splink, which is read when the job is sealed.

    With `linkage` average, two clusters are joined if a pair across them is a match and the mean weight of all pairs
    across them is at least `cluster_stop`, in bits; with components, if a pair across them is a match.

    Rows with one value in the column `record` are one record. `separators` part the values in the cells of a column.
    With a `source`, records of one number in two sources are two; without `duplicates_in_source` no two records of a
    source are one person. In a cluster, records never differ in the columns `never_differ`. `placeholders` are values
    of a column that are missing, besides those of the worker's table.
    """

    model: Model | None = None
    splink: Path | None = None
    match: _Share = 0.9
    clerical_review_threshold: _Share = 0.01
    linkage: Literal["average", "components"] = "average"
    cluster_stop: Annotated[float, Meta(ge=-6, le=100)] = -3.0
    record: str = ""
    separators: dict[str, str] = msgspec.field(default_factory=dict)
    source: str = ""
    duplicates_in_source: bool = True
    never_differ: tuple[str, ...] = ()
    placeholders: dict[str, tuple[_Value, ...]] = msgspec.field(default_factory=dict)
    oversized: Literal["split", "leave_out"] = "split"
    block_rows: Annotated[int, Meta(ge=2, le=1 << 20)] = 5_000
    pairs: Annotated[int, Meta(ge=1, le=1 << 34)] = 200_000_000
    random_pairs: _Sample = 500_000
    training_pairs: _Sample = 100_000
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 1

    def __post_init__(self) -> None:
        if self.model is not None and self.splink is not None:
            raise ValueError("model, splink: a model and one of Splink")
        if not 0 < self.clerical_review_threshold <= self.match < 1:
            raise ValueError("clerical_review_threshold: no more than match, both between 0 and 1")
        if not all(self.separators) or not all(1 <= len(one) <= _SEPARATOR for one in self.separators.values()):
            raise ValueError(f"separators: a text of 1 to {_SEPARATOR} characters for each column")
        if len(self.separators) > _PARTED or len(self.never_differ) > _PARTED or not all(self.never_differ):
            raise ValueError(f"separators, never_differ: at most {_PARTED} columns")
        if len(self.placeholders) > _PARTED or not all(self.placeholders):
            raise ValueError(f"placeholders: at most {_PARTED} columns")
        if not all(1 <= len(values) <= _PLACEHOLDERS for values in self.placeholders.values()):
            raise ValueError(f"placeholders: 1 to {_PLACEHOLDERS} values for each column")
        if self.separators.keys() & {self.record, self.source}:
            raise ValueError("separators: a row is of one record and one source")
        if self.source == "" and not self.duplicates_in_source:
            raise ValueError("duplicates_in_source: with a source")
        if self.source != "" and self.duplicates_in_source and self.record == "":
            raise ValueError("source: with a record, or without duplicates_in_source")
        if self.model is not None and not is_model(self.model):
            raise ValueError("model: incomplete or out of range; docs/operations.md has the limits")

    @property
    def has_units(self) -> bool:
        """Whether a rule's blocks may have a pair several times, or pairs that can be of no person."""
        return bool(self.record or self.separators or not self.duplicates_in_source)

    @property
    def apart(self) -> str:
        """The column of sources that have no duplicates."""
        return "" if self.duplicates_in_source else self.source

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it names besides those of its model and those that it parts."""
        return frozenset(name for name in (self.record, self.source, *self.never_differ) if name)

    @classmethod
    def from_splink(cls, data: bytes) -> Self:
        """With the model that Splink saved as JSON, m and u included; its link_type is up to the job's side table.

        Raises: ParametersError, which names what cannot be imported.
        """
        return cls(model=_imported(data))


def decode(message: pb.Link) -> Link:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    try:
        model = documents.decode(message.model, Model, limit=_MAX_MODEL_BYTES) if message.model else None
    except strict.StrictError as error:
        raise bad_parameters(Stage.ADMIT) from error
    separators = {one.column: one.text for one in message.separators}
    placeholders = {one.column: tuple(one.values) for one in message.placeholders}
    if len(separators) != len(message.separators) or len(placeholders) != len(message.placeholders):
        raise bad_parameters(Stage.ADMIT)
    return decoded(
        Link,
        {
            "model": model,
            "match": message.match,
            "clerical_review_threshold": message.clerical_review_threshold,
            "linkage": "components" if message.components else "average",
            "cluster_stop": message.cluster_stop,
            "record": message.record,
            "separators": separators,
            "source": message.source,
            "duplicates_in_source": not message.no_duplicates_in_source,
            "never_differ": tuple(message.never_differ),
            "placeholders": placeholders,
            "oversized": "leave_out" if message.leave_out_oversized else "split",
            "block_rows": message.block_rows,
            "pairs": message.pairs,
            "random_pairs": message.random_pairs,
            "training_pairs": message.training_pairs,
            "seed": message.seed,
        },
    )


def encode(parameters: Link) -> pb.Link:
    """The parameters as they stand in a header; the file of a Splink model must have been read."""
    if parameters.splink is not None:
        raise TypeError("the parameters are not complete")
    return pb.Link(
        model=b"" if parameters.model is None else msgspec.json.encode(parameters.model),
        match=parameters.match,
        clerical_review_threshold=parameters.clerical_review_threshold,
        components=parameters.linkage == "components",
        cluster_stop=parameters.cluster_stop,
        record=parameters.record,
        separators=[pb.Separator(column=name, text=text) for name, text in sorted(parameters.separators.items())],
        source=parameters.source,
        no_duplicates_in_source=not parameters.duplicates_in_source,
        never_differ=parameters.never_differ,
        placeholders=[
            pb.Placeholders(column=name, values=values) for name, values in sorted(parameters.placeholders.items())
        ],
        leave_out_oversized=parameters.oversized == "leave_out",
        block_rows=parameters.block_rows,
        pairs=parameters.pairs,
        random_pairs=parameters.random_pairs,
        training_pairs=parameters.training_pairs,
        seed=parameters.seed,
    )


def complete(parameters: Link, sealing: Sealing) -> Link:
    """With the model of the file that `splink` names."""
    if parameters.splink is None:
        return parameters
    return replace(parameters, splink=None, model=_imported(sealing.read(parameters.splink)))


def _imported(data: bytes) -> Model:
    try:
        return from_splink(data)
    except UnsupportedModelError as error:
        raise ParametersError(
            f"the Splink model has {error}, which is not imported",
            remedy="Write what comes nearest as [operations.model]; docs/operations.md has the tests of a level.",
        ) from None


# ------------------------------------------------------------------ the operation


def _add_cluster(parameters: Link, columns: frozenset[str]) -> frozenset[str]:
    if CLUSTER in columns:
        raise ParametersError(f"the records have a column {CLUSTER} already", remedy="Rename or drop it.")
    for name in sorted(parameters.columns | parameters.placeholders.keys()):
        if not has(columns, name):
            raise ParametersError(
                f"the records have no column {did_you_mean(name, columns)}", remedy="Correct its name, or leave it out."
            )
    by_default = parameters.model is None and parameters.splink is None
    if by_default and not model_for(columns).deterministic_rules:
        raise ParametersError(
            "no rule for these columns estimates how many records match",
            remedy="Add last and first, or an identifier with DOB or last, or write [operations.model] with a prior.",
        )
    return columns | {CLUSTER}


LINK: Final = Operation(
    parameters=Link,
    decode=decode,
    encode=encode,
    complete=complete,
    columns=_add_cluster,
    signature=lambda _: Signature(accepts=frozenset(("person/1", "hotfile/1")), parts=PARTS, sides=(Side(name=SIDE),)),
    stages=lambda _: STAGES,
    schemas=tuple(part.schema for part in PARTS),
    steps=("count", "train", "compare", "cluster"),
    codes=Code,
    row_bytes=lambda _: 16 << 10,  # pairs of a record with others
)
