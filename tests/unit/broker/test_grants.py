"""What each user may ask for, from the three files of a worker, and nothing else."""

from pathlib import Path

import pytest

from cji_attestation import AZURE_US, AZURE_USGOV
from cji_core.audiences import STORAGE
from cji_core.errors import StartupError
from cji_core.metadata import AMD_CERTIFICATES, EVENTS, INSTANCE, LOCATION, TD_QUOTE, USER_DATA, token_target
from cji_worker.broker.grants import Grants, get, grants, read

KEYHOLDER, FLEET, DOOR = (f"{n}{n}{n}{n}{n}{n}{n}{n}-{n * 4}-{n * 4}-{n * 4}-{n * 12}" for n in "123")
WORKER = f"""
cloud = "azure-us"
policy_file = "policy.toml"
[attestation]
client_id = "{KEYHOLDER}"
maa_url = "https://sharedeus2.eus2.attest.azure.net"
[[keys]]
kek_id = "https://agency.vault.azure.net/keys/cji/0123456789abcdef0123456789abcdef"
[[keys]]
kek_id = "https://agency.managedhsm.azure.net/keys/cji/0123456789abcdef0123456789abcdef"
[listen]
port = 8443
[listen.enrollment]
audience = "api://est"
client_id = "{DOOR}"
[fleet]
client_id = "{FLEET}"
[ledger]
client_id = "{KEYHOLDER}"
"""
DELIVERY = """
trail = "/var/lib/cji/audit.log"
[[sinks]]
kind = "monitor"
client_id = "sink"
[[sinks]]
kind = "monitor"
cloud = "azure-usgov"
[[sinks]]
kind = "event_hubs"
[[sinks]]
kind = "journald"
[log]
policy = "policy.toml"
"""
HEALTH = "44444444-4444-4444-4444-444444444444"
CONSOLE = f"""
status_socket = "/run/cji-status/status.sock"
[monitor]
client_id = "{HEALTH}"
"""
CLOUDS = {trust.name: trust for trust in (AZURE_US, AZURE_USGOV)}


def made(worker: str = WORKER, delivery: str = DELIVERY, console: str = CONSOLE) -> dict[str, Grants]:
    return grants(worker.encode(), delivery.encode(), console.encode(), clouds=CLOUDS)


def token(audience: str, client_id: str | None) -> str:
    return get(token_target(audience, client_id))


def test_each_user_has_its_own_requests_only() -> None:
    found = made()
    assert found["cji"].requests == {
        *(get(AMD_CERTIFICATES), get(LOCATION), f"POST {TD_QUOTE}"),
        *(token("https://vault.azure.net", KEYHOLDER), token("https://managedhsm.azure.net", KEYHOLDER)),
        token(STORAGE, KEYHOLDER),
    }
    assert found["cji-fleet"].requests == {token(STORAGE, FLEET)}
    assert found["cji-door"].requests == {token("api://est", DOOR)}
    assert found["cji-probe"].requests == {get(EVENTS), get(INSTANCE), f"POST {EVENTS}"}
    assert found["cji-audit"].requests == {
        *(token("https://monitor.azure.com/", "sink"), token("https://monitor.azure.us/", None)),
        token("https://eventhubs.azure.net/", None),
    }
    assert found["cji-console"].requests == {token("https://monitor.azure.com/", HEALTH)}
    assert {name for name, one in found.items() if one.any_identity} == {"root"}


def test_before_its_bundle_a_machine_asks_for_that_and_events() -> None:
    """The probe runs before there is a configuration, and asks every few seconds."""
    found, events = made("", "", ""), {get(EVENTS), get(INSTANCE), f"POST {EVENTS}"}
    assert found.pop("root") == Grants(requests=frozenset({get(USER_DATA), *events}), any_identity=(STORAGE,))
    assert {name: one.requests for name, one in found.items() if one.requests} == {"cji-probe": events}


def test_root_can_become_each_user_and_asks_as_each() -> None:
    found = made()
    everything = found.pop("root").requests
    assert everything == frozenset({get(USER_DATA)}).union(*(one.requests for one in found.values()))


def test_without_options_the_keyholder_alone_has_a_token() -> None:
    small = WORKER.split("[listen.enrollment]", maxsplit=1)[0]
    found = made(small, "", "")
    tokens = {name: one for name, one in found.items() if any("oauth2" in line for line in one.requests)}
    assert set(tokens) == {"cji", "root"}
    without = WORKER.replace('audience = "api://est"\n', "")
    assert made(without)["cji-door"].requests == frozenset()
    approved = WORKER.replace('audience = "api://est"', 'container = "enroll"')
    assert made(approved)["cji-door"].requests == {token(STORAGE, DOOR)}


@pytest.mark.parametrize(
    ("worker", "found"),
    [
        (WORKER.replace("agency.vault.azure.net", "agency.vault.azure.evil"), "not a key of the cloud's vaults"),
        (WORKER.replace('"azure-us"', '"elsewhere"'), "is unknown"),
        (WORKER.replace("[attestation]", "[other]"), "worker.toml is not valid"),
        ("cloud", "worker.toml is not valid"),
    ],
)
def test_an_unusable_configuration_is_refused(worker: str, found: str) -> None:
    with pytest.raises(StartupError, match=found):
        made(worker)


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "worker.toml") == b""
    (tmp_path / "worker.toml").write_text("#")  # SetCredential= of the unit
    assert read(tmp_path / "worker.toml") == b""
    (tmp_path / "worker.toml").write_text("#" * (300 << 10))
    with pytest.raises(StartupError, match="larger than 256 KiB"):
        read(tmp_path / "worker.toml")
    with pytest.raises(StartupError, match="cannot be read"):
        read(tmp_path)


def test_a_sink_of_no_known_cloud_has_no_token() -> None:
    """Its own process refuses the file, and says so."""
    assert made(console=CONSOLE.replace("[monitor]", "[other]"))["cji-console"].requests == frozenset()
    assert made(console=f'{CONSOLE}cloud = "elsewhere"')["cji-console"].requests == frozenset()
    assert made(delivery='[[sinks]]\nkind = "monitor"\ncloud = "elsewhere"\n')["cji-audit"].requests == frozenset()
