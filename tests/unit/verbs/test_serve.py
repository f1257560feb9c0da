"""`cji serve` with a configuration that cannot be used: a reason and a remedy, no traceback, and no process starts."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.errors import StartupError
from tests.support.worker_configs import WORKER_CONFIG


def serve(path: Path) -> Result:
    return CliRunner().invoke(build(AZURE_US), ["serve", "--config", str(path)])


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration without fault; the worker's own start is refused."""

    def refused(*_: object, **__: object) -> int:
        raise StartupError("Started", "It should not.")

    monkeypatch.setattr("cji_worker.supervisor.serve", refused)
    path = tmp_path / "worker.toml"
    path.write_text(WORKER_CONFIG)
    return path


FAULTS = [
    ('"azure-us"', '"azure-mars"', 'cloud = "azure-mars" is unknown'),
    ('audience = "pool"', "audience = 7", "Expected `str`, got `int` - at `$.worker.audience`"),
    ("audience", "audiance", "audiance"),
    ('"policy.toml"', '"pol\\u0000icy"', "$.policy_file"),
    ('id = "worker-1"', "id = ", "is not valid"),
    ('"Genoa"', '"Rome"', "attestation.reference_values: Invalid enum value 'Rome'"),
    ('["Genoa"]', '"Genoa"', "attestation.reference_values: Expected `array`"),
    ('["Genoa"]', '["Genoa"], surplus = 1', "attestation.reference_values: Object contains unknown field `surplus`"),
    ('["Genoa"]', '["Genoa"], amd_crls = { Genoa = { file = "absent" } }', "absent, which a reference value names"),
    ("https://cji.eus", "http://cji.eus", "attestation.maa_url"),
    ("https://cji.eus.attest.azure.net", "https://[127", "attestation.maa_url"),
    ("https://cji.eus.attest.azure.net", "https://attest.example", "is not a provider of azure-us"),
    ("https://v.vault", "junk://v.vault", "(kek-host)"),
    ("https://v.vault.azure.net", "https://v.example", "(kek-host)"),
    ("/keys/cmk/", "/secrets/cmk/", "(kek-id)"),
    ("ab" * 16, "VERSION", "(kek-id)"),
    ("A" * 43, "THUMBPRINT", "[[keys]]"),
    ('region = "eastus"', 'region = "atlantis"', "worker.region: atlantis is not a region of azure-us"),
    ("[[keys]]", "[[key]]", "`key"),
]


@pytest.mark.parametrize(("old", "new", "said"), FAULTS, ids=[f"{old[:12]}-{new[:16]}" for old, new, _ in FAULTS])
def test_a_fault_of_the_configuration_is_explained(config: Path, old: str, new: str, said: str) -> None:
    assert old in WORKER_CONFIG
    config.write_text(WORKER_CONFIG.replace(old, new, 1))
    result = serve(config)
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert said in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) >= 2  # the remedy


def test_bytes_that_are_no_text_are_explained(config: Path) -> None:
    config.write_bytes(b"\xff\xfe" + WORKER_CONFIG.encode())
    assert (serve(config).exit_code, "is not valid" in serve(config).stderr) == (2, True)


def test_a_refusal_of_the_worker_itself_is_explained(config: Path) -> None:
    result = serve(config)
    assert (result.exit_code, result.stderr) == (1, "Error: Started. It should not.\n")


def test_a_machine_without_room_is_explained(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("cji_worker.supervisor.serve", full)
    result = serve(config)
    said = "Error: The worker cannot start: Cannot allocate memory"
    assert (result.exit_code, result.stderr) == (1, f"{said}\nRun: cji doctor --config {config}\n")


def test_a_worker_that_ends_needs_no_module_to_say_so(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By then the process can open no file."""

    def ended(*_: object, **__: object) -> int:
        for name in [name for name in sys.modules if name.partition(".")[0] == "cji_client"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "cji_client", None)
        return 76

    monkeypatch.setattr("cji_worker.supervisor.serve", ended)
    result = serve(config)
    assert (result.exit_code, type(result.exception)) == (76, SystemExit)
