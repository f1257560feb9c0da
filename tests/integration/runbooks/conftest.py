"""One agency for each file of drills; each test's report has the times of all steps so far."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.drill_times import PROPERTY, noted
from tests.support.runbook_drill import Agency, agency_of


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    with agency_of(tmp_path_factory.mktemp("rb")) as found:
        yield found


@pytest.fixture(autouse=True)
def _times(record_property: Callable[[str, object], None]) -> Iterator[None]:
    yield
    record_property(PROPERTY, noted())
