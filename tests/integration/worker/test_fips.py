"""`require_fips`: a worker without a validated module does not start, and says which module it found."""

import json
from pathlib import Path

import pytest

from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker, WorkerDied
from tests.support.fips import configured


def errors(log: Path) -> list[str]:
    return [str(line["what"]) for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "error"]


def test_a_worker_without_a_validated_module_does_not_start(azure: Simulation, tmp_path: Path) -> None:
    files = worker_config(tmp_path / "site", simulation=azure, keys=[azure.create_cmk("cji-fips")])
    files.config.write_text(f"require_fips = true\n{files.config.read_text()}")
    with pytest.raises(WorkerDied):
        Worker(files.config, trust=azure.trust, log=tmp_path / "log")
    assert any("no FIPS module is in force (OpenSSL" in error for error in errors(tmp_path / "log"))


def test_module_that_fails_is_refused_by_name(
    azure: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `require_fips` too: hashlib's OpenSSL has the module, and that of cryptography's wheel has none."""
    files = worker_config(tmp_path / "site", simulation=azure, keys=[azure.create_cmk("cji-fips-2")])
    for name, value in configured(tmp_path / "fips").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WorkerDied):
        Worker(files.config, trust=azure.trust, log=tmp_path / "log")
    assert any("not all operations run in it" in error for error in errors(tmp_path / "log"))


def test_receipt_names_the_module(site: Site) -> None:
    module = site.run(people(3)).receipt.claims.fips
    assert (module.name, module.certificate, module.mode) == ("OpenSSL", "none", "not_approved")
    assert module.version[0].isdigit()
