from collections.abc import Iterator

import pytest

from tests.support.fleet_storage import Storage, pool_storage


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with pool_storage(tmp_path_factory.mktemp("azurite")) as found:
        yield found
