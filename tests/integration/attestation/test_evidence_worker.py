"""What a worker's verdict says of it: advisories that were accepted, and one boot between attestations."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker

from attestation.appraisal import ReferenceValues
from attestation.evidence import root_of
from attestation.release import Attester
from worker.audit import Attested, read
from worker.client import load_profile

OPEN = "AMD-SB-9999"


def test_h01_an_accepted_advisory_is_in_receipt_and_audit(tmp_path: Path, azure: Simulation) -> None:
    today = datetime.now(UTC).date()
    azure, cmk = azure.another_vm(), azure.create_cmk("cji-advisories")
    files = worker_config(tmp_path, simulation=azure, keys=[cmk])
    products = 'products = ["Genoa"]\n'
    decided = (
        f"advisories = {{ reviewed = {today}, expires = {today + timedelta(days=30)}, "
        f'listed = [{{ id = "{OPEN}", unfixed = ["Genoa"] }}] }}\n'
        f'accepted = [{{ id = "{OPEN}", until = {today + timedelta(days=1)}, reason = "a test" }}]\n'
    )
    text = files.config.read_text()
    assert products in text
    files.config.write_text(text.replace(products, products + decided))
    with Worker(files.config, trust=azure.trust, log=tmp_path / "worker.log") as worker:
        site = Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))
        assert site.run(people(10)).receipt.claims.accepted_advisories == (OPEN,)
    events = [read(line).event for line in files.audit.read_bytes().splitlines(keepends=True)]
    assert {event.accepted_advisories for event in events if isinstance(event, Attested)} == {(OPEN,)}


def test_f08_an_attester_sees_that_its_machine_goes_on(azure: Simulation) -> None:
    azure, cmk = azure.another_vm(), azure.create_cmk("cji-goes-on")
    attester = Attester(trust=azure.trust, maa_url=azure.maa_url, reference=ReferenceValues())
    attestation = attester.attest(receipt_key=b"r" * 32)
    first = attestation.verdict
    attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))
    attester.quote(receipt_key=b"r" * 32, root=root_of(b"n" * 32))
    second = attester.attest(receipt_key=b"r" * 32).verdict
    assert dict(first.checks)["E35"] == "first quote; nothing to compare"
    assert dict(second.checks)["E35"].endswith("ms after the earlier quote, same boot")
    assert second.clock.clock > first.clock.clock
