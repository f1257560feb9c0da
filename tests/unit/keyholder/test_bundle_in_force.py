"""The keyholder's own view of bundles: no file comes into force that is not one of a bundle with enough signatures."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import AZURE_US
from cji_attestation.bundle.archive import Bundle
from cji_attestation.bundle.signatures import Rank
from cji_core.format.configuration.operator_files import FileRefused, PolicyFiles
from cji_core.format.configuration.worker import Config, load
from cji_worker.ipc.messages import ClientDigests
from cji_worker.keyholder.bundle_in_force import BundleInForce, bundle_at_start
from tests.support.bundles import LIST, LISTING, NOW, accepted, files, folder_of, keys_folder, made, policy
from tests.support.forge import crl

FLOORS = '[ledger]\nkind = "pool"\nblob_url = "https://a.blob.core.windows.net"\nfloors = "floors"\n'
OTHER = policy() + b"# later\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    folder_of(tmp_path, files(key=FLOORS))
    return load(tmp_path / "worker.toml")


def of(serial: int = 8, changed: Mapping[str, bytes | None] | None = None, **made_as: object) -> Bundle:
    return made(files(key=FLOORS, changed=changed), serial=serial, **made_as)  # type: ignore[arg-type]


def handed(bundle: Bundle, *, policy: bytes | None = None) -> PolicyFiles:
    return PolicyFiles(policy=policy or bundle.files["policy.toml"], signatures=None, head=bundle.to_head())


def in_force(config: Config) -> BundleInForce:
    return BundleInForce(config, of(7), accepted())


def refused(found: BundleInForce, given: PolicyFiles) -> str:
    with pytest.raises(FileRefused) as caught:
        found.checked(given)
    assert caught.value.remedy
    return caught.value.what


def test_a_later_bundle_is_taken(config: Config) -> None:
    found, later = in_force(config), of(changed={"policy.toml": OTHER})
    head = found.checked(handed(later))
    assert head is not None
    assert head.sha384 == later.sha384
    found.take(head)
    assert found.rank == Rank(1, 8)


def test_the_same_bundle_is_read_again_after_it_expired(config: Config) -> None:
    old = of(7, created=NOW.replace(year=NOW.year - 1), days=30)
    found = BundleInForce(config, old, accepted())
    assert found.checked(handed(old)) is not None
    assert "expired" in refused(found, handed(of(created=NOW.replace(year=NOW.year - 1), days=30)))


def test_the_same_bundle_keeps_its_signatures(config: Config) -> None:
    found = in_force(config)
    head = found.checked(handed(of(7, by=None)))
    found.take(head)
    assert found.rank == Rank(1, 7)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (of(by=None), "0 of 1 signatures"),
        (of(by=ec.generate_private_key(ec.SECP384R1())), "0 of 1 signatures"),
        (replace(of(9, by=None), signatures=of(8).signatures), "is false"),
        (of(6), "serial number 6"),
        (of(changed={"audit.toml": b"x"}), "needs a restart"),
        (of(pool="pool-8"), "pool-8"),
    ],
    ids=["unsigned", "by another key", "signature of another", "earlier", "another file", "another pool"],
)
def test_no_other_bundle_is_taken(config: Config, given: Bundle, says: str) -> None:
    assert says in refused(in_force(config), handed(given))


def test_files_of_another_bundle_are_refused(config: Config) -> None:
    """So a file that is changed beside the head, with the right to write it, is never read."""
    assert "policy.toml is not that of bundle 8" in refused(in_force(config), handed(of(), policy=OTHER))
    assert "policy.toml is not that of bundle 7" in refused(in_force(config), handed(of(7), policy=OTHER))
    assert "bundle.head is not beside" in refused(in_force(config), PolicyFiles(policy=policy(), signatures=None))
    unsigned = PolicyFiles(policy=of().files["policy.toml"], signatures=b"x", head=of().to_head())
    assert "policy.toml.signatures" in refused(in_force(config), unsigned)


def test_authorities_are_those_of_the_bundle(config: Config) -> None:
    bundle = of()
    digest = hashlib.sha384(bundle.files["tls/client-roots.pem"]).digest()
    in_force(config).check_clients(bundle, ClientDigests(client_roots=digest, client_crl=None))
    with pytest.raises(FileRefused, match=r"client_roots: tls/client-roots\.pem is not that of bundle 8"):
        in_force(config).check_clients(bundle, ClientDigests(client_roots=bytes(48), client_crl=None))
    listen = msgspec.structs.replace(config.listen, client_crl=config.listen.client_roots)
    with_crl = BundleInForce(msgspec.structs.replace(config, listen=listen), of(7), accepted())
    with pytest.raises(FileRefused, match="client_crl"):
        with_crl.check_clients(bundle, ClientDigests(client_roots=digest, client_crl=bytes(48)))


def test_without_floors_nothing_comes_into_force(config: Config) -> None:
    """A machine that misses an update would admit jobs for ever."""
    assert config.ledger is not None
    for ledger in (None, msgspec.structs.replace(config.ledger, floors=None)):
        found = in_force(msgspec.structs.replace(config, ledger=ledger))
        assert "no floor of the pool" in refused(found, handed(of()))
        assert found.checked(handed(of(7))) is not None


def test_a_worker_without_a_bundle_takes_none(config: Config) -> None:
    assert BundleInForce(config).checked(PolicyFiles(policy=OTHER, signatures=None)) is None
    assert "started without one" in refused(BundleInForce(config), handed(of()))


def test_a_start_is_with_files_of_a_signed_bundle(config: Config, tmp_path: Path) -> None:
    trust = msgspec.structs.replace(AZURE_US, bundle_keys=str(keys_folder(tmp_path / "keys")))
    expired = of(7, created=NOW.replace(year=NOW.year - 1), days=30)
    for bundle in (of(7), expired):
        found = bundle_at_start(handed(bundle), config, trust)
        assert found.now is not None
        assert found.now.sha384 == bundle.sha384
    without = PolicyFiles(policy=OTHER, signatures=None)
    assert config.ledger is not None
    unbound = msgspec.structs.replace(config, ledger=msgspec.structs.replace(config.ledger, floors=None))
    assert bundle_at_start(without, unbound, trust).now is None
    for given in (handed(of(7), policy=OTHER), handed(of(7, by=None)), without):  # nobody leaves the floor by a file
        with pytest.raises(FileRefused):
            bundle_at_start(given, config, trust)


@pytest.mark.parametrize("name", ["tls/client-roots.pem", "tables/ncic.toml", "reference/Genoa.crl", "seeds/a.seed"])
def test_a_start_is_with_every_file_of_the_bundle(tmp_path: Path, name: str) -> None:
    """Also with those that another process reads. Red before: the policy alone was compared."""
    given = files(key=FLOORS, values=LISTING, changed={"tables/ncic.toml": b"a", LIST: crl(), "seeds/a.seed": b"a"})
    trust = msgspec.structs.replace(AZURE_US, bundle_keys=str(keys_folder(tmp_path / "keys")))
    config = load(folder_of(tmp_path / "config", given) / "worker.toml")
    bundle = made(given)
    assert bundle_at_start(handed(bundle), config, trust).now is not None
    (tmp_path / "config" / name).write_bytes(b"b")
    with pytest.raises(FileRefused, match=f"bundle: {name} is not that of bundle 7") as caught:
        bundle_at_start(handed(bundle), config, trust)
    assert "Restart the machine" in caught.value.remedy
    (tmp_path / "config" / name).unlink()
    with pytest.raises(FileRefused, match="bundle: it does not exist"):
        bundle_at_start(handed(bundle), config, trust)


def test_a_start_is_with_the_configuration_of_the_bundle(tmp_path: Path) -> None:
    """As it was read, wherever from: worker.toml beside the head may be the bundle's."""
    given = files(key=FLOORS, values=LISTING, changed={LIST: crl()})
    trust = msgspec.structs.replace(AZURE_US, bundle_keys=str(keys_folder(tmp_path / "keys")))
    folder, bundle = folder_of(tmp_path / "config", given), made(given)
    policy, other = (folder / "policy.toml").as_posix(), tmp_path / "other.toml"
    text = (
        given["worker.toml"]
        .replace(b'"policy.toml"', f'"{policy}"'.encode())
        .replace(b'"reference', f'"{folder}/reference'.encode())
    )
    other.write_bytes(text)
    (folder / "audit.toml").write_bytes(b"of another user, who reads it: not for the worker to compare")
    with pytest.raises(FileRefused, match=r"bundle: worker\.toml is not that of bundle 7"):
        bundle_at_start(handed(bundle), load(other), trust)
    config = load(folder / "worker.toml")
    assert bundle_at_start(handed(bundle), config, trust).now is not None
    values = msgspec.structs.replace(config.attestation, value_files={LIST: crl(1)})
    with pytest.raises(FileRefused, match=f"bundle: {LIST} is not that of bundle 7"):
        bundle_at_start(handed(bundle), msgspec.structs.replace(config, attestation=values), trust)
