"""The serial of a policy: one that was in force is not put back, at a start or by a reload, whoever signed it then."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import StartupError
from cji_core.format.configuration.operator_files import FileRefused, PolicyFiles
from cji_core.format.configuration.worker import Config, load
from cji_core.format.job import Policy, PolicyInvalid
from cji_core.manifest import UNVERIFIED
from cji_core.trail import FilesReloaded, WorkerStarted, read
from cji_worker.ipc import Boot, hand_over
from cji_worker.ipc.messages import ClientDigests, ClientsChange, CommitPolicy, PreparePolicy
from cji_worker.keyholder.__main__ import _record_start as record_start
from cji_worker.keyholder.bundle_in_force import BundleInForce
from cji_worker.keyholder.policy import PolicyInForce, PolicyReload, require_serial
from tests.support.audit_events import opened
from tests.support.keyholder_bench import bench
from tests.support.policies import agency, policy_file, purpose, rule, submitter
from tests.support.worker_configs import WORKER_CONFIG

KEY = ec.generate_private_key(ec.SECP384R1()).public_key()


def data(**top: Any) -> bytes:
    granted = agency("WI0130000", purpose("C", rule(["A" * 43], "validate")))
    return policy_file(submitter("metro-pd", KEY, granted), **top)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG)
    return load(tmp_path / "worker.toml")


def started(serial: int) -> WorkerStarted:
    return WorkerStarted(
        version="1", code_sha384="0a" * 48, config_sha384="0b" * 48, policy_sha384="0c" * 48, policy_serial=serial,
        simulated=True, host_profile="none",
    )  # fmt: skip


def test_a_start_takes_no_older_policy(tmp_path: Path) -> None:
    with opened(tmp_path / "audit") as audit:
        require_serial(Policy.load(data()), audit)  # a new trail knows no serial
        audit.append(started(7))
        audit.append(started(3))  # as a worker of another release would: the highest counts
    with opened(tmp_path / "audit") as audit:
        require_serial(Policy.load(data(serial=7)), audit)
        require_serial(Policy.load(data(serial=8)), audit)
        for older in (data(serial=6), data()):
            with pytest.raises(FileRefused, match="serial 7 was in force") as caught:
                require_serial(Policy.load(older), audit)
            assert isinstance(caught.value, StartupError)


def test_a_worker_that_starts_with_an_older_policy_ends(tmp_path: Path, config: Config) -> None:
    """Before its start is recorded: the trail has no line of it."""
    with bench(tmp_path) as at:
        none = BundleInForce(config)
        boot = Boot(config=config, code=msgspec.structs.replace(UNVERIFIED, sha384=bytes(48)))
        record_start(at.audit, boot, at.signer, policy=Policy.load(data(serial=5)), bundle=none, host=at.host)
        with pytest.raises(FileRefused, match="serial 5 was in force"):
            record_start(at.audit, boot, at.signer, policy=Policy.load(data(serial=4)), bundle=none, host=at.host)
        lines = at.path.read_bytes().splitlines(keepends=True)
    assert [getattr(read(line).event, "policy_serial", None) for line in lines] == [5]


def test_a_reload_takes_no_older_policy(tmp_path: Path, config: Config) -> None:
    with opened(tmp_path / "audit") as audit:
        in_force = PolicyInForce(Policy.load(data(serial=1)))
        none = BundleInForce(config)
        reload = PolicyReload(config, in_force, none, audit, changed=lambda _: None, required=lambda _: None)
        digests = ClientDigests(client_roots=bytes(48), client_crl=None)
        clients = ClientsChange(before=digests, after=digests)

        def reloaded(number: int, policy: bytes) -> str:
            fd = hand_over(msgspec.msgpack.encode(PolicyFiles(policy=policy, signatures=None)))
            prepared = reload.prepare(PreparePolicy(number=number), os.dup(fd))
            os.close(fd)
            if prepared.fault is None:
                fault = reload.commit(CommitPolicy(number=number, by="command", uid=0, clients=clients)).fault
                assert fault is None
                return ""
            return prepared.fault.what

        assert reloaded(1, data(serial=5)) == ""
        assert in_force.now.serial == 5
        assert "serial 5 was in force" in reloaded(2, data(serial=4))
        assert in_force.now.serial == 5
    (line,) = (tmp_path / "audit").read_bytes().splitlines(keepends=True)
    event = read(line).event
    assert isinstance(event, FilesReloaded)
    assert event.policy_serial == 5


@pytest.mark.parametrize("serial", [-1, 1 << 53, "1", 1.5])
def test_a_serial_is_a_count(serial: object) -> None:
    with pytest.raises(PolicyInvalid):
        Policy.load(data(serial=serial))
