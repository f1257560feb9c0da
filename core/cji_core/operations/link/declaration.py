"""`link`, declared."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from cji_core import documents, strict
from cji_core.errors import Stage
from cji_core.operations.declaration import Operation, Side, Signature
from cji_core.operations.link.model import Model, is_model
from cji_core.operations.link.outputs import CLUSTER, PARTS, SIDE
from cji_core.operations.link.person_model import model_for
from cji_core.operations.link.splink_import import UnsupportedModelError, from_splink
from cji_core.operations.link.stages import STAGES
from cji_core.operations.parameters import Parameters, ParametersError, Sealing, bad_parameters, decoded
from cji_core.operations.status_codes import RowCode
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Rows that are not compared."""

    NO_BLOCKING_KEY = 401, "The row has no value in the columns of any blocking rule; it was compared with none."


# ------------------------------------------------------------------ parameters

_MAX_MODEL_BYTES: Final = 64 << 10

_Share = Annotated[float, Meta(gt=0, lt=1)]
_Sample = Annotated[int, Meta(ge=1_000, le=1 << 26)]


class Link(Parameters, frozen=True, kw_only=True, tag="link"):
    """With a `model` of its own, one that Splink saved, or the default for those columns of a person that are there.

    A pair is a match from the probability `match` on, and listed for a clerk from `clerical_review_threshold` on.
    Blocks of more than `block_rows` rows are split by the keys of the model, or refused; blocks that stay too large are
    refused. More than `pairs` pairs are refused before the first one is compared. `random_pairs` are compared to learn
    u, at most `training_pairs` of each blocking rule to learn m. `splink` names the file of a model saved by Splink,
    which is read when the job is sealed.

    With `linkage` average, two clusters are joined if a pair across them is a match and the mean weight of all pairs
    across them is at least `cluster_stop`, in bits; with components, if a pair across them is a match.
    """

    model: Model | None = None
    splink: Path | None = None
    match: _Share = 0.9
    clerical_review_threshold: _Share = 0.01
    linkage: Literal["average", "components"] = "average"
    cluster_stop: Annotated[float, Meta(ge=-6, le=100)] = -3.0
    oversized: Literal["split", "refuse"] = "split"
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
        if self.model is not None and not is_model(self.model):
            raise ValueError("model: incomplete or out of range; docs/operations.md has the limits")

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
    return decoded(
        Link,
        {
            "model": model,
            "match": message.match,
            "clerical_review_threshold": message.clerical_review_threshold,
            "linkage": "components" if message.components else "average",
            "cluster_stop": message.cluster_stop,
            "oversized": "refuse" if message.refuse_oversized else "split",
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
        refuse_oversized=parameters.oversized == "refuse",
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
