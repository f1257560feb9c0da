"""Faults of a service at each request: refused or tried again, named, nothing lost, nothing without bound."""

import itertools

import pytest

from cji_core.trail.delivery import DeliveryError
from cji_core.trail.witnesses.records import Records, Witnessed
from tests.support.witness_kinds import NETWORK, Setting
from tests.support.witness_services import FAULTS, Fault

# How many requests a delivery makes. The first meets each fault, later ones those that are not handled alike.
REQUESTS = {"blob": 3, "confidential_ledger": 4, "scitt": 3}
LATER: tuple[Fault, ...] = ("403", "404", "429", "500", "cut", "redirect", "huge", "lost", "garbage")
CASES = [
    (kind, fault, skip)
    for kind in NETWORK
    for fault in FAULTS
    for skip in range(REQUESTS[kind])
    if skip == 0 or fault in LATER or (kind, fault) == ("blob", "409")
]


@pytest.mark.parametrize(("kind", "fault", "skip"), CASES)
def test_a_fault_is_named_and_nothing_is_lost(setting: Setting, kind: str, fault: Fault, skip: int) -> None:
    setting.trail.write(5).checkpoint()
    setting.services.transparency.running = 1
    setting.services.faults, setting.services.skip = [fault], skip
    destination = setting.destination(kind, seconds=0.4 if fault == "slow" else 5.0)
    if (kind, fault, skip) == ("confidential_ledger", "404", 0):  # the answer for a collection without entries
        assert destination.advance().seq == 5
        return
    with pytest.raises(DeliveryError) as caught:
        destination.advance()
    assert (caught.value.after == 7.0) == (fault == "429")
    assert str(caught.value).isprintable()
    assert not list((setting.state / "witnesses" / destination.name).glob("*"))
    assert not setting.services.faults
    assert not any("elsewhere" in each for each in setting.services.requests)
    assert destination.advance().seq == 5
    [(_, record)] = Records(setting.state / "witnesses" / destination.name)
    assert isinstance(record, Witnessed)
    setting.witness(kind).verify(record.offer, record.receipt)


@pytest.mark.parametrize("kind", NETWORK)
def test_one_fault_after_another(setting: Setting, kind: str) -> None:
    trail, destination = setting.trail.write(), setting.destination(kind)
    setting.services.faults = [fault for fault in FAULTS if fault not in {"slow", "huge"}] * 3
    sizes: list[int] = []
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
    for one, other in itertools.pairwise(kept):
        assert isinstance(one, Witnessed)
        assert isinstance(other, Witnessed)
        other.offer.continues(one.offer)
