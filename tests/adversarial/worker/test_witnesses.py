"""X05: neither a compromised cell nor a compromised front alone can make a false receipt.

Red before: the summary of a cell was signed as it came, and the cell decided when the last segments left.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cji_client.errors import Unverified
from cji_client.seal import INPUT_NAME
from cji_core.errors import Reason, Stage
from cji_core.trail import JobCompleted, JobEnded, JobRefused, WitnessesDisagreed
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import Answer, RawJob, RawWorker, events, forge, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from tests.adversarial.peers import evil_front, false_witness, told
from tests.adversarial.peers.hostile import hostile_site
from tests.support.simulations import simulated

NOT_LAST = b"\xff\xff\xff\xff"
ROWS = 100
SEVERAL_SEGMENTS = 200_000  # rows


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("witnesses") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def lying_cell(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with hostile_site(tmp_path_factory.mktemp("cell"), simulation, zygote="false_witness") as site:
        yield site


@pytest.fixture(scope="module")
def lying_front(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with hostile_site(tmp_path_factory.mktemp("front"), simulation, front="evil_front") as site:
        yield site


def run(site: Site, lie: str, *, rows: int = ROWS, timeout: float = 30, to: str = "cell") -> tuple[RawJob, Answer]:
    """A job that tells its lie where that peer reads it."""
    job = forge(site, case_number=lie if to == "cell" else "", rows=rows)
    if to == "front":
        job = replace(job, signature=told(job.signature, lie))
    with RawWorker.of(site) as raw:
        return job, raw.run(job.messages(job.stream(people(rows))), timeout=timeout)


def trail(site: Site, job: RawJob) -> list[Any]:
    """The events of a job, without attempts that found no cell."""
    job_id = pb.JobHeader.FromString(job.header).job_id.hex()
    found = [event for event in events(site) if getattr(event, "job_id", None) == job_id]
    return [event for event in found if not isinstance(event, JobRefused)]


def disagreement(site: Site, job: RawJob, answer: Answer) -> tuple[str, ...]:
    """What the witnesses disagreed about, in a job that ended for it: refused, audited, logged, without a receipt."""
    assert (answer.receipt, answer.reason, answer.stage) == (None, Reason.INTERNAL, Stage.COMMIT)
    _, disagreed, ended = trail(site, job)
    assert isinstance(disagreed, WitnessesDisagreed)
    assert isinstance(ended, JobEnded)
    assert (ended.reason, ended.stage) == (Reason.INTERNAL, Stage.COMMIT)
    logged = [line for line in site.worker.log.read_bytes().splitlines() if b'"witnesses disagree"' in line]
    assert any(disagreed.correlation_id.encode() in line for line in logged)
    return disagreed.about


def no_last_segment(answer: Answer) -> bool:
    segments = [m.segment for m in answer.messages if m.WhichOneof("message") == "segment"]
    return all(s.data[74 if s.index == 0 else 0 :][:4] == NOT_LAST for s in segments)


@pytest.mark.parametrize("peer", ["lying_cell", "lying_front"])
def test_a_peer_that_tells_no_lie_gets_its_receipt(peer: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(peer)
    job, answer = run(site, "none", to=peer.removeprefix("lying_"))
    assert answer.receipt
    assert isinstance(trail(site, job)[-1], JobCompleted)


@pytest.mark.parametrize("lie", false_witness.LIES)
def test_x05_a_cell_that_lies_has_no_receipt(lying_cell: Site, lie: str) -> None:
    job, answer = run(lying_cell, lie)
    about, _ = false_witness.LIES[lie]
    assert disagreement(lying_cell, job, answer) == (about,)
    assert no_last_segment(answer)


def test_x05_the_front_holds_the_last_segments_back(lying_cell: Site) -> None:
    """A cell gave everything to the front and never told the keyholder."""
    job, answer = run(lying_cell, false_witness.SILENCE, timeout=6)
    assert (answer.receipt, answer.reason) == (None, Reason.DEADLINE)
    assert no_last_segment(answer)
    until(lambda: isinstance(trail(lying_cell, job)[-1], JobEnded))


@pytest.mark.parametrize("lie", evil_front.INPUTS)
def test_x05_a_front_cannot_misplace_an_input_segment(lying_front: Site, lie: str) -> None:
    job, answer = run(lying_front, lie, rows=SEVERAL_SEGMENTS, to="front")
    assert answer.receipt is None
    assert not [event for event in trail(lying_front, job) if isinstance(event, JobCompleted)]


@pytest.mark.parametrize("lie", evil_front.OUTPUTS)
def test_x05_a_front_that_misplaces_an_output_is_refused(lying_front: Site, lie: str) -> None:
    job, answer = run(lying_front, lie, rows=SEVERAL_SEGMENTS, to="front")
    assert disagreement(lying_front, job, answer) == ("outputs",)


@pytest.mark.parametrize("lie", [lie for lie in evil_front.STATEMENTS if lie != "digest of output"])
def test_x05_a_front_that_miscounts_has_no_receipt(lying_front: Site, lie: str) -> None:
    job, answer = run(lying_front, lie, to="front")
    about = "result_header" if lie == "header" else "inputs" if "input" in lie else "outputs"
    assert disagreement(lying_front, job, answer) == (about,)


def test_x05_the_client_refuses_a_wrong_digest_of_the_front(lying_front: Site) -> None:
    """The front alone hashes the bytes, and whoever holds them hashes them again."""
    job = lying_front.seal()
    job = replace(job, signature=told(job.signature, "digest of output"))
    with lying_front.client() as client, pytest.raises(Unverified) as refused:
        client.run(job, {INPUT_NAME: people(ROWS)}, attested=client.attest(), deadline=30)
    assert refused.value.check == "outputs[0].sha256"
