"""What a worker's verdict says of it: advisories that were accepted, and one boot between attestations."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cji_attestation import Fault
from cji_attestation.evidence import root_of
from cji_client.errors import Unverified
from cji_client.profile import load_profile
from cji_client.transport import SyncClient
from cji_core.errors import Reason
from cji_core.format.configuration.worker import load
from cji_core.trail import Attested, read
from cji_simulator.launch import worker_config
from cji_simulator.operator import Operator
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker, working_tree
from cji_worker.host import TpmClockWatch
from cji_worker.keyholder.custody import Custody
from tests.support.refusals import refused, rejected

TODAY = datetime.now(UTC).date()
DAY = timedelta(days=1)


def test_h01_accepted_advisories_are_in_receipt_and_audit(tmp_path: Path, azure: Simulation) -> None:
    azure, cmk = azure.another_vm(), azure.create_cmk("cji-advisories")
    files = worker_config(tmp_path, simulation=azure, keys=[cmk])
    with Worker(files.config, trust=azure.trust, log=tmp_path / "worker.log") as worker:
        site = Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))
        accepted = site.run(people(10)).receipt.claims.accepted_advisories
    assert "AMD-SB-3030" in accepted
    assert "AMD-SB-3019" not in accepted  # fixed on this machine
    events = [read(line).event for line in files.audit.read_bytes().splitlines(keepends=True)]
    assert {event.accepted_advisories for event in events if isinstance(event, Attested)} == {accepted}
    lines = [json.loads(line) for line in (tmp_path / "worker.log").read_text().splitlines() if line.startswith("{")]
    told = [line for line in lines if line["event"] == "floors-trail"]
    assert {line["what"] for line in told} == {"snp 27 > 23, microcode 88 > 84"}


@pytest.mark.parametrize(
    "signed",
    [None, {"machines": ("Turin",)}, {"until": TODAY - DAY, "since": TODAY - DAY}, {"advisories": ("AMD-SB-3030",)}],
    ids=["unrecorded", "wrong-product", "expired", "partly-naming"],
)
def test_h01_undecided_risks_keep_worker_and_client_away(
    azure: Simulation, site: Site, signed: dict[str, Any] | None
) -> None:
    deciding = Operator()
    ids = (signed or {}).pop("advisories", ())
    given = () if signed is None else (deciding.acceptance(*ids, **signed),)
    undecided = azure.reference_with(acceptances=given, advisory_signers=(deciding.signer,), advisories=None)
    attester = azure.attester(reference=undecided)
    with rejected("E32", fault=Fault.POLICY_MISMATCH):
        attester.attest(receipt_key=b"r" * 32)
    client = SyncClient(
        site.profile.target,
        tls=site.profile.tls(),
        trust=site.simulation.trust,
        reference=undecided,
        maa_url=site.profile.maa_url,
    )
    with client, pytest.raises(Unverified, match="E32"):
        client.attest()


def test_h01_a_decision_of_a_stranger_gives_a_worker_no_key(
    tmp_path: Path, azure: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    cmk = azure.create_cmk("cji-stranger")
    files = worker_config(tmp_path, simulation=azure, keys=[cmk])
    (tmp_path / "acceptance.jws").write_bytes(Operator().acceptance())
    custody = Custody(
        config=load(files.config),
        code=working_tree(),
        trust=azure.trust,
        receipt_key=b"r" * 32,
        tpm=TpmClockWatch(),
    )
    custody.step()
    assert custody.holdings.attestation is None
    with refused(Reason.ATTESTATION_REJECTED):
        custody.holdings.key(cmk.kek_id)
    assert '"check": "E45"' in capsys.readouterr().err


def test_f08_an_attester_sees_that_its_machine_goes_on(azure: Simulation) -> None:
    azure, cmk = azure.another_vm(), azure.create_cmk("cji-goes-on")
    attester = azure.attester()
    attestation = attester.attest(receipt_key=b"r" * 32)
    first = attestation.verdict
    attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))
    attester.quote(receipt_key=b"r" * 32, root=root_of(b"n" * 32))
    second = attester.attest(receipt_key=b"r" * 32).verdict
    assert dict(first.checks)["E35"] == "first quote; nothing to compare"
    assert dict(second.checks)["E35"].endswith("ms after the earlier quote, same boot")
    assert second.clock.clock > first.clock.clock
