"""Renewal on demand: what a fault or an event means for a worker shows at its next attestation, so ask for one.

The worker is asked as its operator asks it, as by `cji renew`; the outcome is in its log.
"""

import json
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_core.format.configuration.worker import load
from cji_simulator.errors import SimulatorError
from cji_worker.ipc.status import ask

__all__ = ["RenewalError", "outcome", "renew"]

_ENDS: Final = ("released", "not released", "not attested", "not as attested", "error", "fault")
_WITHIN_S: Final = 60.0
_ASK_S: Final = 5.0
_LOOK_S: Final = 0.05


class RenewalError(SimulatorError):
    """The worker could not be asked, or nothing came of it."""

    code = "renewal-failed"
    remedy = "Start the simulation again."


def renew(folder: Path) -> list[dict[str, Any]]:
    """Have the worker of this folder attest and request its keys now; returns the events of its log up to an outcome.

    The last one is `released`, or what kept the key away, with `fault`, `check` and `reason`. A worker attests on
    demand once in ten seconds, and a service that throttles is waited for; RenewalError after a minute.
    """
    path = load(folder / "worker.toml").control_socket
    if path is None:
        raise RenewalError("this worker has no control socket: the path of its folder is too long for one")
    log = folder / "worker.log"
    start = log.stat().st_size
    try:
        answer = msgspec.json.decode(ask(path, "renew", timeout=_ASK_S))
    except (OSError, msgspec.DecodeError) as error:
        raise RenewalError(f"no worker answers; its log is {log}") from error
    if not answer.get("renewing"):
        raise RenewalError(f"the worker does not answer; its log is {log}")
    until = time.monotonic() + _WITHIN_S
    while time.monotonic() < until:
        events = outcome(log.read_bytes()[start:])
        if events and events[-1]["event"] in _ENDS:
            return events
        time.sleep(_LOOK_S)
    raise RenewalError(f"nothing came of the renewal within {_WITHIN_S:.0f} s; the worker's log is {log}")


def outcome(data: bytes) -> list[dict[str, Any]]:
    """The events of these lines of a log about attestation and keys, up to the first that ends a renewal."""
    events = []
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n") or not line.startswith(b"{"):
            continue
        event = json.loads(line)
        if event["event"] == "attested" or event["event"] in _ENDS:
            events.append(event)
        if event["event"] in _ENDS:
            break
    return events
