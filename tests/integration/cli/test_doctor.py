"""`cji doctor` on a machine with a simulated vTPM: what is fit, and each thing that is not, by its name."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US, Trust
from cji_core.command import build
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import load
from cji_core.manifest import UNVERIFIED, Code
from cji_core.trail import WorkerStopped
from cji_core.trail.delivered import write_position
from cji_core.trail.trail import START, after
from cji_simulator.door import Door, socket_folder
from cji_simulator.faults import Kind, Service
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_worker.trail.file import AuditFile
from tests.support.fips import configured
from tests.support.privileges import locks_memory
from tests.support.sink_faults import Trail

HEAP_FREE = {"floors", "interpreter", "manifest", "FIPS", "roots", "ptrace-scope", "core-pattern", "host-profile"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, azure: Simulation) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("doctor")
    files = worker_config(folder, simulation=azure, keys=[azure.create_cmk("cji-doctor")])
    place = socket_folder(load(files.config))
    yield folder
    place.rmdir()


def doctor(trust: Trust, *arguments: object) -> tuple[int, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(
        build(trust), ["doctor", *[str(a) for a in arguments], "--json"], catch_exceptions=False
    )
    return result.exit_code, {finding["name"]: finding for finding in json.loads(result.stdout)}


@locks_memory
def test_a_fit_machine(folder: Path, azure: Simulation) -> None:
    status, found = doctor(azure.trust, "--config", folder / "worker.toml")
    states = {name: finding["state"] for name, finding in found.items()}
    assert status == 0, found
    assert {name for name, state in states.items() if state != "ok"} <= HEAP_FREE
    assert states["roots"] == "warning"  # a simulation says so here, too
    assert states["secret heap"] == states["tpm-clock"] == "ok"
    assert "snp" in found["vTPM"]["found"]
    assert (states["floors"], "snp 27 > 23" in found["floors"]["found"]) == ("warning", True)
    assert "acceptance site-1 until" in found["reference values"]["found"]
    assert all(found[name]["found"].startswith("not needed") for name in ("fleet storage", "pool ledger"))
    assert all(finding["remedy"] for finding in found.values() if finding["state"] != "ok")


@locks_memory
def test_code_that_no_manifest_lists_is_named(azure: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker does not start on it; a simulation's does, so there it is a warning."""

    def changed() -> Code:
        raise StartupError("/opt/cji/lib/x.py was changed", "Install the image again.")

    monkeypatch.setattr("cji_worker.verbs.machine_checks.verified_code", changed)
    for trust, state in ((AZURE_US, "failed"), (azure.trust, "warning")):
        _, found = doctor(trust)
        assert found["manifest"]["state"] == state
        assert found["manifest"]["found"] == "/opt/cji/lib/x.py was changed"
    monkeypatch.setattr("cji_worker.verbs.machine_checks.verified_code", lambda: UNVERIFIED)
    status, found = doctor(AZURE_US)
    assert (status, found["manifest"]["state"]) == (0, "ok")


@locks_memory
def test_without_a_configuration_the_rest_is_told_as_not_run(azure: Simulation) -> None:
    status, found = doctor(azure.trust)
    assert status == 0
    assert found["configuration"]["state"] == "not run"
    assert "vTPM" not in found


@locks_memory
@pytest.mark.parametrize(
    ("file", "old", "new", "check"),
    [
        ("worker.toml", "audience", "audiance", "configuration"),
        ("worker.toml", 'cloud = "simulation"', 'cloud = "azure-us"', "configuration"),
        ("worker.toml", '"Genoa"', '"Rome"', "reference values"),
        ("worker.toml", '"Genoa"', "", "reference values"),
        ("worker.toml", "acceptance.jws", "advisories.jws", "reference values"),
        ("worker.toml", "acceptance.jws", "absent.jws", "configuration"),
        ("worker.toml", "advisory_signers", "measurements = []\nadvisory_signers", "reference values"),
        ("worker.toml", 'maa_url = "https://', 'maa_url = "https://x.', "endpoints"),
        ("worker.toml", 'kek_id = "https://', 'kek_id = "https://x.', "endpoints"),
        ("worker.toml", "policy.toml", "absent.toml", "policy"),
        ("worker.toml", "audit.jsonl", "absent/audit.jsonl", "audit file"),
        ("worker.toml", "server.key", "client/client.key", "door"),
        ("worker.toml", "client-roots.pem", "policy.toml", "clients, door"),
        ("worker.toml", 'socket = "', 'socket = "/nowhere', "door"),
        ("worker.toml", "policy_file", 'tables = "client"\npolicy_file', "tables"),
        ("worker.toml", "client_roots =", 'client_crl = "client-roots.pem"\nclient_roots =', "clients"),
        ("policy.toml", "operations", "operation", "policy"),
        ("policy.toml", 'code = "C"', 'code = "*"', "policy"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, azure: Simulation, file: str, old: str, new: str, check: str) -> None:
    path = folder / file
    text = path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new))
        status, found = doctor(azure.trust, "--config", folder / "worker.toml")
    finally:
        path.write_text(text)
    assert status == 1
    assert {name for name, finding in found.items() if finding["state"] == "failed"} == set(check.split(", "))


def test_the_door_is_compared_with_the_worker(folder: Path, azure: Simulation, tmp_path: Path) -> None:
    """Which module a running door uses; with require_fips, a door outside the module is a failure."""
    path = folder / "worker.toml"
    _, found = doctor(azure.trust, "--config", path)
    assert "not running" in found["door"]["found"]
    with Door(load(path), log=tmp_path / "log"):
        _, found = doctor(azure.trust, "--config", path)
    assert found["door"]["state"] == "ok"
    assert re.search(
        r"nginx 1\.\d+ with OpenSSL 3\.\d+, certificate until [\d-]+; [^;]+; "
        "public ranges (open to the keyholder: 0|not read, which needs root); 1 front; it uses no FIPS module",
        found["door"]["found"],
    )
    with tempfile.TemporaryDirectory() as module:
        os.chmod(module, 0o755)  # for the door's user
        with Door(load(path), log=tmp_path / "log", environment=configured(Path(module))):
            _, found = doctor(azure.trust, "--config", path)
    assert "it uses another module: " in found["door"]["found"]
    assert "/ossl-modules/fips.so" in found["door"]["found"]


def test_a_door_of_another_number_of_fronts_is_named(folder: Path, azure: Simulation, tmp_path: Path) -> None:
    path = folder / "worker.toml"
    text = path.read_text()
    try:
        with Door(load(path), log=tmp_path / "log"):
            path.write_text(text.replace("fronts = 1", "fronts = 2"))
            status, found = doctor(azure.trust, "--config", path)
    finally:
        path.write_text(text)
    assert (status, found["door"]["state"]) == (1, "failed")
    assert "leads to 1 fronts, and the worker has 2" in found["door"]["found"]


def test_a_door_whose_connections_nobody_counts_is_named(folder: Path, azure: Simulation, tmp_path: Path) -> None:
    """Written for a firewall that counts, and then the worker's file says that the door does."""
    path = folder / "worker.toml"
    config = load(path)
    limits = msgspec.structs.replace(config.limits, connections_counted_by="firewall")
    with Door(msgspec.structs.replace(config, limits=limits), log=tmp_path / "log"):
        status, found = doctor(azure.trust, "--config", path)
    assert (status, found["door"]["state"]) == (1, "failed")
    assert "nobody counts" in found["door"]["found"]


def test_require_fips_without_a_module_fails(folder: Path, azure: Simulation, tmp_path: Path) -> None:
    path = folder / "worker.toml"
    text = path.read_text()
    try:
        path.write_text(f"require_fips = true\n{text}")
        status, found = doctor(azure.trust, "--config", path)
        with Door(load(path), log=tmp_path / "log"):
            _, beside = doctor(azure.trust, "--config", path)
    finally:
        path.write_text(text)
    assert status == 1
    assert (found["validated module"]["state"], found["door"]["state"]) == ("failed", "not run")
    assert "deploy/fips" in found["validated module"]["remedy"]
    assert (beside["door"]["state"], "no FIPS module" in beside["door"]["found"]) == ("failed", True)


def test_the_audit_trail_is_read_to_its_end(folder: Path, azure: Simulation) -> None:
    path, config = folder / "state" / "audit.jsonl", folder / "worker.toml"
    try:
        with AuditFile(path, worker="worker-1", clock=lambda: datetime(2026, 11, 24, tzinfo=UTC)) as trail:
            trail.append(WorkerStopped(jobs_completed=7))
        whole = path.read_bytes()
        for data, state, says in [
            (whole + b'{"seq":2', "ok", "1 lines, in one chain"),
            (whole.replace(b":7", b":8"), "failed", "audit line 1: hash"),
            (whole + whole, "failed", "audit line 2: seq"),
        ]:
            path.write_bytes(data)
            _, found = doctor(azure.trust, "--config", config)
            assert (found["audit file"]["state"], says in found["audit file"]["found"]) == (state, True), found
    finally:
        path.unlink()


def test_s02_no_vtpm_is_a_failure(folder: Path, azure: Simulation) -> None:
    path = folder / "worker.toml"
    text = path.read_text()
    try:
        path.write_text(text.replace('cloud = "simulation"', 'cloud = "azure-us"'))
        _, found = doctor(AZURE_US, "--config", path)
    finally:
        path.write_text(text)
    if not Path("/dev/tpmrm0").exists():
        assert found["vTPM"]["state"] == "failed"
    assert found["endpoints"]["state"] == "failed"  # a simulation's hosts are none of production's


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up CAP_IPC_LOCK")
def test_locked_memory_is_counted(folder: Path, azure: Simulation) -> None:
    code = (
        "import resource, sys, ctypes, msgspec\n"
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (8 << 20, 8 << 20))\n"
        "libc = ctypes.CDLL(None)\n"
        "header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()\n"
        "assert libc.capget(header, data) == 0\n"
        "data[0] &= ~(1 << 14)\n"
        "assert libc.capset(header, data) == 0\n"
        "from cji_attestation import Trust\n"
        "from cji_core.command import build\n"
        "build(msgspec.json.decode(sys.argv[1], type=Trust))(['doctor', '--config', sys.argv[2], '--json'])\n"
    )
    import msgspec

    done = subprocess.run(
        [sys.executable, "-c", code, msgspec.json.encode(azure.trust).decode(), str(folder / "worker.toml")],
        capture_output=True,
        check=False,
        text=True,
    )
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert "RLIMIT_MEMLOCK is 8 MiB" in found["locked-memory"]["found"]
    assert found["locked-memory"]["state"] == "warning"  # failed under production trust, see test_host_checks


@locks_memory
def test_the_keys_of_tenants(folder: Path, azure: Simulation, tmp_path: Path) -> None:
    """A policy that requires tokens, without [entra], without the authority, and with both."""
    config, policy = (tmp_path / name for name in ("worker.toml", "policy.toml"))
    text = (folder / "worker.toml").read_text().replace('policy_file = "policy.toml"', f'policy_file = "{policy}"')
    config.write_text(text)
    for path in folder.iterdir():
        if path.name not in ("worker.toml", "policy.toml"):
            (tmp_path / path.name).symlink_to(path)
    tenant, client = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
    rule = f'entra = {{ tenant = "{tenant}", client = "{client}", roles = ["Run"] }}'
    policy.write_text((folder / "policy.toml").read_text().replace("suites =", f"{rule}\nsuites ="))

    def states() -> tuple[str, str]:
        _, found = doctor(azure.trust, "--config", config)
        return found["policy"]["state"], found["Microsoft Entra"]["state"]

    assert states() == ("failed", "not run")
    config.write_text(text.replace("[worker]", '[entra]\naudience = "x"\n\n[worker]'))
    assert states() == ("ok", "ok")
    azure.fault(Service.ENTRA, Kind.DOWN)
    try:
        assert states() == ("ok", "failed")
    finally:
        azure.clear_faults()


def test_the_delivery_of_the_trail_is_compared_with_it(folder: Path, azure: Simulation, tmp_path: Path) -> None:
    text = (folder / "worker.toml").read_text().replace('audit_file = "state/audit.jsonl"', 'audit_file = "audit.log"')
    section = f'[audit_delivery]\nstate = "{tmp_path}/delivered"\nrequired = ["sentinel"]\non_failure = "alert"\n'
    config = folder / "delivery.toml"
    config.write_text(f"{text}\n{section}")
    trail = Trail(folder / "audit.log")
    trail.grow(3)

    def checked() -> dict[str, Any]:
        return doctor(azure.trust, "--config", config)[1]["audit delivery"]

    assert checked()["state"] == "failed"
    assert "cannot be read" in checked()["found"]
    (tmp_path / "delivered").mkdir()
    assert checked()["found"].startswith("sentinel: late; line 0 was the last")
    places = [position for position, _ in after(trail.path, START)]
    write_position(tmp_path / "delivered", "sentinel", places[-1])
    assert (checked()["state"], checked()["found"]) == ("ok", "sentinel at line 3; on failure: alert")
    trail.path.write_bytes(trail.path.read_bytes()[: places[-1].offset])
    assert "contradicted" in checked()["found"]


def test_the_log_is_checked_by_the_deliverer_s_file(azure: Simulation, tmp_path: Path) -> None:
    """On any machine that has the file; a check that fails makes the exit status 1."""
    config = tmp_path / "audit.toml"
    config.write_text(
        'trail = "audit.log"\nstate = "state"\nreceipt_keys = "keys"\n[log]\npolicy = "p"\ntoken_file = "t"\n'
    )
    status, found = doctor(azure.trust, "--delivery", config)
    assert (status, found["agency's log"]["state"]) == (1, "failed")
    assert "p cannot be read" in found["agency's log"]["found"]
    assert "agency's log" not in doctor(azure.trust)[1]
    arguments = ["doctor", "--azure", "--export", str(config), "--delivery", str(config)]
    assert CliRunner().invoke(build(azure.trust), arguments).exit_code == 2
