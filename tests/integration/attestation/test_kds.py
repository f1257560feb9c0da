"""`cji crl fetch` from AMD's service as it is simulated: what it writes is what the appraisal accepts."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US, Fault, Trust
from cji_attestation.evidence.kds import fetch_crl
from cji_attestation.verbs.crl import FetchedLists
from cji_core.command import build
from cji_core.format.configuration.worker import load
from cji_simulator.faults import Kind, Service
from cji_simulator.launch import worker_config
from cji_simulator.roots import Roots
from cji_simulator.simulation import Simulation
from tests.support.forge import crl
from tests.support.json_answers import answered, refusal
from tests.support.refusals import rejected


@pytest.fixture(autouse=True)
def _all_well(azure: Simulation) -> None:
    azure.clear_faults()


def fetch(trust: Trust, folder: Path, *products: str) -> Result:
    command = ["crl", "fetch", *products, "--out", str(folder), "--cloud", trust.name]
    return CliRunner().invoke(build(trust), command, catch_exceptions=False)


def test_a22_a_fetched_list_is_checked_by_the_worker(tmp_path: Path, azure: Simulation) -> None:
    done = fetch(azure.trust, tmp_path, "Genoa")
    assert (done.exit_code, "1 revoked" in done.output) == (0, True)
    (told,) = answered(fetch(azure.trust, tmp_path, "Genoa", "--json"), FetchedLists).lists
    assert (told.product, told.file, told.revoked) == ("Genoa", str(tmp_path / "Genoa.crl"), 1)
    assert f"{told.updated:%Y-%m-%d} to {told.ends:%Y-%m-%d}" in done.output
    data = (tmp_path / "Genoa.crl").read_bytes()
    assert (tmp_path / "Genoa.crl").stat().st_mode & 0o777 == 0o644
    attester = azure.attester(reference=azure.reference_with(products=("Genoa",), amd_crls={"Genoa": data}))
    checks = dict(attester.attest(receipt_key=b"r" * 32).verdict.checks)
    assert checks["E33"] == f"not revoked, by a CRL of {told.updated:%Y-%m-%d}"
    assert fetch(azure.trust, tmp_path, "Genoa").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["Genoa.crl"]


def test_a_configuration_names_the_file(tmp_path: Path, azure: Simulation) -> None:
    files = worker_config(tmp_path, simulation=azure, keys=[azure.create_cmk("cji-crl")])
    assert fetch(azure.trust, tmp_path, "Genoa").exit_code == 0
    text = files.config.read_text()
    named = 'products = ["Genoa"]\namd_crls = { Genoa = { file = "Genoa.crl" } }\n'
    files.config.write_text(text.replace('products = ["Genoa"]\n', named))
    values = load(files.config).attestation.values()
    assert msgspec.convert(values["amd_crls"], dict[str, bytes]) == {"Genoa": (tmp_path / "Genoa.crl").read_bytes()}


def test_a22_lists_that_are_not_amds_are_not_written(tmp_path: Path, azure: Simulation) -> None:
    assert fetch(azure.trust, tmp_path, "Milan").exit_code == 4  # this AMD has one product
    other = msgspec.structs.replace(azure.trust, amd_roots=AZURE_US.amd_roots)
    refused = fetch(other, tmp_path, "Genoa")
    assert (refused.exit_code, "not pinned" in refused.output) == (3, True)
    assert refusal(fetch(azure.trust, tmp_path, "Milan", "--json")).check is not None
    azure.fault(Service.AMD, Kind.MALFORMED, path="/vcek/v1/Genoa/crl")
    assert fetch(azure.trust, tmp_path, "Genoa").exit_code == 3
    azure.clear_faults()
    azure.fault(Service.AMD, Kind.MALFORMED, path="/vcek/v1/Genoa/cert_chain")
    assert fetch(azure.trust, tmp_path, "Genoa").exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a22_a_list_is_not_replaced_by_an_older_one(tmp_path: Path, azure: Simulation) -> None:
    path, ark = tmp_path / "Genoa.crl", Roots.open(azure.state / "roots").ark
    newer = crl(issuer=ark, signer=ark.rsa(), updated=timedelta(days=1), until=timedelta(days=2))
    for kept, told in ((newer, "older than"), (b"not a list", "not a CRL")):
        path.write_bytes(kept)
        refused = fetch(azure.trust, tmp_path, "Genoa")
        assert (refused.exit_code, told in refused.output, path.read_bytes()) == (3, True, kept)
    path.write_bytes(crl(issuer=ark, signer=ark.rsa()))
    assert fetch(azure.trust, tmp_path, "Genoa").exit_code == 0


def test_a22_a_list_that_is_not_current_is_not_written(
    tmp_path: Path, azure: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of this machine, two years later."""
    later = datetime.now(UTC) + timedelta(days=730)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return later.astimezone(tz)

    monkeypatch.setattr(sys.modules["cji_attestation.verbs.crl"], "datetime", Clock)
    refused = fetch(azure.trust, tmp_path, "Genoa")
    assert (refused.exit_code, "in force from" in refused.output, list(tmp_path.iterdir())) == (3, True, [])


def test_an_outage_is_retried_then_told(tmp_path: Path, azure: Simulation) -> None:
    azure.fault(Service.AMD, Kind.STATUS, status=503, times=1)
    assert fetch(azure.trust, tmp_path, "Genoa").exit_code == 0
    azure.fault(Service.AMD, Kind.DOWN)
    with rejected("amd-kds", fault=Fault.EVIDENCE_UNAVAILABLE):
        fetch_crl(azure.trust, "Genoa")
    assert fetch(azure.trust, tmp_path, "Genoa").exit_code == 4
