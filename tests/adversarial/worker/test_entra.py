"""The second identity: each job of a submitter with an application of Microsoft Entra needs a token bound to it.

Every wrong token is refused with its check in the trail, and without any admission, so no key is opened.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cji_simulator.faults import Kind, Service
from cji_simulator.launch import Agency
from cji_simulator.raw import Answer, Metadata, RawWorker, events, forge, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people

from worker.audit import CallsRefused, EntraApplication, JobAdmitted, JobRefused
from worker.client import SyncClient, WorkerRefused
from worker.client.tokens import token_file
from worker.errors import Reason, Stage
from worker.job import LIMITS, EntraRule

RULE = EntraRule(tenant=str(uuid.uuid4()), client=str(uuid.uuid4()), roles=("Cji.Jobs.Run", "Cji.Jobs.Test"))
OTHER = str(uuid.uuid4())


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with Simulation(tmp_path_factory.mktemp("entra") / "azure", release_limit=1000, report_period=0) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def site(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site"), azure, cells=1, agency=Agency(entra=RULE)) as opened:
        until(lambda: b"keys fetched" in opened.worker.log.read_bytes())
        yield opened


def token(site: Site, **changes: Any) -> str:
    return site.simulation.entra_token(site.token_order(**changes))


def run(site: Site, *metadata: tuple[str, str]) -> Answer:
    job = forge(site)
    with RawWorker.of(site, metadata=metadata) as raw:
        return raw.run(job.messages(job.stream(people(2))), timeout=30)


def with_token(site: Site, raw: str, scheme: str = "Bearer") -> Answer:
    return run(site, ("authorization", f"{scheme} {raw}"))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "mtls_pop"])
def test_a_job_with_its_token_runs_and_the_trail_names_the_application(site: Site, scheme: str) -> None:
    assert with_token(site, token(site), scheme).receipt
    admitted = [each for each in events(site) if isinstance(each, JobAdmitted)][-1]
    assert isinstance(admitted.entra, EntraApplication)
    assert (admitted.entra.tenant, admitted.entra.client) == (RULE.tenant, RULE.client)
    assert admitted.entra.uti
