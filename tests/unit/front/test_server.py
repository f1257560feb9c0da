"""Where the front listens."""

import pytest

from worker.config import ListenSection
from worker.errors import StartupError
from worker.front.server import address


def section(host: str) -> ListenSection:
    return ListenSection(host=host, port=8443, certificate="c", private_key="k", client_roots="r")


@pytest.mark.parametrize(
    ("host", "found"),
    [("0.0.0.0", "0.0.0.0:8443"), ("::1", "[::1]:8443"), ("[::]", "[::]:8443")],
)
def test_an_address_is_listened_on_as_it_is(host: str, found: str) -> None:
    assert address(section(host)) == found


def test_a_name_is_resolved() -> None:
    assert address(section("localhost")) in {"127.0.0.1:8443", "[::1]:8443"}


def test_an_unknown_name_is_a_startup_error() -> None:
    with pytest.raises(StartupError, match=r"listen\.host"):
        address(section("nowhere.invalid"))
