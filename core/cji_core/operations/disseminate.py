"""`disseminate`, declared: the rows and columns that a recipient may have, and a dissemination ledger."""

import datetime
from typing import Annotated, Final

from msgspec import Meta
from msgspec.structs import replace

from cji_core.errors import Stage
from cji_core.format.records import EVENTS, DataClass, RecordSchema, columns
from cji_core.format.records.declared import BINARY, UINT64, UTF8
from cji_core.operations.declaration import Operation, OutputSpec, Signature
from cji_core.operations.parameters import Parameters, Sealing, Sha256, bad_parameters, check_digest, decoded, known
from cji_core.operations.stages.by_shard import ByShard
from cji_core.operations.status_codes import RowCode
from cji_core.operations.tables import Tables
from cji_core.operations.volumes import LEDGER as LEDGER_SCHEMA
from cji_core.strict import hex_decode
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Reasons for withholding a row."""

    WITHHELD_PURPOSE = 201, "Nothing is granted to this recipient class for this purpose."
    WITHHELD_NO_SUBJECT = 202, "The row names no subject, so its release could not be logged."
    WITHHELD_EXPUNGED = 203, "The record is expunged, or does not say that it is not."
    WITHHELD_SEALED = 204, "The record is sealed, or does not say that it is not."
    WITHHELD_JUVENILE = 205, "The record is a juvenile's, or does not say that it is not."
    WITHHELD_NON_CONVICTION = 206, "There is no conviction, or no disposition of an event that is too old."
    WITHHELD_UNKNOWN_FILE = 207, "The record is of a file that the table does not name."
    WITHHELD_RESTRICTED_FILE = 208, "The record is of a restricted file."


# ------------------------------------------------------------------ parameters


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
        tables_sha256=hex_decode(parameters.tables_sha256 or ""),
    )


def complete(parameters: Disseminate, sealing: Sealing) -> Disseminate:
    """With the day of sealing where there is no other."""
    return replace(parameters, as_of=parameters.as_of or sealing.today)


def check_tables(parameters: Disseminate, tables: Tables) -> None:
    """Refuse other tables than the job expects, and recipient classes that they do not have."""
    check_digest(parameters.tables_sha256, tables)
    if parameters.recipient_class not in tables.dissemination.recipients:
        raise bad_parameters(Stage.ADMIT)


# ------------------------------------------------------------------ outputs

LEDGER: Final = OutputSpec(
    name="ledger",
    schema=RecordSchema.output(
        LEDGER_SCHEMA,
        columns(DataClass.CONTROL_NUMBER, "subject", BINARY, of="subject NIC"),
        columns(DataClass.CONTROL_NUMBER, "SID", BINARY, of="SID"),
        columns(DataClass.CONTROL_NUMBER, "FBI", BINARY, of="FBI"),
        columns(DataClass.CONTROL_NUMBER, "file", BINARY, of="file_code"),
        columns(
            DataClass.IDENTITY_HISTORY,
            "time purpose requestor requesting_ori secondary_recipient recipient_class",
            UTF8,
        ),
        columns(DataClass.IDENTITY_HISTORY, "rows", UINT64),
    ),
)
"""One row for each subject of a released row (CJISSECPOL AU-3(1), 5.1.3), in the order of their first rows."""

WITHHELD: Final = OutputSpec(
    name="withheld",
    schema=RecordSchema.output(
        "withheld/1", columns(DataClass.CASE, "reason", UTF8), columns(DataClass.CASE, "rows", UINT64)
    ),
)
"""The number of withheld rows by reason."""


# ------------------------------------------------------------------ the operation


BY_SHARD: Final = ByShard(merged=(LEDGER, WITHHELD))

DISSEMINATE: Final = Operation(
    parameters=Disseminate,
    decode=decode,
    encode=encode,
    complete=complete,
    check_tables=check_tables,
    signature=lambda _: Signature(accepts=EVENTS | {"hotfile/1"}, parts=(LEDGER, WITHHELD)),
    stages=lambda _: BY_SHARD.stages,
    schemas=(LEDGER.schema, WITHHELD.schema),
    codes=Code,
)
