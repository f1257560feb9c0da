"""Hosts that a name must not be."""

import pytest

from cji_core.hosts import is_loopback, is_metadata


@pytest.mark.parametrize(
    ("host", "loopback", "metadata"),
    [
        ("169.254.169.254", False, True),
        ("168.63.129.16", False, True),
        ("127.0.0.1", True, False),
        ("127.8.9.10", True, False),
        ("::1", True, False),
        ("localhost", False, False),
        ("10.0.0.1", False, False),
    ],
)
def test_addresses_of_the_machine_and_of_azure(host: str, loopback: bool, metadata: bool) -> None:
    assert (is_loopback(host), is_metadata(host)) == (loopback, metadata)
