"""A machine applies its bundle: from user data and from Blob Storage, into PCR 15 and into memory, all or nothing."""

import grp
import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient
from click.testing import CliRunner, Result

from cji_attestation import AttestationError, Fault
from cji_attestation.appraisal import appraise
from cji_attestation.bundle.archive import Bundle, read
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import MAX_BYTES
from cji_attestation.bundle.names import DOOR, DOOR_ACCESS
from cji_attestation.bundle.signatures import Accepted, sign, verify
from cji_attestation.evidence import Evidence
from cji_attestation.evidence.event_log import AppliedBundle
from cji_attestation.evidence.measured_bundle import measure_bundle
from cji_core.command import build
from cji_core.jose import key_id, thumbprint
from cji_deploy.vault_signer import VaultSigner
from cji_simulator.simulation import Simulation
from cji_worker.bundle.apply import Kept, apply, kept
from cji_worker.bundle.source import fetch
from cji_worker.bundle.update import take
from tests.support.azurite import ACCOUNT, Azurite, StorageCredential, azurite
from tests.support.bundles import NOW, files, keys_folder, made
from tests.support.refusals import rejected

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="apply gives files to groups, as root")
BOUND = b"q" * 32
SEED = 'ml_kem_seed_file = "seeds/a.seed"\nml_kem_thumbprint = "' + "A" * 43 + '"'

NGINX = {DOOR: (b"# nginx\n", DOOR_ACCESS)}


@pytest.fixture(scope="module")
def vm(azure: Simulation) -> Simulation:
    return azure.another_vm()


@pytest.fixture(autouse=True)
def _booted(vm: Simulation) -> None:
    vm.reboot()


@pytest.fixture
def run() -> Iterator[Path]:
    """A folder in memory, as /run is."""
    folder = Path(tempfile.mkdtemp(prefix="cji-bundle-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        with blobs(running) as service:
            service.create_container("bundles")
        yield running


def blobs(at: Azurite) -> BlobServiceClient:
    return BlobServiceClient(at.blob_url, credential=StorageCredential(), connection_verify=str(at.ca_file))


def gid(name: str) -> int:
    return {"cji": 4001, "cji-door": 4002, "cji-audit": 4003, "cji-console": 4004}[name]


def applied(vm: Simulation, run: Path, bundle: Bundle, state: Path | None = None) -> bool:
    done = apply(
        bundle,
        trust=vm.trust,
        folder=run / "cji" / "config",
        state=state or run / "state",
        made=NGINX,
        gid=gid,
    )
    return done.measured


def of(vm: Simulation, **changes: Any) -> Bundle:
    return made(files(cloud="simulation"), **changes)


def shown(vm: Simulation) -> AppliedBundle | None:
    """What evidence of this machine shows to whoever appraises it."""
    evidence = Evidence.from_json(vm.collect(BOUND).to_json())
    verdict = appraise(
        evidence,
        trust=vm.trust,
        reference=vm.reference,
        expected_qualifying_data=BOUND,
        start=None,
        now=NOW,
    )
    assert verdict.boot is not None
    return verdict.boot.bundle


# ------------------------------------------------------------------ measure and write


def test_a_bundle_is_measured_and_its_files_have_readers(vm: Simulation, run: Path) -> None:
    assert shown(vm) is None
    bundle = of(vm)
    assert applied(vm, run, bundle)
    folder = run / "cji" / "config"
    found = {
        path.relative_to(folder).as_posix(): (
            path.read_bytes(),
            path.stat().st_uid,
            path.stat().st_gid,
            oct(path.stat().st_mode)[-4:],
        )
        for path in folder.rglob("*")
        if path.is_file()
    }
    owners = {
        "worker.toml": (0, 4001, "0640"), "policy.toml": (0, 4001, "0640"), "audit.toml": (0, 4003, "0640"),
        "console.toml": (0, 4004, "0640"), "door.conf": (0, 4002, "0640"), "tls/client-roots.pem": (0, 0, "0644"),
        "bundle.head": (0, 0, "0644"), "machine.json": (0, 0, "0644"),
    }  # fmt: skip
    assert {name: rest for name, (_, *rest) in found.items()} == {name: list(each) for name, each in owners.items()}
    assert {name: found[name][0] for name in bundle.files} == dict(bundle.files)
    assert found["bundle.head"][0] == bundle.to_head()
    assert [stat.S_IMODE(each.stat().st_mode) for each in (folder, folder / "tls")] == [0o755, 0o755]
    assert os.listdir(folder.parent) == ["config"]
    assert shown(vm) == AppliedBundle(7, bundle.sha384)


def test_again_changes_nothing_and_another_is_refused(vm: Simulation, run: Path) -> None:
    bundle = of(vm)
    assert applied(vm, run, bundle)
    assert not applied(vm, run, bundle)
    before = sorted((run / "cji").rglob("*"))
    with rejected("bundle-applied", fault=Fault.CONFIG_INVALID):
        applied(vm, run, of(vm, serial=8))
    assert sorted((run / "cji").rglob("*")) == before
    assert shown(vm) == AppliedBundle(7, bundle.sha384)
    vm.reboot()
    shutil.rmtree(run / "cji")
    assert applied(vm, run, of(vm, serial=8))


def test_a_crash_between_measurement_and_files_is_made_good(vm: Simulation, run: Path) -> None:
    bundle = of(vm)
    assert measure_bundle(vm.trust, AppliedBundle(7, bundle.sha384))
    assert not applied(vm, run, bundle)
    assert (run / "cji" / "config" / "worker.toml").exists()


def test_of_many_at_once_one_bundle_is_measured(vm: Simulation) -> None:
    done: list[object] = []

    def measure(number: int) -> None:
        try:
            done.append(measure_bundle(vm.trust, AppliedBundle(number, bytes(48))))
        except AttestationError as error:
            done.append(error.check)

    threads = [threading.Thread(target=measure, args=(number,)) for number in range(1, 5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(map(str, done)) == ["True", "bundle-applied", "bundle-applied", "bundle-applied"]
    assert shown(vm) is not None


def test_a_log_left_between_measurement_and_record(vm: Simulation, run: Path) -> None:
    log = Path(vm.trust.userspace_log)
    log.chmod(log.stat().st_mode | stat.S_ISVTX)
    try:
        with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE):
            applied(vm, run, of(vm))
    finally:
        log.chmod(stat.S_IMODE(log.stat().st_mode) & ~stat.S_ISVTX)
    assert not (run / "cji" / "config").exists()


def test_without_a_tpm_no_file_appears(vm: Simulation, run: Path) -> None:
    trust = msgspec.structs.replace(vm.trust, tcti="device:/nonexistent", userspace_log=str(run / "log"))
    with rejected("tpm-open"):
        apply(of(vm), trust=trust, folder=run / "config", state=run / "state", gid=gid)
    assert not (run / "config").exists()


def test_files_on_a_disk_are_refused(vm: Simulation, tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match="not in memory"):
        apply(of(vm), trust=vm.trust, folder=tmp_path / "config", state=tmp_path, gid=gid)
    assert shown(vm) is None


def test_foreign_files_in_the_folder_are_kept_and_refused(vm: Simulation, run: Path) -> None:
    (run / "cji" / "config").mkdir(parents=True)
    (run / "cji" / "config" / "worker.toml").write_text("x")
    with pytest.raises(BundleRefused, match="files that are not of this bundle"):
        applied(vm, run, of(vm))
    assert (run / "cji" / "config" / "worker.toml").read_text() == "x"


def test_the_serial_number_is_kept_and_never_goes_back(vm: Simulation, run: Path) -> None:
    state = run / "state"
    assert kept(state, "pool-7") == Kept(pool="pool-7")
    applied(vm, run, of(vm))
    assert kept(state, "pool-7").serial == 7
    with pytest.raises(BundleRefused, match="belongs to pool 'pool-7'"):
        kept(state, "pool-8")
    (state / "applied.json").write_text("{}")
    with pytest.raises(BundleRefused, match="cannot be read"):
        kept(state, "pool-7")


# ------------------------------------------------------------------ hot updates


def updated(vm: Simulation, run: Path, bundle: Bundle) -> Result:
    file = run / "pool.bundle"
    file.write_bytes(bundle.to_bytes())
    options = {"--from-file": file, "--keys": keys_folder(run / "keys"), "--folder": run / "cji" / "config"}
    command = [str(each) for pair in {**options, "--state": run / "state"}.items() for each in pair]
    return CliRunner().invoke(build(vm.trust), ["bundle", "update", *command, "--cloud", "simulation", "--json"])


@pytest.fixture
def _groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=gid(name)))


FLOORS = '[ledger]\nkind = "pool"\nblob_url = "https://a.blob.core.windows.net"\nfloors = "floors"\n'


def hot(serial: int = 7, changed: Mapping[str, bytes] | None = None, *, key: str = FLOORS, **more: Any) -> Bundle:
    top = 'control_socket = "/run/cji/control/control.sock"'
    return made(files(cloud="simulation", top=top, key=key, changed=changed), serial=serial, **more)


@pytest.mark.usefixtures("_groups")
def test_a_running_machine_takes_files_of_a_later_bundle(vm: Simulation, run: Path) -> None:
    first, folder = hot(), run / "cji" / "config"
    assert applied(vm, run, first)
    later = hot(8, {"policy.toml": first.files["policy.toml"] + b"# later\n"})
    before = (folder / "tls" / "client-roots.pem").stat().st_ino
    for changed in (["policy.toml"], []):
        result = updated(vm, run, later)
        assert result.exit_code == 0, result.output
        answer = json.loads(result.stdout)
        assert (answer["serial"], answer["changed"], answer["reloaded"]) == (8, changed, False)  # no worker runs
    found = (folder / "policy.toml").stat()
    assert (folder / "policy.toml").read_bytes() == later.files["policy.toml"]
    assert (found.st_uid, found.st_gid, oct(found.st_mode)[-4:]) == (0, 4001, "0640")
    assert (folder / "tls" / "client-roots.pem").stat().st_ino == before
    assert (folder / "bundle.head").read_bytes() == later.to_head()
    assert kept(run / "state", "pool-7").serial == 8
    assert shown(vm) == AppliedBundle(7, first.sha384)  # root could measure another one, too


@pytest.mark.usefixtures("_groups")
def test_an_update_that_needs_a_restart_changes_nothing(vm: Simulation, run: Path) -> None:
    folder = run / "cji" / "config"
    assert applied(vm, run, hot())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    toml = files(cloud="simulation")["audit.toml"] + b"# later\n"
    for bundle, status, says in (
        (hot(8, {"audit.toml": toml}), 2, "audit.toml needs a restart"),
        (hot(6), 3, "serial number 6"),
        (hot(8, by=None), 3, "0 of 1 signatures"),
        (of(vm, serial=8), 2, "there is no control_socket"),
    ):
        result = updated(vm, run, bundle)
        assert (result.exit_code, says in result.output) == (status, True), result.output
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    shutil.rmtree(run / "cji")
    assert "No bundle is in force" in updated(vm, run, hot(9)).output


@pytest.mark.usefixtures("_groups")
def test_without_floors_a_running_machine_keeps_its_files(vm: Simulation, run: Path) -> None:
    folder, first = run / "cji" / "config", hot(key="")
    assert applied(vm, run, first)
    result = updated(vm, run, hot(8, {"policy.toml": first.files["policy.toml"] + b"# later\n"}, key=""))
    assert (result.exit_code, "no floor of the pool" in result.output) == (2, True)
    assert updated(vm, run, first).exit_code == 0
    assert (folder / "policy.toml").read_bytes() == first.files["policy.toml"]
    assert kept(run / "state", "pool-7").serial == 7


@pytest.mark.usefixtures("_groups")
def test_a_door_that_is_not_reloaded_is_asked_again(vm: Simulation, run: Path) -> None:
    """The head is replaced last, so an attempt that failed between two files is made again as a whole."""
    first, folder = of(vm), run / "cji" / "config"
    assert applied(vm, run, first)
    roots = first.files["tls/client-roots.pem"]
    later, calls = made(files(cloud="simulation", changed={"tls/client-roots.pem": roots * 2}), serial=8), list[bytes]()

    def reload_door() -> None:
        calls.append((folder / "tls" / "client-roots.pem").read_bytes())
        if len(calls) == 1:
            raise BundleRefused("no", "again", status=4)

    def once() -> frozenset[str]:
        return take(later, folder=folder, state=run / "state", reload_door=reload_door, gid=gid)

    with pytest.raises(BundleRefused):
        once()
    assert (folder / "bundle.head").read_bytes() == first.to_head()
    assert once() == {"tls/client-roots.pem"}
    assert once() == frozenset()
    assert calls == [roots * 2] * 2


# ------------------------------------------------------------------ fetch


def pointer(**changes: Any) -> bytes:
    found = {"version": 1, "account": ACCOUNT, "container": "bundles", "blob": "pool/7.bundle"} | changes
    return json.dumps({name: value for name, value in found.items() if value is not None}).encode()


def fetched(vm: Simulation, storage: Azurite) -> bytes:
    at = storage.blob_url.removesuffix(f"/{ACCOUNT}")
    trust = msgspec.structs.replace(vm.trust, blob=f"{at}/{{account}}", tls_roots=storage.ca_file.read_text())
    return fetch(trust, {}, identity=lambda _: StorageCredential()).data


def test_a_bundle_in_user_data(vm: Simulation) -> None:
    data = of(vm).to_bytes()
    vm.set_user_data(data)
    found = fetch(vm.trust, {}, identity=lambda _: StorageCredential())
    assert (found.data, found.in_user_data) == (data, True)


def test_a_bundle_in_a_blob(vm: Simulation, storage: Azurite) -> None:
    filler = {f"reference/filler-{number}.crl": os.urandom(1 << 20) for number in range(3)}
    large = made(files(cloud="simulation", changed=filler)).to_bytes()
    with blobs(storage) as service:
        service.get_blob_client("bundles", "pool/7.bundle").upload_blob(large, overwrite=True)
        service.get_blob_client("bundles", "large").upload_blob(bytes(MAX_BYTES + 1), overwrite=True)
    vm.set_user_data(pointer())
    assert fetched(vm, storage) == large
    for changes, reason in (({"blob": "large"}, "more than 4 MiB"), ({"blob": "absent"}, "no such blob")):
        vm.set_user_data(pointer(**changes))
        with pytest.raises(BundleRefused, match=reason):
            fetched(vm, storage)
    vm.set_user_data(pointer(account="another0"))
    with pytest.raises(BundleRefused) as caught:
        fetched(vm, storage)
    assert caught.value.status in {2, 4}


NOTHING = [
    b"#cloud-config", b"{}", b"[]", pointer(version=2), pointer(account="evil.example/"), pointer(account="UPPER"),
    pointer(container="a/b"), pointer(blob="../x"), pointer(blob="a//b"), pointer(blob="/a"), pointer(blob=None),
    pointer(url="https://evil.example"), pointer(sha384="ab" * 48), pointer(client_id="x"),
    pointer(cloud="elsewhere"),
    pointer()[:-1] + b',"blob":"other"}', b"\xff" * 10,
]  # fmt: skip


def test_user_data_that_name_anything_else(vm: Simulation) -> None:
    for data in NOTHING:
        vm.set_user_data(data)
        with pytest.raises(BundleRefused) as caught:
            fetch(vm.trust, {}, identity=lambda _: StorageCredential())
        assert caught.value.remedy


@pytest.mark.parametrize("data", [b"", bytes((64 << 10) + 1)], ids=["none", "too many"])
def test_no_user_data(vm: Simulation, data: bytes) -> None:
    vm.set_user_data(data)
    with pytest.raises(AttestationError) as caught:
        fetch(vm.trust, {}, identity=lambda _: StorageCredential())
    assert caught.value.check == "user-data"


# ------------------------------------------------------------------ the command


def cji(vm: Simulation, run: Path, keys: Path, *more: str) -> Result:
    places = ["--keys", str(keys), "--folder", str(run / "cji" / "config"), "--state", str(run / "state")]
    arguments = ["bundle", "apply", *places, "--cloud", "simulation", *more]
    return CliRunner().invoke(build(vm.trust), arguments, catch_exceptions=False)


def test_the_command_on_a_machine(vm: Simulation, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = keys_folder(run / "keys")
    vm.set_user_data(of(vm).to_bytes())
    without = cji(vm, run, keys)
    assert (without.exit_code, "systemd-sysusers" in without.output) == (2, True)
    assert shown(vm) is None
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=gid(name)))
    done = cji(vm, run, keys, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["serial"], found["measured"], found["sha384"]) == (7, True, of(vm).sha384.hex())
    door = (run / "cji" / "config" / "door.conf").read_text()
    assert f'ssl_client_certificate "{run}/cji/config/tls/client-roots.pem"' in door
    assert "measured before" in cji(vm, run, keys).output


@pytest.mark.parametrize(
    ("bundle", "status", "reason"),
    [
        (made(files(cloud="simulation"), by=None), 3, "0 of 1 signatures"),
        (made(files(cloud="simulation"), pool="pool-8"), 2, "The bundle is of pool 'pool-8'"),
        (
            made(files(cloud="simulation", key=SEED, changed={"seeds/a.seed": b"c2VlZA"})),
            2,
            "the seed of an ML-KEM half",
        ),
        (made(files(cloud="azure-us")), 2, 'cloud = "azure-us" is unknown'),
        (made(files(cloud="simulation", top="unknown = 1")), 2, "unknown field"),
    ],
    ids=["unsigned", "another pool", "a secret", "another cloud", "no configuration"],
)
def test_what_is_refused_leaves_no_trace(vm: Simulation, run: Path, bundle: Bundle, status: int, reason: str) -> None:
    vm.set_user_data(bundle.to_bytes())
    done = cji(vm, run, keys_folder(run / "keys"))
    assert (done.exit_code, reason in done.output) == (status, True), done.output
    assert sorted(os.listdir(run)) == ["keys"]
    assert shown(vm) is None


def test_an_older_bundle_in_user_data_is_refused(vm: Simulation, run: Path) -> None:
    applied(vm, run, of(vm, serial=8))
    vm.reboot()
    shutil.rmtree(run / "cji")
    vm.set_user_data(of(vm).to_bytes())
    done = cji(vm, run, keys_folder(run / "keys"))
    assert (done.exit_code, "8 is the least" in done.output) == (3, True)


# ------------------------------------------------------------------ a key that never leaves its vault


class Operator:
    """The sign-in of whoever signs."""

    def __init__(self, azure: Simulation) -> None:
        self._azure = azure

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(self._azure.operator_token(scopes[0].removesuffix("/.default")), 1 << 40)


def test_a_bundle_signed_by_a_vault(vm: Simulation, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text(vm.endpoints.tls_roots)
    signer = VaultSigner(vm.create_signing_key("bundles"), credential=Operator(vm), ca_file=str(roots))
    bundle = read(sign(of(vm, by=None), signer).to_bytes())
    public = signer.public_key()
    image = Accepted(keys={thumbprint(public): public})
    assert verify(bundle, image, now=NOW) == (key_id(public),)
    with pytest.raises(BundleRefused, match="not an EC key of P-384"):
        VaultSigner(vm.create_signing_key("other", curve="P-256"), credential=Operator(vm), ca_file=str(roots))
    with pytest.raises(BundleRefused, match="did not return the key") as caught:
        VaultSigner(f"{vm.endpoints.hsm_url}/keys/absent/{'0' * 32}", credential=Operator(vm), ca_file=str(roots))
    assert caught.value.status == 4
