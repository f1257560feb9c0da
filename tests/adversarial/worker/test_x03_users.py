"""X03: each process is a user of its own, and reaches only what the diagram of the processes gives it.

Red before: a second process of the worker's user attested, got the CMK from the vault in 2.5 s, and could open the
audit file and the keyholder's entries in /proc; the zygote, the supervisor and the keyholder had every file of that
user; the keyholder connected anywhere; the supervisor could start programs.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import msgspec
import pytest

from cji_client.profile import load_profile
from cji_core.format.configuration.worker import load
from cji_simulator.door import DOOR_USER
from cji_simulator.launch import worker_config
from cji_simulator.processes import ended
from cji_simulator.raw import settled, until
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker
from cji_worker.fronts import FRONT_NAMES
from cji_worker.rights import FRONT, SUPERVISOR
from tests.adversarial.peers.hostile import hostile_site
from tests.adversarial.peers.nosy import ORDERS
from tests.support.paths import ROOT
from tests.support.service import UNDER, USER
from tests.support.simulations import simulated

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give processes user ids of their own")
NEIGHBOUR = """
import json, sys
from pathlib import Path
from tests.adversarial.peers.nosy import outcome
from cji_worker.rights import become
user, groups, attacks = json.loads(sys.argv[1])
if user is not None:
    become(user, groups=groups)
print(json.dumps([outcome(attack, arguments) for attack, *arguments in attacks]))
"""
ATTESTER = """
import json, sys
from pathlib import Path
import msgspec
from cji_attestation import AttestationError, Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.evidence.boot_logs import open_logs
from cji_attestation.release import Attester, KeySpec
from cji_core.format.configuration.worker import load
from cji_worker.rights import become
user, groups, path, trust = json.loads(sys.argv[1])
config, trust = load(path := Path(path)), msgspec.json.decode(trust, type=Trust)
section, key = config.attestation, config.keys[0]
attester = Attester(
    trust=trust, maa_url=section.maa_url, client_id=section.client_id, region=config.worker.region,
    reference=msgspec.convert(section.values(), ReferenceValues, str_keys=True),
    ak_issuers=Path(section.ak_issuers).read_bytes(), logs=open_logs(trust),
)
attester.preload()
if user is not None:
    become(user, groups=groups)
try:
    attestation = attester.attest(receipt_key=bytes(32))
    spec = KeySpec(kek_id=key.kek_id, public_thumbprint=key.public_thumbprint, policy_sha256=key.policy_sha256)
    print(attester.release_into(attestation, spec, memoryview(bytearray(16 << 10))).length > 0)
except AttestationError as error:
    print(error.fault.value, error.check)
"""


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("orders") / "orders"
    path.touch()
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, orders: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("users")
    with (
        pytest.MonkeyPatch.context() as patch,
        simulated(folder / "azure", release_limit=1000) as azure,
    ):
        patch.setenv(ORDERS, str(orders))
        peers = {name: f"nosy_{name}" for name in ("zygote", "keyholder", "control")}
        with hostile_site(folder / "site", azure, fronts=None, agency=None, **peers) as site:
            yield site


def ordered(site: Site, orders: Path, process: str, attack: str, *arguments: object) -> str:
    """What an attack by this process of the worker came to."""
    before = len(site.worker.log.read_bytes())
    with orders.open("a") as file:
        file.write(" ".join(map(str, (process, attack, *arguments))) + "\n")
    start = f"nosy {process} {attack} ".encode()

    def found() -> str | None:
        lines = site.worker.log.read_bytes()[before:].splitlines()
        return next((line.removeprefix(start).decode() for line in lines if line.startswith(start)), None)

    return until(found)


def run(script: str, *arguments: object) -> str:
    """What a process of root's prints that becomes somebody else."""
    command = [sys.executable, "-c", script, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ports(site: Site) -> Mapping[str, int]:
    config = load(site.files.config)
    urls = {"maa": config.attestation.maa_url, "vault": site.cmk.kek_id}
    return {name: urlsplit(url).port or 0 for name, url in urls.items()}


def tpm(site: Site) -> str:
    """The socket that stands for the device."""
    return site.simulation.trust.tcti.rpartition("path=")[2]


def entries(site: Site) -> list[str]:
    """The keyholder in /proc."""
    return [f"/proc/{site.worker.pids['keyholder']}/{name}" for name in ("mem", "maps", "environ", "auxv", "syscall")]


def user_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (found,) = {word for line in lines if line.startswith("Uid:") for word in line.split()[1:]}
    return int(found)


def groups_of(pid: int) -> list[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [int(word) for line in lines if line.startswith("Groups:") for word in line.split()[1:]]


@pytest.mark.root
@root_only
def test_x03_every_process_is_a_user_of_its_own(site: Site) -> None:
    """But control, which reads the operator's files and is the keyholder's user; what it reaches is tested below.

    All fronts are one user, which owns nothing: test_x03_rights has what one reaches of another.
    """
    fronts = {pid for name, pid in site.worker.pids.items() if name in FRONT_NAMES}
    pids = {*site.worker.pids.values(), *settled(site)} - {site.worker.pids["control"]}
    assert len({user_of(pid) for pid in pids}) == len(pids - fronts) + 1 == 6
    assert user_of(site.worker.pids["keyholder"]) == user_of(site.worker.pids["control"]) == os.getuid()
    others = {pid for pid in pids if user_of(pid) != os.getuid()}
    assert {pid: found for pid in others if (found := groups_of(pid))} == {pid: [DOOR_USER] for pid in fronts}


@pytest.mark.root
@root_only
@pytest.mark.parametrize("process", ["front", "zygote", "supervisor", "cell"])
def test_x03_their_users_reach_nothing_of_the_keyholder(site: Site, process: str) -> None:
    """Their user ids alone, without filter, Landlock or namespace."""
    config, keyholder = load(site.files.config), site.worker.pids["keyholder"]
    files = [config.audit_file, f"{config.audit_file}.ledger", config.listen.private_key, str(site.files.config)]
    attacks = [
        *(("open", path) for path in [*files, *entries(site)]),
        ("list", str(Path(config.audit_file).parent)),
        ("list", f"/proc/{keyholder}/fd"),
        ("connect_local", tpm(site)),
        *((name, keyholder) for name in ("trace", "read_memory", "signal")),
    ]
    pid = site.worker.pids.get(process) or min(settled(site))
    allowed = json.loads(run(NEIGHBOUR, None, [], attacks))
    assert set(allowed) <= {"done", "EFAULT"}, "the attacks work"
    found = json.loads(run(NEIGHBOUR, user_of(pid), groups_of(pid), attacks))
    assert [attack for attack, came_to in zip(attacks, found, strict=True) if came_to not in ("EACCES", "EPERM")] == []


@pytest.mark.root
@root_only
def test_x03_only_the_keyholders_user_gets_the_key(site: Site) -> None:
    """The worker's own program obtains it once in each boot; another user has neither TPM nor broker."""
    trust, other = (msgspec.json.encode(vm.trust).decode() for vm in (site.simulation, site.simulation.another_vm()))
    assert run(ATTESTER, None, [], str(site.files.config), other) == "True", "the attack works"
    assert run(ATTESTER, None, [], str(site.files.config), trust) == "EVIDENCE_INVALID E48"
    for name in ("front", "zygote", "supervisor"):
        who = user_of(site.worker.pids[name]), groups_of(site.worker.pids[name])
        assert run(ATTESTER, *who, str(site.files.config), trust) == "EVIDENCE_UNAVAILABLE imds-location", name


def test_x03_the_zygote_reaches_no_file_and_no_service(site: Site, orders: Path) -> None:
    config = load(site.files.config)
    for path in (config.audit_file, config.listen.private_key, *entries(site), "/dev/null"):
        assert ordered(site, orders, "zygote", "open", path) == "EACCES", path
    for name, port in {**ports(site), "front": site.worker.port}.items():
        assert ordered(site, orders, "zygote", "connect", port) in ("EACCES", "ENETUNREACH"), name
    assert ordered(site, orders, "zygote", "execute", "/bin/true") == "EACCES"
    for attack in ("trace", "read_memory", "signal"):
        assert ordered(site, orders, "zygote", attack, site.worker.pids["keyholder"]) == "EPERM", attack


@pytest.mark.root
@root_only
def test_x03_the_zygote_does_not_connect_to_the_tpm(site: Site, orders: Path) -> None:
    assert ordered(site, orders, "zygote", "connect_local", tpm(site)) == "EACCES"


def test_x03_the_keyholder_reaches_its_services_only(site: Site, orders: Path) -> None:
    for name, port in ports(site).items():
        assert ordered(site, orders, "keyholder", "connect", port) == "done", name
    assert ordered(site, orders, "keyholder", "connect_local", site.simulation.endpoints.broker) == "done"
    metadata_service = urlsplit(site.simulation.endpoints.imds_url).port
    assert ordered(site, orders, "keyholder", "connect", metadata_service) == "EACCES"
    assert ordered(site, orders, "keyholder", "connect", site.worker.port) == "EACCES"
    assert ordered(site, orders, "keyholder", "connect", 22) == "EACCES"
    assert ordered(site, orders, "keyholder", "listen") == "EACCES"


def test_x03_the_keyholder_opens_its_files_only(site: Site, orders: Path) -> None:
    config = load(site.files.config)
    for path in (config.listen.private_key, str(site.files.config), "/etc/passwd", "/dev/null", str(orders)):
        assert ordered(site, orders, "keyholder", "open", path) == "EACCES", path
    assert ordered(site, orders, "keyholder", "list", "/") == "EACCES"
    assert ordered(site, orders, "keyholder", "list", Path(config.audit_file).parent) == "done"
    assert ordered(site, orders, "keyholder", "write", config.policy_file) == "EACCES"
    for path in (f"/proc/{site.worker.pids[name]}/maps" for name in ("front", "zygote", "supervisor")):
        assert ordered(site, orders, "keyholder", "open", path) == "EACCES", path
    assert ordered(site, orders, "keyholder", "fork") == "EPERM"


def test_x03_control_reads_the_operators_files_only(site: Site, orders: Path) -> None:
    config, keyholder = load(site.files.config), site.worker.pids["keyholder"]
    assert ordered(site, orders, "control", "open", config.policy_file) == "done"
    assert ordered(site, orders, "control", "write", config.policy_file) == "EACCES"
    for path in (*entries(site), str(orders), "/etc/passwd", "/dev/null"):
        assert ordered(site, orders, "control", "open", path) == "EACCES", path
    for name, port in {**ports(site), "front": site.worker.port}.items():
        assert ordered(site, orders, "control", "connect", port) == "EPERM", name
    for path in (tpm(site), site.simulation.endpoints.broker):
        assert ordered(site, orders, "control", "connect_local", path) == "EPERM"
    for attack in ("fork", "execute", "listen"):
        assert ordered(site, orders, "control", attack) in ("EACCES", "EPERM"), attack
    for attack in ("trace", "read_memory", "signal", "signal_thread", "open_pidfd"):
        assert ordered(site, orders, "control", attack, keyholder) == "EPERM", attack


def test_x03_the_supervisor_only_watches(site: Site, orders: Path) -> None:
    config = load(site.files.config)
    for path in (config.audit_file, config.listen.private_key, *entries(site), "/dev/null"):
        assert ordered(site, orders, "supervisor", "open", path) == "EPERM", path
    assert ordered(site, orders, "supervisor", "connect", site.worker.port) == "EPERM"
    for attack in ("fork", "execute", "listen"):
        assert ordered(site, orders, "supervisor", attack) == "EPERM", attack
    for attack in ("trace", "read_memory", "signal", "signal_thread", "open_pidfd"):
        for victim in (site.worker.pids["keyholder"], os.getpid()):
            assert ordered(site, orders, "supervisor", attack, victim) == "EPERM", attack
    assert ordered(site, orders, "supervisor", "stop_children") == "EPERM"
    status = Path(f"/proc/{site.worker.pids['supervisor']}/status").read_text()
    (effective,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    assert int(effective, 16) & ~(1 << 5) == 0  # CAP_KILL, for its children


@pytest.mark.root
@root_only
def test_x03_an_unprivileged_service_gives_users_too() -> None:
    """As under systemd: no process is root, at any time."""
    with TemporaryDirectory() as name, simulated(Path(name) / "azure", release_limit=1000) as azure:
        folder = Path(name)
        cmk = azure.create_cmk("cji-service")
        files = worker_config(folder / "site", simulation=azure, keys=[cmk])
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER)
        log = folder / "worker.log"
        with Worker(files.config, trust=azure.trust, log=log, under=UNDER) as worker:
            profile = load_profile(files.profile)
            served = Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=profile)
            assert served.run(people(2)).receipt
            users = {re.sub("-[0-9]+$", "", name): user_of(pid) for name, pid in worker.pids.items()}
            assert users.pop("control") == USER
            assert users == {"supervisor": SUPERVISOR, "zygote": FRONT - 128, "keyholder": USER, "front": FRONT}
            assert {user_of(pid) for pid in settled(served)} == {FRONT - 127, FRONT - 126}
            for pid in (pid for name, pid in worker.pids.items() if name not in ("supervisor", "zygote")):
                assert "CapPrm:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
        assert worker.process.returncode == 0
        assert '"notice"' not in log.read_text()


@pytest.mark.parametrize("process", ["zygote", "keyholder", "front"])
def test_x03_nobody_outlives_the_supervisor(tmp_path: Path, site: Site, process: str) -> None:
    """A stopped process is killed by another user; see `Supervisor._stop`."""
    with hostile_site(tmp_path / "site", site.simulation) as other:
        os.kill(other.worker.pids[process], 19)
        other.worker.process.kill()
        until(lambda: all(ended(pid) for pid in other.worker.pids.values()))
