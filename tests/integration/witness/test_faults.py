"""Faults of a service at each request: refused or tried again, named, nothing lost, nothing without bound."""

import pytest

from tests.support.witness_kinds import NETWORK, Setting
from tests.support.witness_services import FAULTS, Fault
from worker.audit.delivery import DeliveryError
from worker.audit.witnesses.records import Records, Witnessed

# How many requests a delivery makes: each of them meets each fault.
REQUESTS = {"blob": 3, "confidential_ledger": 4, "scitt": 3}
CASES = [
    (kind, fault, skip)
    for kind in NETWORK
    for fault in FAULTS
    for skip in range(REQUESTS[kind])
    if fault != "slow" or skip < 1  # each takes its deadline
]


@pytest.mark.parametrize(("kind", "fault", "skip"), CASES)
def test_a_fault_is_named_and_nothing_is_lost(setting: Setting, kind: str, fault: Fault, skip: int) -> None:
    setting.trail.write(5).checkpoint()
    setting.services.transparency.running = 1
    setting.services.faults, setting.services.skip = [fault], skip
    destination = setting.destination(kind, seconds=0.4 if fault == "slow" else 5.0)
    try:
        delivered = destination.advance()
    except DeliveryError as error:
        assert (error.retry_after == 7.0) == (fault == "429")
        assert str(error).isprintable()
        assert not list((setting.state / "witnesses" / destination.name).glob("*"))
        delivered = destination.advance()
    else:
        # an empty collection is what 404 means for its newest entry; a status that is not yet known is looked up again
        assert (kind, fault) == ("confidential_ledger", "404")
    assert not setting.services.faults
    assert delivered.seq == 5
    [(_, record)] = Records(setting.state / "witnesses" / destination.name)
    assert isinstance(record, Witnessed)
    setting.witness(kind).verify(record.offer, record.receipt)


@pytest.mark.parametrize("kind", NETWORK)
def test_one_fault_after_another(setting: Setting, kind: str) -> None:
    trail, destination = setting.trail.write(), setting.destination(kind)
    setting.services.faults = [fault for fault in FAULTS if fault not in {"slow", "huge"}] * 3
    sizes = []
    while setting.services.faults or len(sizes) < 3:
        trail.write(2)
        trail.checkpoint()
        setting.clock[0] += 60
        try:
            sizes.append(destination.advance().seq)
        except DeliveryError:
            destination = setting.destination(kind)  # as after a crash
    kept = [record for _, record in Records(setting.state / "witnesses" / destination.name)]
    assert len(sizes) >= 3
    for one, other in zip(kept, kept[1:], strict=False):
        assert isinstance(one, Witnessed)
        assert isinstance(other, Witnessed)
        other.offer.continues(one.offer)
