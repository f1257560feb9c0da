"""Parameters of `disseminate`."""

import datetime
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from cji_core.errors import Stage
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.parameters import Parameters, Sealing, Sha256, bad_parameters, check_digest, decoded, known
from cji_operations.tables import Tables


class Disseminate(Parameters, frozen=True, kw_only=True, tag="disseminate"):
    """Ages of records are counted on `as_of`, the day of sealing where it is left out.

    `recipient_class` is one of the worker's dissemination table; `tables_sha256` is the digest that its tables must
    have.
    """

    recipient_class: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,63}\Z")]
    as_of: datetime.date | None = None
    tables_sha256: Sha256 | None = None


def decode(message: pb.Disseminate) -> Disseminate:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    return decoded(
        Disseminate,
        {
            "recipient_class": message.recipient_class,
            "as_of": message.as_of,
            "tables_sha256": message.tables_sha256.hex() or None,
        },
    )


def encode(parameters: Disseminate) -> pb.Disseminate:
    """The parameters as they stand in a header."""
    return pb.Disseminate(
        recipient_class=parameters.recipient_class,
        as_of=known(parameters.as_of).isoformat(),
        tables_sha256=bytes.fromhex(parameters.tables_sha256 or ""),
    )


def complete(parameters: Disseminate, sealing: Sealing) -> Disseminate:
    """With the day of sealing where there is no other."""
    return replace(parameters, as_of=parameters.as_of or sealing.today)


def check_tables(parameters: Disseminate, tables: Tables) -> None:
    """Refuse other tables than the job expects, and recipient classes that they do not have."""
    check_digest(parameters.tables_sha256, tables)
    if parameters.recipient_class not in tables.dissemination.recipients:
        raise bad_parameters(Stage.ADMIT)
