"""Why a worker admits no job, in words, each with what helps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from cji_core.errors import REASONS, Reason
from cji_worker.console.view import Silence, View, moment
from cji_worker.host import CATALOGUE
from cji_worker.ipc.messages import Condition
from cji_worker.ipc.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause and its remedy."""

    what: str
    remedy: str


SILENT: Final[dict[Silence, Cause]] = {
    "no answer": Cause(
        what="No worker answers on its status socket.",
        remedy="Run systemctl status cji-worker. A worker that is starting answers within a few seconds.",
    ),
    "supervisor silent": Cause(
        what="The worker's supervisor has not reported for two seconds.",
        remedy="Look at the worker's log. systemd restarts a worker whose supervisor stays silent.",
    ),
    "not understood": Cause(
        what="The status does not have the form that this console knows.",
        remedy="Run the console of the same installation as the worker, and restart it after an update.",
    ),
}

_LOG: Final = "Look at the worker's log. A process that stays silent ends the worker."
_TRAIL: Final = REASONS[Reason.AUDIT_UNAVAILABLE].remedy
_CONDITIONS: Final[dict[Condition | None, Cause]] = {
    "trail": Cause(what="The audit trail cannot be written.", remedy=_TRAIL),
    "anchor": Cause(what="The head of the audit trail has not reached the vTPM or the log in time.", remedy=_TRAIL),
    "delivery": Cause(what="A required destination of the audit trail is overdue.", remedy=_TRAIL),
    "cells": Cause(what="No cell has been ready since the start.", remedy="Look at the worker's log."),
    "ledger": Cause(what="The pool ledger does not answer.", remedy=REASONS[Reason.LEDGER_UNAVAILABLE].remedy),
    **{
        condition: Cause(what=f"The process {condition.removesuffix('-silent')} does not report.", remedy=_LOG)
        for condition in get_args(Condition)
        if condition.endswith("-silent")
    },
}
"""For the conditions that nothing else in the state shows."""


def headline(view: View) -> str:
    """The state in two words or fewer."""
    return "Unknown" if view.status is None else view.status.state.capitalize()


def causes(view: View) -> list[Cause]:
    """Every cause that is known, the most specific first; none while the worker serves."""
    if view.status is None:
        return [SILENT[view.silence or "no answer"]]
    if view.status.state == "serving":
        return []
    if view.status.state == "draining":
        return [Cause(what="The worker finishes its jobs and then ends.", remedy="Nothing: no new job is admitted.")]
    found = [*_specific(view, view.status)]
    reason = view.status.reason
    if reason is not None and not found:
        found.append(Cause(what=f"The worker states {reason}.", remedy=REASONS[reason].remedy))
    return found or [
        Cause(
            what="The worker is starting, or one of its processes has just changed its state.", remedy="Wait a moment."
        )
    ]


def warnings(view: View) -> Iterator[Cause]:
    """Conditions that do not stop the worker yet, and will."""
    if view.status is not None and view.status.early_advisories:
        named = ", ".join(view.status.early_advisories)
        yield Cause(
            what=f"Intel has disclosed {named}, and this machine's firmware is older than the fix.",
            remedy="Plan the update: Intel requires the newer level about a year after its disclosure.",
        )


def _specific(view: View, status: Status) -> Iterator[Cause]:
    for each in status.host:
        if each.withdraws_readiness:
            condition = CATALOGUE[each.condition]
            yield Cause(what=f"{each.condition}: this machine must {condition.requires}.", remedy=condition.remedy)
    if status.condition in _CONDITIONS:
        yield _CONDITIONS[status.condition]
    if status.audit is not None and not status.audit.writable and status.condition != "trail":
        yield _CONDITIONS["trail"]
    crl_until = status.clients.crl_until if status.clients else None
    if crl_until is not None and moment(crl_until) <= view.at:
        yield Cause(what="A revocation list has expired.", remedy=REASONS[Reason.REVOCATION_UNKNOWN].remedy)
    if not status.keys:
        for reason in sorted({key.reason for key in status.keys_missing or ()}):
            yield Cause(what=f"No key can be used: {reason}.", remedy=REASONS[reason].remedy)
