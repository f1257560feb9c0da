"""[fleet] and [ledger] of worker.toml, as the worker and as the fleet process read them."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.errors import StartupError
from cji_core.format.configuration.fleet import FleetSection, PoolLedgerSection
from cji_worker.fleet.settings import load

FLEET = """
[worker]
id = "w"
cells = 3
[attestation.reference_values]
advisories = { file = "not there" }
[fleet]
blob_url = "https://name.blob.core.windows.net"
queue_url = "https://name.queue.core.windows.net"
ca_file = "ca.pem"
"""


def test_the_fleet_process_reads_its_section_alone(tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_text(FLEET)
    settings = load(path)
    assert settings.cells == 3
    assert settings.fleet.ca_file == str(tmp_path / "ca.pem")
    assert settings.fleet.state == "/var/lib/cji-fleet"
    assert (settings.fleet.queue, settings.fleet.poison_queue) == ("jobs", "jobs-poison")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[worker]\nid = 'w'\n",
        FLEET + "switch = 1\n",
        FLEET.replace("https", "http"),
        FLEET.replace('core.windows.net"', 'core.windows.net/a?b"'),
        FLEET + "lease_seconds = 1\n",
        FLEET + "jobs = '../other'\n",
        FLEET + "tries = 5\n",
    ],
)
def test_a_configuration_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "worker.toml"
    path.write_text(text)
    with pytest.raises(StartupError):
        load(path)
    done = CliRunner().invoke(build(AZURE_US), ["fleet", "run", "--config", str(path)])
    assert done.exit_code == 2


@pytest.mark.parametrize("url", ["http://a.b", "https://a.b/", "https://a.b/x/y", "https://user@a.b", "https://a.b#c"])
def test_an_address_names_an_account_and_nothing_else(url: str) -> None:
    for kind, found in (
        (FleetSection, {"blob_url": url, "queue_url": "https://q.example"}),
        (FleetSection, {"blob_url": "https://b.example", "queue_url": url}),
        (PoolLedgerSection, {"kind": "pool", "blob_url": url}),
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(found, kind)
    msgspec.convert({"kind": "pool", "blob_url": "https://127.0.0.1:10000/devstoreaccount1"}, PoolLedgerSection)


def test_the_help_teaches() -> None:
    done = CliRunner().invoke(build(AZURE_US), ["fleet", "run", "--help"])
    assert done.exit_code == 0
    assert "cji fleet run --config" in done.output
