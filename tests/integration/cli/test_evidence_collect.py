"""`cji evidence collect` on a machine with a simulated vTPM: its own output is what `cji evidence verify` takes."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_attestation.evidence import Evidence, MeasuredBoot, parse_attest
from cji_attestation.verbs.evidence_written import WrittenEvidence
from cji_core.command import build
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Simulation
from tests.support.json_answers import answered
from tests.support.reviews import decided_profile


@pytest.fixture(scope="module")
def vm(azure: Simulation) -> Simulation:
    return azure.another_vm()


@pytest.fixture
def profile(vm: Simulation, tmp_path: Path) -> Path:
    return decided_profile(tmp_path, machine=vm.reference)


@pytest.fixture
def issuers(vm: Simulation, tmp_path: Path) -> Path:
    path = tmp_path / "ak-issuers.pem"
    path.write_bytes(vm.ak_issuers)
    return path


def cji(of: Simulation, *arguments: object) -> Result:
    given = ["evidence", *map(str, arguments), "--cloud", "simulation"]
    return CliRunner().invoke(build(of.trust), given, catch_exceptions=False)


def test_collected_evidence_is_accepted(vm: Simulation, tmp_path: Path, profile: Path, issuers: Path) -> None:
    out = tmp_path / "golden.json"
    collected = cji(vm, "collect", "--out", out, "--ak-issuers", issuers)
    assert collected.exit_code == 0, collected.output
    evidence = Evidence.from_json(out.read_bytes())
    assert isinstance(evidence.boot, MeasuredBoot)
    carried = parse_attest(evidence.quote).extra_data.hex()
    assert collected.output.splitlines()[1] == f"cji evidence verify {out} --qualifying {carried}"
    assert cji(vm, "verify", out, "--profile", profile, "--qualifying", carried).exit_code == 0
    assert "boot_images" in cji(vm, "pcrs", out, "--profile", profile).output
    again = cji(vm, "collect", "--out", out)
    assert (again.exit_code, "cannot be written" in again.output) == (2, True)
    assert Evidence.from_json(out.read_bytes()) == evidence


def test_a_verifier_chooses_what_the_quotes_carry(vm: Simulation, tmp_path: Path, profile: Path, issuers: Path) -> None:
    out = tmp_path / "answer.json"
    given = ("collect", "--ak-issuers", issuers, "--out", out, "--qualifying", "ab" * 32)
    told = answered(cji(vm, *given, "--json"), WrittenEvidence)
    assert (told.file, told.tee, told.qualifying) == (str(out), "snp", "ab" * 32)
    assert cji(vm, "verify", out, "--profile", profile, "--qualifying", "ab" * 32).exit_code == 0
    for wrong in ("ab" * 31, "zz" * 32, ""):
        assert cji(vm, "collect", "--out", tmp_path / "no.json", "--qualifying", wrong).exit_code == 2
    assert not (tmp_path / "no.json").exists()


def test_without_the_issuers_of_the_ak_it_is_refused(vm: Simulation, tmp_path: Path, profile: Path) -> None:
    out = tmp_path / "alone.json"
    assert cji(vm, "collect", "--out", out, "--qualifying", "ab" * 32).exit_code == 0
    result = cji(vm, "verify", out, "--profile", profile, "--qualifying", "ab" * 32)
    assert (result.exit_code, "refused at E44" in result.output) == (3, True)
    for wrong in (b"", b"no certificate"):
        (tmp_path / "wrong.pem").write_bytes(wrong)
        given = ("collect", "--out", tmp_path / "no.json", "--ak-issuers", tmp_path / "wrong.pem")
        assert cji(vm, *given).exit_code != 0
    assert not (tmp_path / "no.json").exists()


def test_a_machine_on_which_a_worker_started_is_not_golden(
    azure: Simulation, tmp_path: Path, profile: Path, issuers: Path
) -> None:
    """Its start is in PCR 15, and the worker alone has the record of it."""
    vm, out = azure.another_vm(), tmp_path / "late.json"
    attester, cmk = vm.attester(), vm.create_cmk("cji-late")
    attester.release_into(attester.attest(receipt_key=b"r" * 32), cmk.spec, memoryview(bytearray(4096)))
    assert cji(vm, "collect", "--out", out, "--ak-issuers", issuers).exit_code == 0
    result = cji(vm, "pcrs", out, "--profile", profile)
    assert (result.exit_code, "refused at E48" in result.output) == (3, True)


def test_what_is_missing_has_a_name(azure: Simulation, tmp_path: Path) -> None:
    azure.fault(Service.TPM, Kind.NOT_CONFIDENTIAL)
    try:
        result = cji(azure.another_vm(), "collect", "--out", tmp_path / "none.json")
    finally:
        azure.clear_faults()
    assert (result.exit_code, "NOT_CONFIDENTIAL" in result.output) == (1, True)
    assert not (tmp_path / "none.json").exists()
