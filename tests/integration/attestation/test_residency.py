"""Where a machine may be: the metadata service's word refuses one that is elsewhere, before anything else is asked."""

import msgspec
import pytest

from cji_attestation import Fault, Trust
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Simulation
from tests.support.refusals import rejected


def refused(simulation: Simulation, trust: Trust, url: str, region: str | None = None) -> tuple[Fault, str]:
    attester = simulation.attester(trust=trust, maa_url=url, region=region)
    with rejected() as caught:
        attester.attest(receipt_key=b"r" * 32)
    return caught.value.fault, caught.value.check


def test_h04_a_machine_outside_the_clouds_regions(simulation: Simulation) -> None:
    abroad = msgspec.structs.replace(simulation.trust, regions=("usgovtexas",))
    assert refused(simulation, abroad, simulation.maa_url) == (Fault.POLICY_MISMATCH, "region")


def test_h04_a_machine_in_another_region_than_stated(simulation: Simulation) -> None:
    assert refused(simulation, simulation.trust, simulation.maa_url, "westus3") == (Fault.POLICY_MISMATCH, "region")


def test_h04_the_right_region_proves_nothing(simulation: Simulation) -> None:
    """The machine is where it says, and is judged like any other."""
    nobody = msgspec.structs.replace(simulation.trust, amd_roots=("00" * 32,))
    assert refused(simulation, nobody, simulation.maa_url, simulation.region) == (Fault.UNTRUSTED_ROOT, "E04")


def test_h04_a_machine_that_cannot_say(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_attestation.evidence.imds.TOTAL_SECONDS", 0.0)
    simulation.fault(Service.IMDS, Kind.STATUS, status=503)
    assert refused(simulation, simulation.trust, simulation.maa_url)[0] is Fault.EVIDENCE_UNAVAILABLE
