"""Fronts that lie about the numbers of calls: one speaks of another front's job, one has two jobs under one number."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from cji_core.errors import Reason
from cji_core.trail import JobCompleted, JobEnded, JobRefused
from cji_simulator.raw import RawWorker, events, forge, logged, settled, until
from cji_simulator.simulation import Simulation
from tests.adversarial.peers import told
from tests.adversarial.peers.foreign_front import FOREIGN
from tests.adversarial.peers.hostile import hostile_site
from tests.support.simulations import simulated

CELLS: Final = 2


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("foreign") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.mark.parametrize("lie", FOREIGN)
def test_a_front_that_names_anothers_call_ends(azure: Simulation, tmp_path: Path, lie: str) -> None:
    with hostile_site(tmp_path / "site", azure, fronts=2, agency=None, **{"front-1": "foreign_front"}) as site:
        settled(site)
        victim, job = forge(site), forge(site)
        with RawWorker.of(site) as raw, ExitStack() as held:
            assert held.enter_context(raw.stream()).begin(victim.open()).WhichOneof("message") == "accepted"
            for _ in range(2):  # the door gives one of them to the front with fewer calls
                held.enter_context(raw.stream()).send(replace(job, signature=told(job.signature, lie)).open())
            assert site.worker.process.wait(60) == 1
        hostile = [line["what"] for line in logged(site.worker.log) if line["event"] == "hostile front"]
        assert hostile == ["front-1"]
        ends = [event for event in events(site) if isinstance(event, JobEnded | JobCompleted)]
        assert {end.reason for end in ends if isinstance(end, JobEnded)} == {Reason.CELL_FAILED}
        assert not any(isinstance(end, JobCompleted) for end in ends)


def test_one_number_has_one_job_also_while_it_waits(azure: Simulation, tmp_path: Path) -> None:
    """The second would take the place of the first, which no reload and no revocation would end any more."""
    with hostile_site(tmp_path / "site", azure, fronts=1, front="twin_front") as site:
        settled(site)
        with RawWorker.of(site) as raw, ExitStack() as held:
            for _ in range(CELLS):
                assert held.enter_context(raw.stream()).begin(forge(site).open()).WhichOneof("message") == "accepted"
            for lie in ("twin", "again"):
                job = forge(site)
                held.enter_context(raw.stream()).send(replace(job, signature=told(job.signature, lie)).open())
            refused = until(lambda: [event for event in events(site) if isinstance(event, JobRefused)])
        assert {event.reason for event in refused} == {Reason.INTERNAL}  # the first one ends with its call
