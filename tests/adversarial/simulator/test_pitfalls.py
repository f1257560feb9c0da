"""Rows S01 to S08 of the pitfalls: nothing simulated reaches production, and production cannot be made to simulate."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cji_attestation import AZURE_US, PRODUCTION, Fault, Trust, is_production
from cji_attestation.appraisal import ReferenceValues, appraise
from cji_attestation.evidence import qualifying_data
from cji_attestation.release import Attester
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import load
from cji_core.trail.claims import Expected
from cji_core.trail.compact import ReceiptError
from cji_core.trail.receipts import verify as verify_receipt
from cji_simulator import Kind, Service, Simulation
from cji_simulator.simulation import Cmk
from cji_simulator.site import Site, people
from tests.support import wheels
from tests.support.paths import ROOT
from tests.support.privileges import sees_processes
from tests.support.refusals import rejected

RECEIPT_KEY = b"r" * 32
SWITCHES = {
    "CJI_CLOUD": "simulation",
    "CJI_INSECURE": "1",
    "CJI_SIMULATED": "true",
    "CJI_SIMULATOR": "1",
    "CJI_TCTI": "swtpm:path=/tmp/tpm.sock",
    "CJI_TEST_PURPOSE": "1",
    "CJI_TRUST": '{"name":"simulation"}',
    "TPM2TOOLS_TCTI": "swtpm:path=/tmp/tpm.sock",
    "TCTI": "swtpm:path=/tmp/tpm.sock",
}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of a production image."""
    return wheels.install(tmp_path_factory.mktemp("shipped"), ("core", "attestation", "operations", "worker"))


def production(shipped: Path, code: str, *, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run code as a production image would: the wheels and their dependencies, and no editable installation (-S)."""
    head = f"import sys; sys.path.insert(0, {str(shipped)!r})\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", head + code],
        env={"PATH": "/usr/bin:/bin", **environment},
        cwd=shipped,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("environment", [{}, SWITCHES], ids=["plain", "switches"])
def test_s01_a_production_image_has_no_simulator_and_no_switch(
    shipped: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    without = production(shipped, "import cji_simulator", environment=environment)
    assert "No module named 'cji_simulator'" in without.stderr
    pins = "from cji_attestation import *; import msgspec; print(msgspec.json.encode(PRODUCTION).decode())"
    found = production(shipped, pins, environment=environment)
    assert msgspec.json.decode(found.stdout, type=tuple[Trust, ...]) == PRODUCTION
    config = tmp_path / "worker.toml"
    example = (ROOT / "deploy" / "worker.example.toml").read_text()
    config.write_text(example.replace('cloud = "azure-us"', 'cloud = "simulation"'))
    serve = f"from cji_core.command import main; sys.argv[1:] = ['serve', '--config', {str(config)!r}]; main()"
    refused = production(shipped, serve, environment=environment)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert 'cloud = "simulation" is unknown' in refused.stderr
    assert "Use one of azure-us, azure-usgov in" in refused.stderr


@pytest.fixture
def attester(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> Attester:
    monkeypatch.setattr("cji_attestation.evidence.collect.REPORT_PAUSES", (0.0,))
    return simulation.attester()


@pytest.fixture(scope="module")
def cmk(simulation_servers: Simulation) -> Cmk:
    return simulation_servers.create_cmk("sim-pitfalls")


@pytest.mark.parametrize("production", PRODUCTION, ids=lambda trust: trust.name)
def test_s03_production_accepts_nothing_that_a_simulation_signs(
    simulation: Simulation, attester: Attester, cmk: Cmk, production: Trust
) -> None:
    """SEV-SNP: the hardware's root, the provider's name, the vault's name and its signature, each on its own."""
    import datetime

    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    at = datetime.datetime.now(datetime.UTC)
    bound = qualifying_data(RECEIPT_KEY, attestation.nonce)

    def judged(trust: Trust) -> str:
        appraise(
            attestation.evidence,
            trust=trust,
            reference=reference,
            expected_qualifying_data=bound,
            start=None,
            now=at,
        )
        return trust.name

    reference = simulation.reference
    assert judged(simulation.trust) == "simulation"
    with rejected("E04", fault=Fault.UNTRUSTED_ROOT):
        judged(production)
    reference = simulation.reference_with(vtpm_roots=())
    with rejected("E44", fault=Fault.UNTRUSTED_ROOT):
        judged(simulation.trust)
    reference = ReferenceValues()
    with rejected("E40", fault=Fault.POLICY_MISMATCH):
        judged(simulation.trust)
    with rejected("maa-url", fault=Fault.CONFIG_INVALID):
        simulation.attester(trust=production)

    def released(**pins: object) -> None:
        vm = simulation.another_vm()  # in each boot one worker can start
        other = vm.attester(trust=msgspec.structs.replace(vm.trust, **pins))
        other.release_into(vm.attester().attest(receipt_key=RECEIPT_KEY), cmk.spec, memoryview(bytearray(4096)))

    released()
    with rejected("kek-host", fault=Fault.CONFIG_INVALID):
        released(vault_hosts=production.vault_hosts)
    with rejected("S02", fault=Fault.RELEASE_INVALID):
        released(release_roots=production.release_roots)
    with rejected(fault=Fault.RELEASE_UNAVAILABLE):
        released(tls_roots=production.tls_roots)


def test_s04_a_configuration_cannot_name_a_pin(tmp_path: Path) -> None:
    """No member of Trust is an item of any section."""
    example = (ROOT / "deploy" / "worker.example.toml").read_text()
    config = tmp_path / "worker.toml"
    config.write_text(example)
    assert load(config).cloud == "azure-us"
    sections = [line for line in example.splitlines() if line.startswith("[")]
    for pin, section in itertools.product(Trust.__struct_fields__, ["", *sections]):
        text = example.replace(section, f"{section}\n{pin} = 'x'", 1) if section else f"{pin} = 'x'\n{example}"
        if "reference_values" in section:
            continue  # checked against ReferenceValues below, when the keyholder starts
        config.write_text(text)
        with pytest.raises(StartupError):
            load(config)
    assert not set(Trust.__struct_fields__) & set(ReferenceValues.__struct_fields__)


def test_s05_one_foreign_pin_makes_the_trust_not_production(simulation: Simulation) -> None:
    """The matrix of all mixtures: whatever is taken from a simulation, the whole is no production."""
    base, foreign = AZURE_US, simulation.trust
    assert is_production(base)
    assert not is_production(foreign)
    names = [name for name in Trust.__struct_fields__ if getattr(base, name) != getattr(foreign, name)]
    assert len(names) >= 10
    for count in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, count):
            mixed = msgspec.structs.replace(base, **{name: getattr(foreign, name) for name in chosen})
            assert not is_production(mixed), chosen


@pytest.mark.parametrize("kind", [Kind.NOT_CONFIDENTIAL, Kind.AK_CERTIFICATE_PENDING, Kind.OBJECT_MEMORY])
def test_s06_without_evidence_of_its_own_nobody_is_asked(
    simulation: Simulation, attester: Attester, kind: Kind
) -> None:
    simulation.fault(Service.TPM, kind)
    simulation.fault(Service.MAA, Kind.STATUS, times=1)
    with rejected():
        attester.attest(receipt_key=RECEIPT_KEY)
    assert [(order.service, order.times) for order in simulation.faults()] == [(Service.TPM, None), (Service.MAA, 1)]


def test_s07_what_is_believed_is_frozen(
    simulation: Simulation, attester: Attester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for trust in (simulation.trust, *PRODUCTION):
        for name in Trust.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(trust, name, getattr(simulation.trust, name))
    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)
    assert attester.attest(receipt_key=RECEIPT_KEY).token.issuer == simulation.maa_url


@sees_processes
def test_s07_the_workers_processes_inherit_no_environment(cji_site: Site) -> None:
    """What an operator's shell holds cannot change a mode: each process is given an environment of its own."""
    for name, pid in cji_site.worker.pids.items():
        if name == "supervisor":
            continue
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        given = {pair.partition(b"=")[0].decode() for pair in pairs if pair}
        assert given
        assert not given & (set(SWITCHES) | {"HOME", "PYTEST_VERSION", "VIRTUAL_ENV", "CJI_VECTORS"})
        assert "HOME" in os.environ


def test_s08_a_production_reader_refuses_a_simulated_receipt(cji_site: Site) -> None:
    receipt = cji_site.run(people(10)).receipt
    with cji_site.client() as client:
        key = client.attest().receipt_key
    assert verify_receipt(receipt.compact, key=key, expected=Expected(simulated=True)).claims.simulated
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(receipt.compact, key=key, expected=Expected(simulated=False))
    assert caught.value.field == "simulated"
