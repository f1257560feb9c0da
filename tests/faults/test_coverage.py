"""Every step of a job has every fault: a new message or event fails here, or where its step is not reached."""

import subprocess
import sys
from typing import get_args

import pytest

from cji_core.trail import Event
from cji_worker.ipc import messages
from cji_worker.ipc.messages import Message
from cji_worker.keyholder.lifecycle import Action
from tests.support.paths import ROOT
from tests.support.steps import ACTORS, NO_STEP, STEPS, Fault, cases

EFFECTS = {
    Action.SEND_HEADER: "OpenJob",
    Action.WRITE_ADMISSION: "JobAdmitted",
    Action.LEND_CELL: "Admitted",
    Action.OPEN_CELL: "KeysReady",
    Action.AWAIT_CELL: "Summary",
    Action.MAKE_END: "Completed",
    Action.RETAIN_REFERENCE: "Kill",
    Action.SEND_RECEIPT: "Completed",
    Action.KILL_CELL: "Kill",
}
"""A step at or directly before which each effect is performed."""


@pytest.fixture(scope="module")
def collected() -> str:
    command = [sys.executable, "-m", "pytest", "tests/faults", "--collect-only", "-q", "-p", "no:cacheprovider"]
    deselect = [f"--deselect={__name__.replace('.', '/')}.py"]
    return subprocess.run([*command, *deselect], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("fault", Fault)
def test_every_step_has_the_fault(collected: str, fault: Fault) -> None:
    assert [f"[{fault.value}:{step}]" for step in STEPS if f"[{fault.value}:{step}]" not in collected] == []


def test_every_message_of_a_job_is_a_step() -> None:
    kinds = [kind for name in messages.__all__ if isinstance(kind := getattr(messages, name), type)]
    sent = {kind.__name__ for kind in kinds if issubclass(kind, Message) and kind is not Message}
    # what passes the supervisor is about its start, end, machine and files: tests/adversarial/worker/test_reload.py
    of_worker = {kind.__name__ for kind in get_args(messages.SupervisorFromChild | messages.ChildFromSupervisor)}
    assert {step.name for step in STEPS} | set(NO_STEP) | of_worker | {"Confined"} >= sent
    assert not {step.name for step in STEPS} & set(NO_STEP)
    named = [word for why in NO_STEP.values() for word in why.split() if word.startswith("tests/")]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_line_about_a_job_is_a_step_on_both_sides() -> None:
    lines = {event.__name__ for event in get_args(Event) if "job_id" in event.__struct_fields__}
    other = {"WitnessesDisagreed", "ReferenceRetained", "ReferenceDropped"}
    other |= {"AttemptSuperseded", "FailureSuperseded", "TicketPoisoned", "TicketRefused"}  # tests/integration/fleet
    other |= {"TaskAdmitted", "TaskCompleted", "TaskEnded", "StatementsRefused"}  # tests/integration/tasks
    assert {"JobAdmitted", "JobRefused", "JobCompleted", "JobEnded"} == lines - other
    names = {step.name for step in STEPS}
    assert {name for line in lines - other for name in (line, f"{line}+")} <= names


def test_every_effect_of_the_life_cycle_is_at_a_step() -> None:
    assert set(EFFECTS) == set(Action)
    assert set(EFFECTS.values()) <= {step.name for step in STEPS}


def test_every_process_takes_steps() -> None:
    assert {step.process for step in STEPS} == set(ACTORS)
    assert len(cases(Fault.KILL)) == len(STEPS) > 25
