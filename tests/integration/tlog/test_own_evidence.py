"""A log learns the receipt key of a worker's start from the evidence that the worker itself leaves beside its trail."""

import os
import stat
from functools import partial
from pathlib import Path

import msgspec
import pytest

from cji_attestation.attested import read_evidence
from cji_attestation.evidence_file import MAX_FILE_BYTES, decode_evidence
from cji_audit.tlog.attesting import appraiser
from cji_client.profile import load_profile
from cji_core.format.configuration.worker import load
from cji_core.strict import b64url
from cji_core.trail.delivered import own_evidence
from cji_core.trail.delivery import DeliveryError, load_delivery
from cji_core.trail.witnesses.configured import log_destination
from cji_core.trail.witnesses.destination import LogDestination
from cji_simulator.launch import worker_config
from cji_simulator.raw import until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site as Workplace
from cji_simulator.worker import Worker
from cji_worker.keyholder.own_evidence import MOST_STARTS, OwnEvidence, make_folder
from tests.support.evidence_files import evidence_file
from tests.support.tlog_site import SUBMITTER, Site, site, write_policy


def test_a_trail_reaches_the_log_without_keys_brought_to_it(tmp_path: Path, azure: Simulation) -> None:
    azure = azure.another_vm()
    cmk = azure.create_cmk("cji-own-evidence")
    files = worker_config(tmp_path / "w", simulation=azure, keys=[cmk])
    trail = Path(load(files.config).audit_file)
    (tmp_path / "log").mkdir()
    with (
        site(tmp_path / "log") as agency,
        Worker(files.config, trust=azure.trust, log=tmp_path / "worker.log") as worker,
    ):
        agency.log._appraise = appraiser({azure.trust.name: azure.trust}, azure.reference)
        (evidence,) = until(lambda: list(own_evidence(trail).glob("*.json")) or None)
        assert [stat.S_IMODE(each.stat().st_mode) & 0o777 for each in (own_evidence(trail), evidence)] == [0o750, 0o640]
        workplace = Workplace(
            simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile)
        )
        with workplace.client() as client:
            attested = client.attest()
        found = read_evidence(evidence.read_bytes(), trust=azure.trust, reference=azure.reference)
        assert found.receipt_jwk == attested.receipt_jwk
        folder = delivery(tmp_path, trail, agency)
        (own_evidence(trail) / "of-a-start-without-power.json").touch()
        evidence.rename(tmp_path / "hidden")
        with pytest.raises(DeliveryError, match="not in receipt_keys"):
            until(partial(advanced, destination(folder)))
        assert agency.log.store.size == 0
        (tmp_path / "hidden").rename(evidence)
        assert until(partial(advanced, destination(folder)))
        assert agency.log.store.size == 1


def destination(folder: Path) -> LogDestination:
    found = log_destination(load_delivery(folder / "audit.toml"), folder=folder)
    assert found is not None
    return found


def advanced(log: LogDestination) -> int | None:
    return log.advance().seq or None


def test_evidence_of_few_starts_is_kept(tmp_path: Path) -> None:
    make_folder(tmp_path / "audit.log")
    file = decode_evidence(evidence_file())
    for number in range(MOST_STARTS + 3):
        own = OwnEvidence(tmp_path / "audit.log", receipt_jwk="", receipt_key=bytes([number]) * 32)
        (own_evidence(tmp_path / "audit.log") / ".cut.json.new").touch()
        assert own.write(file)
        os.utime(own.path, (number, number))
    kept = own_evidence(tmp_path / "audit.log")
    assert len(list(kept.iterdir())) == MOST_STARTS
    assert not (kept / f"{b64url(bytes([2]) * 32)}.json").exists()
    assert own.path.exists()


def test_a_folder_that_cannot_be_written_costs_no_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_evidence(tmp_path / "audit.log").write_text("in the way")
    make_folder(tmp_path / "audit.log")
    own = OwnEvidence(tmp_path / "audit.log", receipt_jwk="", receipt_key=bytes(32))
    assert not own.write(decode_evidence(evidence_file()))
    assert "evidence not written" in capsys.readouterr().err


def test_evidence_that_no_reader_takes_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder(tmp_path / "audit.log")
    own = OwnEvidence(tmp_path / "audit.log", receipt_jwk="", receipt_key=bytes(32))
    file = decode_evidence(evidence_file())
    assert not own.write(msgspec.structs.replace(file, amd_crl=bytes(MAX_FILE_BYTES)))
    assert not list(own_evidence(tmp_path / "audit.log").iterdir())
    assert "evidence not written" in capsys.readouterr().err
    assert own.write(file)


def delivery(folder: Path, trail: Path, agency: Site) -> Path:
    """`audit.toml` without receipt_keys."""
    found = folder / "delivery"
    (found / "state").mkdir(parents=True)
    (found / "token").write_text(SUBMITTER + "\n")
    write_policy(found / "policy.toml", agency.policy)
    (found / "audit.toml").write_text(
        f'trail = "{trail}"\nstate = "state"\n[log]\npolicy = "policy.toml"\n'
        'token_file = "token"\nca_file = "policy.toml"\n'
    )
    return found
