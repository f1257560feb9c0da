"""One pool, with its storage, for all tests of jobs by reference."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_core.format.keys import new_recipient_key, new_signing_key
from cji_simulator import Simulation
from tests.support.fleet_storage import Storage, pool_storage
from tests.support.reference_pool import ReferencePool
from tests.support.sdk_server import ReferenceWorker
from tests.support.submitter_desk import Desk


@pytest.fixture(scope="package")
def pool_keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    return new_recipient_key(), new_recipient_key()


@pytest.fixture(scope="package")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with pool_storage(tmp_path_factory.mktemp("azurite")) as found:
        yield found


@pytest.fixture(scope="package")
def pool(
    storage: Storage, azure: Simulation, pool_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]
) -> tuple[ReferencePool, ec.EllipticCurvePrivateKey]:
    signing = new_signing_key()
    worker = ReferenceWorker(cmk=pool_keys[0], submitter=signing.public_key())
    return ReferencePool(storage, worker, azure), signing


@pytest.fixture
def desk(
    tmp_path: Path,
    storage: Storage,
    pool: tuple[ReferencePool, ec.EllipticCurvePrivateKey],
    pool_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey],
    azure: Simulation,
) -> Iterator[Desk]:
    storage.clear()
    desk = Desk(
        folder=tmp_path, storage=storage, pool=pool[0], simulation=azure, signing=pool[1], recipient=pool_keys[1]
    )
    yield desk
    desk.pool.worker.twist = list
