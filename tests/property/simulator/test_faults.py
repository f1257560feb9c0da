"""Orders in force, against the plain reading of their rule: the oldest that strikes here, as often as it says."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cji_simulator.faults import CATALOGUE, TRANSPORT, Fault, Faults, Kind, Service

PATHS = ("/certs", "/attest/AzureGuest", "/keys/a/release")
services = st.sampled_from((Service.MAA, Service.VAULT))
transport = st.sampled_from((Kind.STATUS, Kind.DOWN))


class Orders(RuleBasedStateMachine):
    """`model` holds, oldest first, each order and how often it may still strike; None is for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.model: list[tuple[Fault, int | None]] = []

    @rule(
        service=services, kind=transport, path=st.none() | st.sampled_from(PATHS), times=st.none() | st.integers(1, 3)
    )
    def order(self, service: Service, kind: Kind, path: str | None, times: int | None) -> None:
        fault = Fault(service=service, kind=kind, path=path, times=times)
        self.faults.add(fault)
        self.model.append((fault, times))

    @rule(service=services, path=st.sampled_from(PATHS), kinds=st.sampled_from([TRANSPORT, (Kind.DOWN,)]))
    def request(self, service: Service, path: str, kinds: tuple[Kind, ...]) -> None:
        struck = self.faults.take(service, *kinds, path=path)
        for at, (fault, left) in enumerate(self.model):
            if fault.service == service and fault.kind in kinds and (fault.path is None or fault.path in path):
                assert struck is not None
                assert (struck.service, struck.kind, struck.path, struck.times) == (
                    service,
                    fault.kind,
                    fault.path,
                    left,
                )
                self.model[at : at + 1] = [] if left == 1 else [(fault, left and left - 1)]
                return
        assert struck is None

    @rule()
    def clear(self) -> None:
        self.faults.clear()
        self.model.clear()

    @invariant()
    def lists_what_is_left(self) -> None:
        assert [order.times for order in self.faults] == [left for _, left in self.model]


TestOrders = Orders.TestCase


def test_every_kind_of_the_catalogue_exists_somewhere() -> None:
    assert set(CATALOGUE) == set(Kind)
    assert all(entry.services and entry.does for entry in CATALOGUE.values())
