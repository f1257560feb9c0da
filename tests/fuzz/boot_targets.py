"""The readers of event logs: what a root user, or firmware, may put in them."""

import functools
import hashlib
from typing import Any, Final

from msgspec.structs import replace

from cji_attestation.evidence import Event, Evidence, MeasuredBoot, read_logs, replay
from cji_attestation.evidence.event_log import IMA_PCR, MAX_EVENTS, NO_ACTION, REPLAYED, start_record
from cji_simulator.measured_boot import BOOT, USERSPACE, Measurement, encode, record
from cji_simulator.measured_boot import replay as slowly
from tests.fuzz.attestation_targets import target
from tests.fuzz.engine import Target
from tests.fuzz.mutators import IN_PLACE, JSON, SIZED
from tests.support.boot_forge import with_boot
from tests.support.forge import RECEIPT_KEY, machine

__all__ = ["BOOT_TARGETS"]

_LOCALITY: Final = Measurement(pcr=0, kind=3, data=b"StartupLocality\0\3", digest=bytes(32))


def _replayed(events: tuple[Event, ...]) -> tuple[tuple[Event, ...], tuple[bytes, ...]]:
    return events, replay(events)


def _sound(_: bytes, value: Any) -> bool:
    """Few enough events, each with a digest that some PCR can be extended by, and the PCRs of a slow replay."""
    events, values = value
    again = encode(
        [Measurement(pcr=e.pcr, kind=4096, data=b"", digest=e.digest) for e in events if e.kind != NO_ACTION]
    )
    expected = slowly(again)
    return (
        len(events) <= 2 * MAX_EVENTS
        and all(len(e.digest) == 32 for e in events)
        and all(values[pcr] == value for pcr, value in expected.items() if 0 < pcr < 16)
        and all(e.measured in (None, e.data) for e in events)
    )


@functools.cache
def _evidence() -> tuple[Evidence, MeasuredBoot]:
    found = with_boot()
    assert isinstance(found.boot, MeasuredBoot)
    return found, found.boot


@functools.cache
def _digests() -> list[list[bytes]]:
    return _by_pcr(_appraise(_logs()[0]))


def _appraise(data: bytes) -> Any:
    """Sound evidence of a started worker with these logs in place of its own."""
    firmware, _, userspace = data.partition(b"\0RS\0")
    evidence, boot = _evidence()
    boot = replace(boot, firmware_log=firmware, userspace_log=userspace)
    return machine().appraise(replace(evidence, boot=boot), start=(RECEIPT_KEY,))


def _logs() -> tuple[bytes, ...]:
    _, boot = _evidence()
    return (boot.firmware_log + b"\0RS\0" + boot.userspace_log,)


def _by_pcr(verdict: Any) -> list[list[bytes]]:
    """The digests of the PCRs that are replayed."""
    return [[one.digest for one in verdict.boot.events if one.pcr == pcr] for pcr in REPLAYED if pcr != IMA_PCR]


def _same_digests(_: bytes, value: Any) -> bool:
    """Accepted is only what extends every PCR as the sound logs do; its words may be others."""
    return _by_pcr(value) == _digests() and value.boot.starts == (RECEIPT_KEY,)


BOOT_TARGETS: Final[tuple[Target, ...]] = (
    target(
        "firmware-log",
        lambda: (encode(BOOT), encode((_LOCALITY, *BOOT))),
        lambda data: _replayed(read_logs(data, b"")),
        fair=_sound,
        mutators=(*IN_PLACE, *SIZED),
        weight=40,
    ),
    target(
        "userspace-log",
        lambda: (b"".join(map(record, USERSPACE)) + start_record(hashlib.sha256(b"").digest()),),
        lambda data: _replayed(read_logs(b"", data)),
        fair=_sound,
        mutators=JSON,
        weight=30,
    ),
    target("appraise-boot", _logs, _appraise, fair=_same_digests, mutators=IN_PLACE, weight=4),
)
