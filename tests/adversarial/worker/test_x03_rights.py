"""X03: a compromised front reaches no file, no service and no process; the keyholder starts and traces none.

Red before: front and keyholder had every right of their user. As root, the front opened the audit file and devices,
connected to the metadata service and the vault, forked, executed and traced the keyholder.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cji_core.format.configuration.worker import load
from cji_simulator.raw import RawWorker, forge, settled
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from tests.adversarial.peers import told
from tests.adversarial.peers.hostile import hostile_site
from tests.support.simulations import simulated

ROWS = 2
CALLS = {
    "io_uring_setup": 425,
    "bpf": 321,
    "perf_event_open": 298,
    "keyctl": 250,
    "unshare": 272,
    "setns": 308,
    "mount": 165,
    "userfaultfd": 323,
    "memfd_secret": 447,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "init_module": 175,
    "execveat": 322,
}
"""Numbers of x86-64."""


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("rights") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def site(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with hostile_site(tmp_path_factory.mktemp("front"), simulation, fronts=2, front="nosy_front") as site:
        yield site


def outcomes(site: Site, attack: str, *arguments: object) -> set[str]:
    """What the attack came to, on the front's main thread and on a new one. The job has its receipt all the same."""
    prefix = f"nosy {attack} ".encode()
    settled(site)  # a job that finds no cell is sent again, and so is the attack
    before = len(site.worker.log.read_bytes())
    job = forge(site, rows=ROWS)
    job = replace(job, signature=told(job.signature, " ".join(map(str, (attack, *arguments)))))
    with RawWorker.of(site) as raw:
        assert raw.run(job.messages(job.stream(people(ROWS)))).receipt
    lines = site.worker.log.read_bytes()[before:].splitlines()
    found = [line.removeprefix(prefix).decode() for line in lines if line.startswith(prefix)]
    assert len(found) >= 2  # two for each call: a call that comes before a cell is ready is made again
    assert len(found) % 2 == 0
    return set(found)


def port(url: str) -> int:
    found = urlsplit(url).port
    assert found
    return found


def test_x03_the_front_opens_no_file(site: Site) -> None:
    config = load(site.files.config)
    for path in (config.audit_file, config.listen.private_key, "/dev/null", "/proc/self/maps", site.files.config):
        assert outcomes(site, "open", path) == {"EACCES"}, path
    for process in ("keyholder", "front", "front-1"):
        for name in ("mem", "maps", "environ"):
            assert outcomes(site, "open", f"/proc/{site.worker.pids[process]}/{name}") == {"EACCES"}, name
    assert outcomes(site, "list", Path(config.audit_file).parent) == {"EACCES"}


def test_x03_the_front_connects_to_no_service(site: Site) -> None:
    trust = site.simulation.trust
    for url in (site.simulation.endpoints.imds_url, site.cmk.kek_id):
        assert outcomes(site, "connect", port(url)) == {"EPERM"}, url
    assert outcomes(site, "connect_local", site.simulation.endpoints.broker) == {"EPERM"}
    assert outcomes(site, "connect", site.worker.port) == {"EPERM"}
    assert outcomes(site, "connect_local", trust.tcti.rpartition("path=")[2]) == {"EPERM"}  # the TPM
    assert outcomes(site, "listen") == {"EPERM"}


def test_x03_the_front_starts_no_program(site: Site) -> None:
    assert outcomes(site, "execute") == {"EPERM"}
    assert outcomes(site, "fork") == {"EPERM"}


@pytest.mark.parametrize("attack", ["trace", "read_memory", "signal", "own", "signal_thread"])
def test_x03_the_front_reaches_no_other_process(site: Site, attack: str) -> None:
    """Not even another front, which is the same user."""
    pids = site.worker.pids
    assert outcomes(site, attack, pids["keyholder"]) == {"EPERM"}
    assert outcomes(site, attack, pids["front"], pids["front-1"]) == {"EPERM"}


def test_x03_the_front_has_no_call_around_its_filter(site: Site) -> None:
    found = {name: outcomes(site, "call", number) for name, number in CALLS.items()}
    assert [name for name, came_to in found.items() if came_to != {"EPERM"}] == []


def test_the_front_signals_its_own_threads(site: Site) -> None:
    """abort(3) does."""
    assert outcomes(site, "signal_itself") == {"done"}


@pytest.mark.parametrize(("process", "filters"), [("front", 2), ("keyholder", 2)])
def test_x03_every_thread_is_filtered(site: Site, process: str, filters: int) -> None:
    found = set()
    own = status(Path("/proc/self"))["Seccomp_filters"]
    for task in Path(f"/proc/{site.worker.pids[process]}/task").iterdir():
        lines = status(task)
        found.add((lines["Seccomp"], lines["NoNewPrivs"], int(lines["Seccomp_filters"]) - int(own)))
    assert found == {("2", "1", filters)}


def test_x03_the_front_has_no_capability(site: Site) -> None:
    tasks = Path(f"/proc/{site.worker.pids['front']}/task").iterdir()
    sets = {(lines["CapEff"], lines["CapPrm"]) for lines in map(status, tasks)}
    assert sets == {("0" * 16, "0" * 16)}


def status(task: Path) -> dict[str, str]:
    """Lines of proc(5), status."""
    return {
        name: value.strip() for name, _, value in (s.partition(":") for s in (task / "status").read_text().splitlines())
    }
