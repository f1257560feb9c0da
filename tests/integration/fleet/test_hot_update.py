"""Three machines take a later bundle without a restart; the floor stops the one that does not. One pool for all tests.

Each machine has a bundle of its own here, of the same serial number: its ports differ from those of its neighbours.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.archive import Bundle, make
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.names import HEAD
from cji_attestation.bundle.signatures import FileSigner, accepted_in, sign
from cji_attestation.evidence.kds import fetch_crl
from cji_attestation.evidence.measured_bundle import measure_bundle
from cji_core.command import build
from cji_core.errors import Reason
from cji_core.format.configuration.worker import load
from cji_core.trail import Attested, FilesReloaded, ReloadRefused, WorkerNotReady, WorkerStarted
from cji_core.wire.v1 import worker_pb2 as pb
from cji_deploy.floors import raise_floor
from cji_simulator.certificates import authority, leaf, pem, private_pem, write_private
from cji_simulator.raw import RawWorker, forge, sends
from cji_simulator.site import people
from cji_worker.bundle.update import take
from tests.support.bundles import KEY, LIST, LISTING, keys_folder
from tests.support.fleet_bench import Member, Pool, eventually
from tests.support.fleet_storage import Storage
from tests.support.revocation import crl
from tests.support.simulations import simulated

CA = authority("Second Agency CA", ec.generate_private_key(ec.SECP256R1()))
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
CRL = "tls/client-crl.pem"
SIGNED = ("advisories.jws", "acceptance.jws")
NAMES = ("worker.toml", "policy.toml", "tls/client-roots.pem", CRL, LIST, *(f"reference/{name}" for name in SIGNED))


class Machines:
    """The pool, the files of each machine's bundle, and a second certificate of its one submitter."""

    def __init__(self, folder: Path, storage: Storage) -> None:
        self.storage, self._up = storage, ExitStack()
        self.azure = self._up.enter_context(simulated(folder / "azure", release_limit=1000, report_period=0))
        keys_folder(Path(self.azure.trust.bundle_keys))
        self.pool = Pool(folder / "pool", self.azure, storage, workers=3, prepare=self._prepare)
        self._up.callback(self.pool.close)
        self.other = leaf("other", OTHER_KEY, CA, uris=[self.pool.members[0].files.agency.san]).certificate

    def close(self) -> None:
        self._up.close()

    def _prepare(self, member: Member) -> None:
        folder, config = member.files.folder, member.files.config
        (folder / "tls").mkdir()
        (folder / NAMES[2]).write_bytes(pem(CA.certificate))
        (folder / CRL).write_bytes(crl(CA))
        (folder / "reference").mkdir()
        (folder / LIST).write_bytes(fetch_crl(self.azure.trust, "Genoa").crl)
        for name in SIGNED:
            (folder / "reference" / name).write_bytes((folder / name).read_bytes())
        text = config.read_text().replace('client_roots = "client-roots.pem"', f'client_roots = "{NAMES[2]}"')
        text = text.replace('products = ["Genoa"]\n', 'products = ["Genoa"]\n' + LISTING.removeprefix(", ") + "\n")
        text = re.sub('file = "([a-z]+[.]jws)"', r'file = "reference/\1"', text)
        text = text.replace("[listen]", f'[listen]\nclient_crl = "{CRL}"')
        config.write_text(text.replace('kind = "pool"', 'kind = "pool"\nfloors = "floors"'))
        if member.number == 1:
            key, client = ec.generate_private_key(ec.SECP256R1()), member.files.profile.parent
            (client / "client.pem").write_bytes(pem(leaf("a", key, CA, uris=[member.files.agency.san]).certificate))
            write_private(client / "client.key", private_pem(key))
        bundle = self.bundle(member, 7)
        measure_bundle(member.azure.trust, bundle.name)
        (folder / HEAD).write_bytes(bundle.to_head())

    def bundle(self, member: Member, serial: int, changed: Mapping[str, bytes] | None = None) -> Bundle:
        """Of the files as they are, but for those that change."""
        files = {name: (member.files.folder / name).read_bytes() for name in NAMES} | dict(changed or {})
        now, pool = datetime.now(UTC), load(member.files.config).worker.audience
        unsigned = make(files, pool=pool, serial=serial, created=now, expires=now + timedelta(days=9))
        return sign(unsigned, FileSigner(KEY))

    def update(self, member: Member, serial: int, changed: Mapping[str, bytes]) -> Bundle:
        """A hot update, as the machine's timer makes it."""
        bundle, folder = self.bundle(member, serial, changed), member.files.folder
        assert take(
            bundle,
            folder=folder,
            state=folder / "taken",
            reload_door=lambda: None,
            values=[LIST],
            gid=lambda _: os.getgid(),
        ) == set(changed)
        status, output = self.cji(member, "reload")
        assert status == 0, output
        return bundle

    def cji(self, member: Member, *arguments: str) -> tuple[int, str]:
        command = [*arguments, "--config", str(member.files.config)]
        result = CliRunner().invoke(build(self.azure.trust), command, catch_exceptions=False)
        return result.exit_code, result.output

    def serial(self, member: Member) -> int:
        """Of the bundle that evidence for a submitter shows."""
        with self.pool.site_of(member).client() as client:
            boot = client.attest().verdict.boot
        assert boot is not None
        assert boot.bundle is not None
        assert boot.in_force is not None
        assert boot.bundle.serial == 7
        return boot.in_force.serial

    def floor(self, member: Member, bundle: Bundle, folder: Path) -> str:
        """The refusal of `cji bundle floor` for the evidence of this machine."""
        with self.pool.site_of(member).client() as client:
            (folder / "evidence.json").write_bytes(client.attest().to_file())
        (folder / "pool.bundle").write_bytes(bundle.to_bytes())
        options = {
            "--account": self.storage.azurite.blob_url, "--evidence": str(folder / "evidence.json"),
            "--keys": self.azure.trust.bundle_keys, "--profile": str(self.pool.members[0].files.profile),
        }  # fmt: skip
        command = ["bundle", "floor", str(folder / "pool.bundle"), *(text for pair in options.items() for text in pair)]
        result = CliRunner().invoke(build(self.azure.trust), command, catch_exceptions=False)
        assert result.exit_code == 3, result.output
        return result.output

    def raw_of_other(self, member: Member) -> RawWorker:
        """A connection under the second certificate."""
        site = self.pool.site_of(member)
        return RawWorker(
            site.profile.target, ca=site.profile.tls().ca_pem, certificate=pem(self.other),
            private_key=private_pem(OTHER_KEY),
        )  # fmt: skip

    def refusal_of_other(self, member: Member) -> Reason | None:
        """Of a job under it."""
        with self.raw_of_other(member) as raw:
            job = forge(self.pool.site_of(member))
            return raw.run_once(job.messages(job.stream(people(2))), timeout=60).reason


@pytest.fixture(scope="module")
def machines(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    found = Machines(tmp_path_factory.mktemp("hot"), storage)
    yield found
    found.close()


def attested(member: Member) -> int:
    """How often its machine was."""
    return sum(isinstance(event, Attested) for event in member.events)


def test_a_revocation_reaches_three_machines_without_a_restart(machines: Machines) -> None:
    """A job that was admitted goes on; each machine shows the bundle, to submitters and in its trail."""
    members = machines.pool.members
    pids = [member.worker.pids for member in members if member.worker]
    assert [machines.refusal_of_other(member) for member in members] == [None] * 3
    assert [machines.serial(member) for member in members] == [7] * 3
    first = machines.pool.site_of(members[0])
    with RawWorker.of(first) as raw, raw.stream(timeout=120) as stream:
        job = forge(first)
        assert stream.begin(job.open()).WhichOneof("message") == "accepted"
        revoked = crl(CA, [machines.other.serial_number])
        changed = {CRL: revoked, LIST: fetch_crl(machines.azure.trust, "Genoa").crl}
        before = [(member, attested(member)) for member in members]
        bundles = [machines.update(member, 8, changed) for member in members]
        assert [machines.refusal_of_other(member) for member in members] == [Reason.CERTIFICATE_REFUSED] * 3
        stream.send(*sends(job.stream(people(2))), pb.RunRequest(finish=pb.Finish()))
        stream.half_close()
        assert stream.answer().receipt is not None
    assert [member.worker.pids for member in members if member.worker] == pids
    assert [machines.serial(member) for member in members] == [8] * 3
    eventually(lambda: all(attested(member) > count for member, count in before))  # by AMD's new list
    for member, bundle in zip(members, bundles, strict=True):
        named = [e.bundle for e in member.events if isinstance(e, WorkerStarted | FilesReloaded)]
        assert [each.serial for each in named if each] == [7, 8]
        assert named[1] is not None
        assert named[1].sha384 == bundle.sha384.hex()
        status = json.loads(machines.cji(member, "status", "--json")[1])
        assert status["bundle"] == {"serial": 8, "sha384": bundle.sha384.hex()}
        assert (
            CliRunner().invoke(build(machines.azure.trust), ["audit", "verify", str(member.files.audit)]).exit_code == 0
        )


def test_a_file_that_is_not_the_bundles_is_not_taken(machines: Machines) -> None:
    """The right to write the policy is not enough: the keyholder knows the keys of the image."""
    member = machines.pool.members[0]
    policy, head = member.files.policy, member.files.folder / HEAD
    before = policy.read_bytes(), head.read_bytes()
    for data in (before[1], machines.bundle(member, 9, {"policy.toml": b"# \n"}).to_head(), b""):
        policy.write_bytes(before[0] + b"# changed\n")
        head.write_bytes(data)
        assert machines.cji(member, "reload")[0] == 1
    policy.write_bytes(before[0])
    head.write_bytes(before[1])
    expected = ["policy_file", "policy_file", "bundle"]
    eventually(lambda: [e.file for e in member.events if isinstance(e, ReloadRefused)] == expected)
    assert machines.cji(member, "reload")[0] == 0


def test_the_floor_stops_a_machine_that_misses_an_update(machines: Machines, tmp_path: Path) -> None:
    """The order of the runbook: one machine, then the floor, then the others, which admit nothing meanwhile."""
    first, second, _ = machines.pool.members
    floors = machines.storage.blobs("floors")
    assert floors.create("00000001", b"anything takes a number, and counts nothing")
    changed = {"policy.toml": first.files.policy.read_bytes() + b"# later\n"}
    bundle = machines.update(first, 9, changed)
    assert "has serial 8, SHA-384" in machines.floor(second, bundle, tmp_path)
    accepted = accepted_in(Path(machines.azure.trust.bundle_keys))
    assert [raise_floor(floors, bundle, accepted) for _ in range(2)] == [2, 2]
    assert floors.read("00000002", most=1 << 20) == bundle.to_head()
    with pytest.raises(BundleRefused, match="The floor has the serial number 9"):
        raise_floor(floors, machines.bundle(second, 8), accepted)
    machines.pool.site_of(first).run(people(2))
    site = machines.pool.site_of(second)
    with RawWorker.of(site) as raw:
        job = forge(site)
        assert raw.run_once(job.messages(job.stream(people(2))), timeout=60).reason is Reason.NOT_READY
    eventually(lambda: any(e.condition == "bundle" for e in second.events if isinstance(e, WorkerNotReady)))
    machines.update(second, 9, changed)
    eventually(lambda: json.loads(machines.cji(second, "status", "--json")[1])["state"] == "serving")
    site.run(people(2))
