"""The release policy that Bicep embeds, in the simulated vault: kept as reviewed, accepted by vault and worker."""

import base64
import hashlib
import json

import pytest

from cji_attestation import Fault
from cji_attestation.release.policy import Hardware, build
from cji_deploy.check.bicep import parse
from cji_deploy.check.release_policy import HARDWARE, embedded
from cji_simulator.release_policy import ReleasePolicy
from cji_simulator.simulation import Simulation
from tests.support.paths import ROOT
from tests.support.refusals import rejected

BICEP = ROOT / "deploy" / "bicep"


def deployed(kind: Hardware, authority: str) -> bytes:
    """The policy that the resource manager would send to the vault."""
    template = parse("key.bicep", (BICEP / "key.bicep").read_bytes())
    data = embedded(BICEP, {"key.bicep": template}, "key.bicep", kind, authority)
    return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))


def test_the_deployed_policy_releases_to_its_isolation_alone(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cji_attestation.evidence.collect.REPORT_PAUSES", (0.0,))
    keys = {}
    for kind in HARDWARE:
        policy = deployed(kind, simulation.maa_url)
        assert policy == build(simulation.maa_url, hardware=(kind,))
        keys[kind] = simulation.create_cmk(f"deployed-{kind}", policy=json.loads(policy))
        assert keys[kind].policy_sha256 == hashlib.sha256(ReleasePolicy.parse(policy).encoded).hexdigest()
    attester = simulation.attester()
    attestation = attester.attest(receipt_key=b"r" * 32)
    # the pinned digest is that of the policy as deployed, so the worker has just accepted these bytes
    attester.release_into(attestation, keys["snp"].spec, memoryview(bytearray(4096)))
    with rejected("vault-403-policy", fault=Fault.RELEASE_DENIED):
        attester.release_into(attestation, keys["tdx"].spec, memoryview(bytearray(4096)))
