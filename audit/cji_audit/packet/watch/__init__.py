"""Watchers: small state machines that follow a trail, and name what must not happen. Each has one topic.

`see` is called for every verified line, in order, and returns what is wrong with it, as (line, words); `end` is called
once, with the last time of the trail. Memory is bounded by what runs at the same time, and by two days' jobs.
"""

from collections.abc import Callable
from typing import Final

from cji_audit.packet.watch.jobs import Attribution, Changes, Outcomes, PolicyInForce, Replays
from cji_audit.packet.watch.machines import Host, Keys, Machines
from cji_audit.packet.watch.step import Fault, Step, Watcher
from cji_audit.packet.watch.trails import Anchors, AuditFailures, Receipts, Refusals, TimeOrder

__all__ = ["WATCHERS", "Fault", "Step", "Watcher"]

WATCHERS: Final[tuple[Callable[[], Watcher], ...]] = (
    TimeOrder,
    Anchors,
    Receipts,
    AuditFailures,
    Refusals,
    Outcomes,
    Replays,
    Attribution,
    PolicyInForce,
    Changes,
    Machines,
    Keys,
    Host,
)
