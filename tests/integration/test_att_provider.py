"""The provider's description through Microsoft's SDK, against the simulated service."""

import msgspec
import pytest
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Simulation

from attestation import AZURE_US, AttestationError, Fault
from attestation.maa.provider import describe_provider


def test_the_provider_names_itself_and_its_keys(simulation: Simulation) -> None:
    provider = describe_provider(trust=simulation.trust, maa_url=simulation.maa_url)
    assert provider.issuer == simulation.maa_url
    assert provider.signing_keys >= 2


def test_a_provider_that_the_trust_does_not_have_is_not_asked(simulation: Simulation) -> None:
    with pytest.raises(AttestationError) as refused:
        describe_provider(trust=AZURE_US, maa_url=simulation.maa_url)
    assert refused.value.fault is Fault.CONFIG_INVALID


def test_a_provider_under_other_roots_is_not_believed(simulation: Simulation) -> None:
    trust = msgspec.structs.replace(simulation.trust, tls_roots=None)
    with pytest.raises(AttestationError) as refused:
        describe_provider(trust=trust, maa_url=simulation.maa_url)
    assert refused.value.fault is Fault.MAA_UNAVAILABLE


def test_a_provider_that_is_down(simulation: Simulation) -> None:
    simulation.fault(Service.MAA, Kind.STATUS, status=503)
    with pytest.raises(AttestationError) as refused:
        describe_provider(trust=simulation.trust, maa_url=simulation.maa_url)
    assert refused.value.fault is Fault.MAA_UNAVAILABLE
