"""Parameters of `clear`."""

import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from cji_core.errors import Stage
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.clear.rules import MAX_ENCODED_BYTES, Rules, RulesError, problems, read_rules
from cji_operations.parameters import Parameters, ParametersError, Sealing, bad_parameters, decoded, known


class Clear(Parameters, frozen=True, kw_only=True, tag="clear"):
    """The rules of a state, as a table or as the name of its TOML file, which is read when the job is sealed.

    Ages and years are counted to `as_of`, the day of sealing where it is left out. With a `county`, only convictions of
    its courts are decided; the other events of their subjects still count.
    """

    rules: Path | None = None
    table: Rules | None = None
    as_of: datetime.date | None = None
    county: Annotated[str, Meta(max_length=64, pattern=r"^[ -~]*\Z")] = ""

    def __post_init__(self) -> None:
        if (self.rules is None) is (self.table is None):
            raise ValueError("rules: the file of a table, or the table itself")
        if self.table is not None and (found := problems(self.table)):
            raise ValueError(f"table: {found[0]}")
        if self.county != self.county.strip():
            raise ValueError("county: blanks at its ends")


def decode(message: pb.Clear) -> Clear:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if not 0 < len(message.rules) <= MAX_ENCODED_BYTES:
        raise bad_parameters(Stage.ADMIT)
    try:
        table = msgspec.json.decode(message.rules, type=Rules)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise bad_parameters(Stage.ADMIT) from error
    return decoded(Clear, {"table": table, "as_of": message.as_of, "county": message.county})


def encode(parameters: Clear) -> pb.Clear:
    """The parameters as they stand in a header; the file of the table must have been read."""
    return pb.Clear(
        rules=msgspec.json.encode(known(parameters.table)),
        as_of=known(parameters.as_of).isoformat(),
        county=parameters.county,
    )


def complete(parameters: Clear, sealing: Sealing) -> Clear:
    """With the table of the file, and with the day of sealing where there is no other."""
    table = parameters.table if parameters.rules is None else _read(sealing.read(parameters.rules))
    return replace(parameters, rules=None, table=table, as_of=parameters.as_of or sealing.today)


def _read(data: bytes) -> Rules:
    try:
        return read_rules(data)
    except RulesError as error:
        more = f" and {len(error.problems) - 1} more" if len(error.problems) > 1 else ""
        first = error.problems[0]
        raise ParametersError(
            f"{first}{more}", remedy=f"{first.remedy} `cji clear check` lists every mistake."
        ) from None
