"""X11 where the kernel counts: the shares of addresses before TLS, by real rules, in a network of the test's own."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from cji_worker.door.config import HANDSHAKE_S
from tests.support.firewalled import SHARE
from tests.support.paths import ROOT

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="rules of the network are root's"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("nft", "ip", "nsenter"))), reason="nftables or iproute2 is not installed"
    ),
]


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    command = ["unshare", "--net", sys.executable, "-m", "tests.support.firewalled"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_x11_an_address_has_its_share_before_tls(seen: dict[str, Any]) -> None:
    assert (seen["one address"], seen["another"]) == (SHARE, 2)
    assert seen["after one ended"]


def test_x11_slow_handshakes_keep_nobody_else_out(seen: dict[str, Any]) -> None:
    """An address has no more of them than its share, and each ends in time."""
    assert (seen["slow"], seen["one more"], seen["beside slow"]) == (SHARE, False, True)
    assert HANDSHAKE_S - 1 < seen["seconds of slow"] < HANDSHAKE_S + 40
    assert seen["after slow"]


def test_x11_a_network_of_ipv6_has_one_share(seen: dict[str, Any]) -> None:
    assert (seen["a network"], seen["another network"]) == (SHARE, 2)


def test_x11_the_rules_touch_no_other_port(seen: dict[str, Any]) -> None:
    assert seen["another port"] == SHARE + 4


def test_x11_rules_that_are_not_ours_are_found(seen: dict[str, Any]) -> None:
    assert seen["right"] == f"{SHARE} connections for each address, counted by the firewall"
    another = "the firewall has another limit of connections than worker.toml"
    assert (seen["another share"], seen["another rule"]) == (another, another)
    assert seen["repaired"] == ""
    assert seen["removed"] == "the firewall has no limit of connections"
    assert seen["without the right to read"] == "the firewall's limit of connections cannot be read without root"


def test_the_keyholder_reaches_the_public_addresses_named() -> None:
    command = ["unshare", "--net", sys.executable, "-m", "tests.support.opened"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    none, missing = (
        "public ranges open to the keyholder: 0",
        "not so: the firewall's set `public` is not that of `egress`",
    )
    assert seen["outside, none wanted"] == seen["empty"] == seen["closed"] == none
    assert seen["both"] == "public ranges open to the keyholder: 3"
    assert seen["entra"] == "public ranges open to the keyholder: 2"
    assert (
        seen["outside, some wanted"]
        == seen["before"]
        == f"{missing}; missing: 20.190.128.0/18, 40.126.0.0/18; not named: none"
    )
    assert seen["of another configuration"] == f"{missing}; missing: 23.0.0.1/32; not named: none"
    foreign = json.dumps({"range": ["9.9.9.1", "9.9.9.6"]})
    assert seen["a range that nobody named"].endswith(
        f"missing: none; not named: 20.190.128.0/18, 40.126.0.0/18, {foreign}"
    )
    assert seen["without the right to read"] == "public ranges not read, which needs root"
