"""Parameters of `screen`."""

import math
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from cji_core.errors import Stage
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.parameters import Name, Parameters, Sealing, Sha256, bad_parameters, check_digest, decoded
from cji_operations.tables import Tables
from cji_operations.tables.screening import Rules

MAX_HITS: Final = 1_000
_MAX_RETENTION_SECONDS: Final = 24 * 3600  # a worker's configuration may allow less
_MAX_RULES_BYTES: Final = 64 << 10
_DEFAULT: Final = "ncic_qw"


class Screen(Parameters, frozen=True, kw_only=True, tag="screen"):
    """A `preset` of the worker's tables, NCIC's name inquiry where nothing is given, or `rules` of the job's own.

    `max_hits` of an inquiry are listed. `min_score`, in bits: hits by name of less are dropped and not counted.
    `include_restricted`: records of restricted files (CJISSECPOL 4.2.2) are searched too. `status_only`: whether there
    is a hit, and nothing of the records (4.2.3.2).

    The reference is a side table. With `retain_seconds` it stays in the worker's memory for later jobs, which name it
    by `resident_reference`, the SHA-256 of the part in the receipt of the first job, and bring none.
    """

    preset: Name | None = None
    rules: Rules | None = None
    max_hits: Annotated[int, Meta(ge=1, le=MAX_HITS)] = 20
    min_score: float | None = None
    include_restricted: bool = False
    status_only: bool = False
    retain_seconds: Annotated[int, Meta(ge=0, le=_MAX_RETENTION_SECONDS)] = 0
    resident_reference: Sha256 | None = None
    tables_sha256: Sha256 | None = None

    def __post_init__(self) -> None:
        if self.preset is not None and self.rules is not None:
            raise ValueError("preset, rules: one of them")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise ValueError("min_score: a finite number")
        if self.retain_seconds and self.resident_reference is not None:
            raise ValueError("retain_seconds: the reference is resident already")


def decode(message: pb.Screen) -> Screen:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if bool(message.preset) == bool(message.rules) or len(message.rules) > _MAX_RULES_BYTES:
        raise bad_parameters(Stage.ADMIT)
    try:
        rules = msgspec.json.decode(message.rules, type=Rules) if message.rules else None
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise bad_parameters(Stage.ADMIT) from error
    return decoded(
        Screen,
        {
            "preset": message.preset or None,
            "rules": rules,
            "max_hits": message.max_hits,
            "min_score": message.min_score if message.HasField("min_score") else None,
            "include_restricted": message.include_restricted,
            "status_only": message.status_only,
            "retain_seconds": message.retain_seconds,
            "resident_reference": message.resident_reference.hex() or None,
            "tables_sha256": message.tables_sha256.hex() or None,
        },
    )


def encode(parameters: Screen) -> pb.Screen:
    """The parameters as they stand in a header."""
    return pb.Screen(
        preset=parameters.preset or "",
        rules=b"" if parameters.rules is None else msgspec.json.encode(parameters.rules),
        max_hits=parameters.max_hits,
        min_score=parameters.min_score,
        include_restricted=parameters.include_restricted,
        status_only=parameters.status_only,
        retain_seconds=parameters.retain_seconds,
        resident_reference=bytes.fromhex(parameters.resident_reference or ""),
        tables_sha256=bytes.fromhex(parameters.tables_sha256 or ""),
    )


def complete(parameters: Screen, _: Sealing) -> Screen:
    """With the default search where there is no other."""
    if parameters.preset is not None or parameters.rules is not None:
        return parameters
    return replace(parameters, preset=_DEFAULT)


def check_tables(parameters: Screen, tables: Tables) -> None:
    """Refuse other tables than the job expects, and a preset that they do not have."""
    check_digest(parameters.tables_sha256, tables)
    if parameters.preset is not None and parameters.preset not in tables.screening.presets:
        raise bad_parameters(Stage.ADMIT)
