"""The tables of a job spec that name operations, and their protobuf form.

All but `[deidentify]`, which has a rule for each column and is in `worker.client.transforms`.
"""

from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta

from worker.client.errors import SpecError
from worker.compute.operations import link
from worker.compute.operations.screen.operation import HOLD_SECONDS
from worker.wire.v1 import worker_pb2 as pb

__all__ = ["Aggregate", "Disseminate", "Link", "Screen", "Validate"]

_Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Share = Annotated[float, Meta(gt=0, lt=1)]
_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]

_LINK: Final = link.Parameters()


class Validate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the operation `validate`; `as_of` is the day of sealing where it is not given."""

    rule_set: _Name | None = None
    as_of: _Day | None = None
    without: tuple[_Name, ...] = ()
    also: tuple[_Name, ...] = ()
    tables_sha256: _Sha256 | None = None

    def message(self, schema: str, today: str) -> pb.Operation:
        """The operation as it stands in a job header; the rule set is the newest one for `schema` unless named."""
        newest = "nibrs/3.1" if schema.startswith("nibrs.") else "ncic/1"
        return pb.Operation(
            validate=pb.Validate(
                rule_set=self.rule_set or newest,
                as_of=self.as_of or today,
                without=self.without,
                also=self.also,
                tables_sha256=bytes.fromhex(self.tables_sha256 or ""),
            )
        )


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the operation `link`: with a `model` of its own, one that Splink saved, or the default for persons.

    `splink` names the file of the latter, which `load_spec` reads. docs/operations.md has models and ranges.
    """

    model: link.Model | None = None
    splink: _Name | None = None
    match: _Share = _LINK.match
    clerical_review_threshold: _Share = _LINK.clerical_review_threshold
    oversized: Literal["split", "refuse"] = _LINK.oversized
    block_rows: Annotated[int, Meta(ge=2, lt=1 << 32)] = _LINK.block_rows
    pairs: _Count = _LINK.pairs
    random_pairs: _Count = _LINK.random_pairs
    training_pairs: _Count = _LINK.training_pairs
    seed: _Count = _LINK.seed

    def __post_init__(self) -> None:
        if self.model is not None and self.splink is not None:
            raise ValueError("a model and one of Splink")

    @classmethod
    def from_splink(cls, data: bytes) -> Self:
        """With the model that Splink saved as JSON, m and u included; its link_type is up to the job's side tables.

        Raises: SpecError, which names what cannot be taken over.
        """
        try:
            return cls(model=link.from_splink(data))
        except link.UnsupportedModelError as error:
            raise SpecError(
                f"the Splink model has {error}, which is not taken over",
                remedy="Write it as [link.model] with what comes nearest; docs/operations.md has the tests of a level.",
            ) from None

    def message(self) -> pb.Operation:
        """The operation as it stands in a job header. Raises: SpecError where `splink` has not been read."""
        if self.splink is not None:
            raise SpecError("[link] names a model of Splink that is not read", remedy="Use load_spec or from_splink.")
        return pb.Operation(
            link=pb.Link(
                model=b"" if self.model is None else msgspec.json.encode(self.model),
                match=self.match,
                clerical_review_threshold=self.clerical_review_threshold,
                refuse_oversized=self.oversized == "refuse",
                block_rows=self.block_rows,
                pairs=self.pairs,
                random_pairs=self.random_pairs,
                training_pairs=self.training_pairs,
                seed=self.seed,
            )
        )


class Screen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the operation `screen`: a preset, or `rules` of its own.

    The reference is a side table; with `retain_seconds` it stays in the worker's memory for later jobs, which name it
    by `resident_reference`, the SHA-256 of the part in the receipt of the first job, and bring none.
    """

    preset: _Name | None = None
    rules: dict[str, object] | None = None
    max_hits: Annotated[int, Meta(ge=1, le=1000)] = 20
    min_score: float | None = None
    include_restricted: bool = False
    status_only: bool = False
    retain_seconds: Annotated[int, Meta(ge=0, le=HOLD_SECONDS)] = 0
    resident_reference: _Sha256 | None = None
    tables_sha256: _Sha256 | None = None

    def message(self) -> pb.Operation:
        """The operation as it stands in a job header; NCIC's name inquiry unless told otherwise."""
        preset = self.preset or ("" if self.rules else "ncic_qw")
        message = pb.Screen(
            preset=preset,
            rules=msgspec.json.encode(self.rules) if self.rules else b"",
            max_hits=self.max_hits,
            include_restricted=self.include_restricted,
            status_only=self.status_only,
            retain_seconds=self.retain_seconds,
            resident_reference=bytes.fromhex(self.resident_reference or ""),
            tables_sha256=bytes.fromhex(self.tables_sha256 or ""),
        )
        if self.min_score is not None:
            message.min_score = self.min_score
        return pb.Operation(screen=message)


class Aggregate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the operation `aggregate`: a preset, or `keys` with their categories (none: whatever there is)."""

    preset: Literal["srs_return_a"] | None = None
    keys: dict[_Name, tuple[str, ...]] = {}
    person: str = ""
    sums: tuple[_Name, ...] = ()
    threshold: Annotated[int, Meta(ge=1, le=1000)] = 11
    base: Annotated[int, Meta(ge=1, le=1000)] = 1

    def message(self) -> pb.Operation:
        """The operation as it stands in a job header."""
        if self.preset is not None:
            return pb.Operation(aggregate=pb.Aggregate(preset=self.preset))
        return pb.Operation(
            aggregate=pb.Aggregate(
                keys=[pb.GroupKey(column=column, categories=values) for column, values in self.keys.items()],
                person=self.person,
                sums=self.sums,
                threshold=self.threshold,
                base=self.base,
            )
        )


class Disseminate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the operation `disseminate`; `as_of` is the day of sealing where it is not given."""

    recipient_class: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,63}$")]
    as_of: _Day | None = None
    tables_sha256: _Sha256 | None = None

    def message(self, today: str) -> pb.Operation:
        """The operation as it stands in a job header."""
        return pb.Operation(
            disseminate=pb.Disseminate(
                recipient_class=self.recipient_class,
                as_of=self.as_of or today,
                tables_sha256=bytes.fromhex(self.tables_sha256 or ""),
            )
        )
