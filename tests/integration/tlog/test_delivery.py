"""A deliverer's way to the agency's log, with evidence that the log appraises."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from cji_attestation.attested import read_evidence
from cji_audit.tlog.attesting import appraiser
from cji_core.errors import StartupError
from cji_core.tlog.keys import new_signers
from cji_core.tlog.leaves import CheckpointLeaf, LeafError, decode_leaf
from cji_core.tlog.policy import Policy
from cji_core.trail.checkpoint import parse_checkpoint
from cji_core.trail.delivery import DeliveryError, DeliveryFile, load_delivery
from cji_core.trail.witnesses.agency_log import LogWitness
from cji_core.trail.witnesses.configured import needs
from cji_core.trail.witnesses.destination import LogDestination
from cji_core.trail.witnesses.examination import examine
from cji_core.trail.witnesses.keys import read_keys
from cji_core.trail.witnesses.records import Records, Witnessed
from cji_core.trail.witnesses.settings import log_table
from tests.support import evidence_files
from tests.support.evidence_files import evidence_file
from tests.support.forge import decided, machine
from tests.support.tlog_site import ORIGIN, SUBMITTER, Machine, Site, site, write_policy


@pytest.fixture
def agency(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        found.log._appraise = appraiser({machine().trust.name: machine().trust}, decided())
        yield found


class Host:
    """A machine whose deliverer has its evidence."""

    def __init__(self, folder: Path, policy: Policy) -> None:
        self.folder = folder
        folder.mkdir()
        self.machine = Machine(folder=folder)
        self.machine.trail.key = evidence_files._KEY
        self.keys = folder / "keys"
        self.keys.mkdir()
        (self.keys / "start.json").write_bytes(evidence_file())
        (folder / "token").write_text(SUBMITTER + "\n")
        write_policy(folder / "policy.toml", policy)
        (folder / "ca.pem").write_text("")
        raw: dict[str, object] = {"policy": "policy.toml", "token_file": "token", "ca_file": "ca.pem"}
        found = log_table(DeliveryFile(trail="t", state="s", receipt_keys="keys", log=raw), folder=folder)
        assert found is not None
        self.table = found
        self.clock = [0.0]

    def destination(self, records: str = "records") -> LogDestination:
        return LogDestination(
            LogWitness(self.table, trail=self.machine.trail.path, evidence=self.keys),
            trail=self.machine.trail.path,
            records=self.folder / records,
            keys=partial(read_keys, self.keys),
            interval=60,
            monotonic=lambda: self.clock[0],
        )

    def advance(self, destination: LogDestination) -> int:
        self.clock[0] += 60
        return destination.advance().seq


@pytest.fixture
def host(agency: Site, tmp_path: Path) -> Host:
    return Host(tmp_path / "host", agency.policy)


def test_a_trail_is_delivered_and_examined(agency: Site, host: Host) -> None:
    trail, destination = host.machine.trail, host.destination()
    for size in (3, 9, 12):
        trail.write(size - len(trail.lines))
        trail.checkpoint()
        assert host.advance(destination) == size
        assert host.advance(destination) == size
        destination = host.destination()
    kept = [record for _, record in Records(host.folder / "records")]
    assert all(isinstance(each, Witnessed) for each in kept)
    assert agency.log.store.size == 3
    (binding,) = [
        leaf.key
        for leaf in map(decode_leaf, agency.log.store.entries(0, 3))
        if isinstance(leaf, CheckpointLeaf) and leaf.key is not None
    ]
    verdict = read_evidence(evidence_file(), trust=machine().trust, reference=decided()).verdict
    assert binding.clock.clock == verdict.clock.clock
    result = examine(
        trail.path,
        records=host.folder / "records",
        log=LogWitness(host.table),
        keys=read_keys(host.keys),
    )
    assert (result.findings, result.last_agreed) == ([], 12)
    report = agency.monitor()
    assert report.findings == []


def test_a_false_receipt_is_a_finding(agency: Site, host: Host) -> None:
    trail, destination = host.machine.trail, host.destination()
    for _ in range(2):
        trail.write(3)
        trail.checkpoint()
        host.advance(destination)
    one, other = [record for _, record in Records(host.folder / "records")]
    assert isinstance(one, Witnessed)
    assert isinstance(other, Witnessed)
    witness = LogWitness(host.table)
    witness.verify(other.offer, other.receipt)
    for receipt in (
        one.receipt,
        msgspec.structs.replace(other.receipt, trail="0" * 96),
        msgspec.structs.replace(other.receipt, proof=one.receipt.proof),
        msgspec.structs.replace(other.receipt, proof=other.receipt.proof.replace("index 1", "index 0")),
        msgspec.structs.replace(other.receipt, proof="\n\n".join(other.receipt.proof.split("\n\n")[:2]) + "\n\n"),
    ):
        with pytest.raises(DeliveryError):
            witness.verify(other.offer, receipt)


def test_a_receipt_is_verified_under_the_policy_of_its_time(agency: Site, host: Host) -> None:
    host.machine.trail.write(3)
    host.machine.trail.checkpoint()
    host.advance(host.destination())
    (record,) = [record for _, record in Records(host.folder / "records")]
    assert isinstance(record, Witnessed)
    (host.folder / "policy.toml").rename(host.folder / "policy-1.toml")
    keys = tuple(each.key.vkey for each in new_signers(ORIGIN, (1, 6)))
    write_policy(host.folder / "policy.toml", Policy(msgspec.structs.replace(agency.policy.file, keys=keys)))
    with pytest.raises(DeliveryError):
        LogWitness(host.table).verify(record.offer, record.receipt)
    table = msgspec.structs.replace(host.table, earlier_policies=(str(host.folder / "policy-1.toml"),))
    LogWitness(table).verify(record.offer, record.receipt)


def test_a_jwk_alone_begins_no_trail(agency: Site, host: Host) -> None:
    from cji_core.jose import public_jwk

    (host.keys / "start.json").unlink()
    (host.keys / "start.jwk").write_text(public_jwk(host.machine.trail.key.public_key()))
    host.machine.trail.write(3)
    host.machine.trail.checkpoint()
    with pytest.raises(DeliveryError, match="evidence of this start"):
        host.advance(host.destination())
    assert agency.log.store.size == 0


def test_foreign_evidence_begins_no_trail(agency: Site, host: Host) -> None:
    agency.log._appraise = appraiser({}, decided())
    host.machine.trail.write(3)
    host.machine.trail.checkpoint()
    with pytest.raises(DeliveryError, match="does not accept the evidence"):
        host.advance(host.destination())
    with pytest.raises(LeafError, match="evidence"):
        agency.log._appraise(b"{}")


def test_a_lost_record_is_made_again(agency: Site, host: Host) -> None:
    host.machine.trail.write(3)
    host.machine.trail.checkpoint()
    host.advance(host.destination())
    assert host.advance(host.destination("other")) == 4
    assert agency.log.store.size == 1


def test_another_position_is_compared_again(agency: Site, host: Host) -> None:
    host.machine.trail.write(3)
    host.machine.trail.checkpoint()
    behind = host.destination("behind")
    host.advance(behind)
    host.machine.trail.write(2)
    host.machine.trail.checkpoint()
    ahead = host.destination("ahead")
    assert host.advance(ahead) == 7
    host.machine.trail.write(2)
    host.machine.trail.checkpoint()
    with pytest.raises(DeliveryError, match="another entry"):
        host.advance(behind)
    assert host.advance(behind) == 10


def test_an_older_copy_is_found_before_it_is_sent(agency: Site, host: Host) -> None:
    from cji_core.trail.chain import ChainError

    host.machine.trail.write(8)
    host.machine.trail.checkpoint()
    host.advance(host.destination())
    host.machine.trail = host.machine.trail.restore(5)
    with pytest.raises(ChainError):
        host.advance(host.destination("fresh"))
    assert parse_checkpoint(agency.log.newest(host.machine.identity).note.encode()).size == 9  # type: ignore[union-attr]


def test_a_configuration_names_its_files(agency: Site, host: Host) -> None:
    text = 'trail = "audit.log"\nstate = "."\nreceipt_keys = "keys"\n[log]\n'
    (host.folder / "audit.toml").write_text(text + 'policy = "policy.toml"\ntoken_file = "token"\n')
    found = needs(load_delivery(host.folder / "audit.toml"), folder=host.folder)
    assert str(host.folder / "policy.toml") in found.read
    assert found.urls == (agency.policy.file.url,)
    (host.folder / "policy.toml").write_text("x")
    with pytest.raises(StartupError):
        needs(load_delivery(host.folder / "audit.toml"), folder=host.folder)
