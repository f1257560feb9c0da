"""`match_orders`, declared: the events that orders of a court to seal or expunge are about."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from cji_core.errors import Stage
from cji_core.format.records import EVENTS, DataClass, RecordSchema, columns
from cji_core.format.records.declared import BINARY, BOOL, FLOAT64, UINT64, UTF8
from cji_core.operations.declaration import Operation, OutputSpec, Project, Side, Signature
from cji_core.operations.deidentify.rules import Domain
from cji_core.operations.parameters import Parameters, Sealing, bad_parameters, decoded, with_key
from cji_core.operations.stages.by_shard import ByShard
from cji_core.operations.status_codes import RowCode
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """An order was about an event, or none could be."""

    ORDER_APPLIED = 801, "An order is about this event: its flag is set, or it is not in the result."
    NO_SUBJECT_TO_MATCH = 802, "The event names no subject, so no order can be found to be about it."


# ------------------------------------------------------------------ parameters

_Share = Annotated[float, Meta(gt=0, lt=1)]


class MatchOrders(Parameters, frozen=True, kw_only=True, tag="match_orders"):
    """An order is about a person from the probability `match` on, if no other one reaches `clerical_review_threshold`.

    With `remove`, events that an order expunges leave the result, else they are flagged. With a `project`, each event
    that an order is about is recorded by its HMAC under the key of the project: `project_key` names a file of
    `cji key project`, the key of the job is used where it is left out. `wrapped_project_key` is filled when the job is
    sealed.
    """

    match: _Share = 0.99
    clerical_review_threshold: _Share = 0.2
    remove: bool = False
    project: Domain | None = None
    project_key: Path | None = None
    wrapped_project_key: bytes = b""
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 1

    def __post_init__(self) -> None:
        if self.clerical_review_threshold > self.match:
            raise ValueError("clerical_review_threshold: no more than match")
        if self.project is None and (self.project_key is not None or self.wrapped_project_key):
            raise ValueError("project: the name that goes with the key")


def decode(message: pb.MatchOrders) -> MatchOrders:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    parameters = decoded(
        MatchOrders,
        {
            "match": message.match,
            "clerical_review_threshold": message.clerical_review_threshold,
            "remove": message.remove,
            "project": message.project or None,
            "wrapped_project_key": message.wrapped_project_key,
            "seed": message.seed,
        },
    )
    if parameters.project is not None and not parameters.wrapped_project_key:
        raise bad_parameters(Stage.ADMIT)
    return parameters


def encode(parameters: MatchOrders) -> pb.MatchOrders:
    """The parameters as they stand in a header."""
    return pb.MatchOrders(
        match=parameters.match,
        clerical_review_threshold=parameters.clerical_review_threshold,
        remove=parameters.remove,
        project=parameters.project,
        wrapped_project_key=parameters.wrapped_project_key,
        seed=parameters.seed,
    )


def complete(parameters: MatchOrders, sealing: Sealing) -> MatchOrders:
    """With the key of the project wrapped, where there is one."""
    return with_key(parameters, sealing)


# ------------------------------------------------------------------ inputs and outputs

ORDERS: Final = "orders"
PERSONS: Final = "persons"
ORDER_SCHEMA: Final = "court_order/1"
PERSON_SCHEMA: Final = "person/1"
NAMING: Final = ("cycle", "count", "event", "date", "charge", "offense_code", "disposition_date", "ORI")
"""Columns by which an order names events; all that it fills must agree."""
FLAGS: Final = {"seal": "sealed", "expunge": "expunged"}
"""The column that each action sets."""

OUTCOMES: Final = {
    "applied": "The order is about one person, and about these events.",
    "no_event": "The order is about one person, who has no event that it names.",
    "no_person": "Nobody in the index of persons is likely to be meant.",
    "possible": "A person may be meant, but it is not certain enough.",
    "several": "More than one person may be meant.",
    "unknown_subject": "The order names a subject that the index of persons does not have, or two.",
    "unusable": "The order lacks an id, a known action or what it is about, or has a date that cannot be read.",
}
"""The end of each line of the orders."""

WORK_LIST: Final = OutputSpec(
    name="work_list",
    schema=RecordSchema.output(
        "work_list/1",
        columns(DataClass.CASE, "line", UINT64),
        columns(DataClass.CONTROL_NUMBER, "order_id", BINARY, of="order_id"),
        columns(DataClass.CASE, "action outcome", UTF8),
        columns(DataClass.CONTROL_NUMBER, "subject", BINARY, of="record_id"),
        columns(DataClass.CASE, "probability", FLOAT64),
        columns(DataClass.CONTROL_NUMBER, "second_subject", BINARY, of="record_id"),
        columns(DataClass.CASE, "second_probability", FLOAT64),
        columns(DataClass.CASE, "events", UINT64),
        columns(DataClass.CASE, "words", UTF8),
    ),
)
"""One row for each line of the orders: what became of it, the likeliest persons, and how many events it is about."""

APPLIED: Final = OutputSpec(
    name="applied",
    schema=RecordSchema.output(
        "applied/1",
        columns(DataClass.CASE, "row line", UINT64),
        columns(DataClass.CONTROL_NUMBER, "order_id", BINARY, of="order_id"),
        columns(DataClass.CASE, "action", UTF8),
        columns(DataClass.CONTROL_NUMBER, "subject", BINARY, of="record_id"),
        columns(DataClass.CASE, "removed", BOOL),
        columns(DataClass.CASE, "hmac", BINARY),
    ),
)
"""One row for each event and each line of the orders that is about it; `hmac` is null without a project."""


# ------------------------------------------------------------------ the operation

BY_SHARD: Final = ByShard(parts=(APPLIED,), merged=(WORK_LIST,), numbered=(APPLIED.name,), sides=(ORDERS, PERSONS))
"""Every shard of the events with all orders and persons."""


def _signature(parameters: MatchOrders) -> Signature:
    return Signature(
        accepts=EVENTS,
        parts=(WORK_LIST, APPLIED),
        sides=(
            Side(name=ORDERS, schema=ORDER_SCHEMA, required=True),
            Side(name=PERSONS, schema=PERSON_SCHEMA, required=True),
        ),
        project=None if parameters.project is None else Project(parameters.project, parameters.wrapped_project_key),
    )


MATCH_ORDERS: Final = Operation(
    parameters=MatchOrders,
    decode=decode,
    encode=encode,
    complete=complete,
    columns=lambda _, names: names | frozenset(FLAGS.values()),
    signature=_signature,
    stages=lambda _: BY_SHARD.stages,
    schemas=(WORK_LIST.schema, APPLIED.schema),
    codes=Code,
    input_rows=True,
    row_bytes=lambda _: 8 << 10,  # an event that several orders are about
)
