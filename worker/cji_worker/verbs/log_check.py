"""The check of `cji doctor` on the agency's log: a quorum has cosigned a checkpoint of this trail, in time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cji_core.command.findings import NotOk
from cji_core.errors import StartupError
from cji_core.tlog.policy import Policy, load_policy
from cji_core.trail.chain import ChainError
from cji_core.trail.delivered import LineAt, Standing, line_at_of, standing
from cji_core.trail.delivery import LOG, DeliveryError, DeliveryFile, load_delivery
from cji_core.trail.trail import Position, require_line
from cji_core.trail.witnesses.agency_log import LogWitness
from cji_core.trail.witnesses.configured import needs, records_of
from cji_core.trail.witnesses.records import RecordError, Records, Witnessed
from cji_core.trail.witnesses.settings import LogTable, log_table

_LOOK: Final = "Look at the log of `cji audit deliver`, and at the log and the witnesses that it cannot reach."
_DISTRUST: Final = "Keep the state as it is, and compare the trail with your monitor: `cji audit witness verify`."


def check_log(config: Path, *, now: datetime | None = None) -> str:
    """The proof that the deliverer has of the trail, read without a network. Raises NotOk."""
    now = now or datetime.now(UTC)
    delivery, table, policy = _pinned(config)
    record = _newest(delivery)
    size = record.offer.checkpoint().size
    try:
        at, line_at = LogWitness(table).verify(record.offer, record.receipt), line_at_of(Path(delivery.trail))
        _require_lines(record, size, line_at)
        found = standing(Path(delivery.state), LOG, line_at)
    except DeliveryError as error:
        raise NotOk(f"the record of {size} lines does not verify: {error}", _DISTRUST) from error
    except OSError as error:
        raise NotOk(f"the trail cannot be read: {error}", "Run `cji audit verify`.") from error
    _require_in_time(found, size, at=at, now=now, most_seconds=policy.file.max_delay_seconds)
    return f"{policy.file.origin} has {size} lines, cosigned by a quorum at {at}"


def _pinned(config: Path) -> tuple[DeliveryFile, LogTable, Policy]:
    """audit.toml, its [log], and the policy in force. Raises NotOk."""
    try:
        delivery, folder = load_delivery(config), config.resolve().parent
        table = log_table(delivery, folder=folder)
        if table is None:
            raise NotOk(
                f"{config} has no [log]: nobody else can show that the end of the trail is missing",
                "Add [log] with the policy of the agency's log: docs/witnesses.md.",
                state="warning",
            )
        needs(delivery, folder=folder)
        return delivery, table, load_policy(Path(table.policy))
    except StartupError as error:
        raise NotOk(error.what, error.remedy) from error


def _newest(delivery: DeliveryFile) -> Witnessed:
    folder = records_of(Path(delivery.state))
    try:
        record = Records(folder).newest()
    except (RecordError, OSError) as error:
        raise NotOk(f"the newest record in {folder}: {error}", _DISTRUST) from error
    if record is None:
        raise NotOk(f"{folder} has no record: the log has nothing of this trail", _LOOK)
    return record


def _require_lines(record: Witnessed, size: int, line_at: LineAt) -> None:
    """Raise NotOk if the trail ends before the line that the log has, or has another one there. May raise OSError."""
    at = Position(seq=record.position.seq, hash=record.position.hash, offset=record.position.start)
    try:
        if at.seq != size:
            raise NotOk(f"the record of {size} lines names line {at.seq} as the last one", _DISTRUST)
        require_line(line_at(at.offset), at)
    except ChainError as error:
        raise NotOk(f"the log has {size} lines, and the trail does not: {error}", _DISTRUST) from error


def _require_in_time(found: Standing, size: int, *, at: str, now: datetime, most_seconds: int) -> None:
    """Raise NotOk if a line waits for longer than the policy promises. Lines that do not wait need no newer one."""
    if found.cause is not None or found.seq > size:
        raise NotOk(f"{LOG}.delivered does not fit the trail and the record of {size} lines", _DISTRUST)
    if found.seconds(now) > most_seconds:
        raise NotOk(
            f"late: the newest cosigned checkpoint has {size} lines and is of {at}; the next line "
            f"waits for {found.seconds(now)} s, and max_delay_seconds is {most_seconds}",
            _LOOK,
        )
