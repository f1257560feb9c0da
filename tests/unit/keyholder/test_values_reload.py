"""A reload with other files of reference values: they come into force with the signed bundle that they are of."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cji_attestation.appraisal import ReferenceValues
from cji_attestation.bundle.archive import Bundle
from cji_core.format.configuration.operator_files import PolicyFiles
from cji_core.format.configuration.policy_files import read_policy
from cji_core.format.configuration.worker import load
from cji_core.trail import FilesReloaded, read
from cji_worker.ipc import hand_over
from cji_worker.ipc.messages import (
    AbandonReload,
    ClientDigests,
    ClientsChange,
    CommitPolicy,
    PreparePolicy,
    reload_fault,
)
from cji_worker.keyholder.bundle_in_force import BundleInForce
from cji_worker.keyholder.policy import PolicyInForce, PolicyReload
from tests.support.audit_events import opened
from tests.support.bundles import LIST, LISTING, accepted, files, folder_of, made
from tests.support.forge import crl

FLOORS = '[ledger]\nkind = "pool"\nblob_url = "https://a.blob.core.windows.net"\nfloors = "floors"\n'
OLD, NEW = crl(), crl(1)


def of(listed: bytes, serial: int) -> Bundle:
    return made(files(key=FLOORS, values=LISTING, changed={LIST: listed}), serial=serial)


class Desk:
    """A keyholder's part in reloads, and the reference values that came into force."""

    def __init__(self, folder: Path, trail: Path) -> None:
        bundle = of(OLD, 7)
        config = load(folder_of(folder, bundle.files) / "worker.toml")
        self.trail, self.number = trail, 0
        self.required: list[ReferenceValues] = []
        self.clients = ClientDigests(
            client_roots=bytes.fromhex(
                next(e.sha384 for e in bundle.manifest.files if e.name == "tls/client-roots.pem")
            ),
            client_crl=None,
        )
        self._opened = opened(trail)
        self.reload = PolicyReload(
            config,
            PolicyInForce(read_policy(config)),
            BundleInForce(config, bundle, accepted()),
            self._opened.__enter__(),
            changed=lambda _: None,
            required=self.required.append,
        )

    def close(self) -> None:
        self._opened.__exit__(None, None, None)

    def prepared(self, bundle: Bundle, values: dict[str, bytes]) -> str:
        """The fault in these files, empty for none."""
        self.number += 1
        given = PolicyFiles(policy=bundle.files["policy.toml"], signatures=None, head=bundle.to_head(), values=values)
        fd = hand_over(msgspec.msgpack.encode(given))
        found = self.reload.prepare(PreparePolicy(number=self.number), os.dup(fd))
        os.close(fd)
        return "" if found.fault is None else found.fault.what

    def commit(self) -> None:
        change = ClientsChange(before=self.clients, after=self.clients)
        done = self.reload.commit(CommitPolicy(number=self.number, by="command", uid=0, clients=change))
        assert done.fault is None


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "config", tmp_path / "audit")
    yield found
    found.close()


def test_other_values_come_into_force_with_their_bundle(desk: Desk) -> None:
    assert desk.prepared(of(NEW, 8), {LIST: NEW}) == ""
    assert not desk.required
    desk.commit()
    assert [each.amd_crls for each in desk.required] == [{"Genoa": NEW}]
    assert desk.required[0].products == ("Genoa",)
    event = read(desk.trail.read_bytes().splitlines(keepends=True)[-1]).event
    assert isinstance(event, FilesReloaded)
    assert event.bundle is not None
    assert (event.bundle.serial, event.bundle.sha384) == (8, of(NEW, 8).sha384.hex())


def test_values_in_force_are_not_taken_again(desk: Desk) -> None:
    """Custody would attest again for each policy."""
    for bundle, listed in ((of(OLD, 8), OLD), (of(NEW, 9), NEW), (of(NEW, 10), NEW)):
        assert desk.prepared(bundle, {LIST: listed}) == ""
        desk.commit()
    assert len(desk.required) == 1


def test_abandoned_values_are_not_in_force(desk: Desk) -> None:
    assert desk.prepared(of(NEW, 8), {LIST: NEW}) == ""
    desk.reload.abandon(AbandonReload(by="command", uid=0, fault=reload_fault("client_crl", "x", "y")))
    assert not desk.required


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({LIST: OLD}, f"{LIST} is not that of bundle 8"),
        ({}, "its files are not those that reference values"),
        ({LIST: NEW, "reference/a.jws": b"x"}, "its files are not those that reference values"),
    ],
    ids=["of another bundle", "none", "one more"],
)
def test_other_files_than_the_bundles_are_refused(desk: Desk, values: dict[str, bytes], says: str) -> None:
    assert says in desk.prepared(of(NEW, 8), values)
