"""A TPM that is busy, full or wrong, through the real client: what is retried, what comes out, what stays loaded."""

from collections.abc import Callable
from typing import Any

import pytest
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Simulation
from tpm2_pytss import ESAPI
from tpm2_pytss.constants import TPM2_CAP, TPM2_HC

from attestation import AttestationError, Fault
from attestation.evidence import qualifying
from attestation.evidence.collect import collect, ephemeral_salt
from attestation.evidence.tpm import ATTEMPTS, EphemeralKey, Tpm

BOUND = qualifying(b"r" * 32, b"n" * 32)
SALT = ephemeral_salt(BOUND)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS2_LOG", "all+NONE")


def loaded(simulation: Simulation) -> list[int]:
    """Handles of transient objects and of sessions."""
    found: list[int] = []
    with ESAPI(simulation.trust.tcti) as tpm:
        for first in (TPM2_HC.TRANSIENT_FIRST, TPM2_HC.LOADED_SESSION_FIRST):
            _, answer = tpm.get_capability(TPM2_CAP.HANDLES, first, 64)
            found += [int(handle) for handle in answer.data.handles]  # a view: `answer` has to outlive it
    return found


def made(simulation: Simulation) -> tuple[tuple[bytes, ...], EphemeralKey]:
    with Tpm(simulation.trust.tcti) as tpm:
        pcrs = tpm.pcr_values()
        return pcrs, tpm.ephemeral_key(salt=SALT, pcrs=pcrs)


def refusal(act: Callable[[], Any]) -> tuple[Fault, str]:
    with pytest.raises(AttestationError) as caught:
        act()
    return caught.value.fault, caught.value.check


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.YIELDED, Kind.OBJECT_MEMORY])
def test_a_busy_tpm_is_asked_again(simulation: Simulation, kind: Kind) -> None:
    simulation.fault(Service.TPM, kind, times=ATTEMPTS - 1)
    evidence = collect(trust=simulation.trust, qualifying=BOUND)
    assert simulation.faults() == []  # all of them struck
    assert evidence.quote
    assert loaded(simulation) == []


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.YIELDED])
def test_a_tpm_that_stays_busy_is_no_verdict(simulation: Simulation, kind: Kind) -> None:
    pcrs, key = made(simulation)
    simulation.fault(Service.TPM, kind)
    with Tpm(simulation.trust.tcti) as tpm:

        def decrypt() -> bytearray:
            return tpm.rsa_decrypt(bytes(256), padding="rsaes", salt=SALT, pcrs=pcrs, public=key.public)

        assert refusal(tpm.pcr_values) == (Fault.EVIDENCE_UNAVAILABLE, "pcr-read")
        assert refusal(lambda: tpm.quote(BOUND)) == (Fault.EVIDENCE_UNAVAILABLE, "quote")
        assert refusal(decrypt) == (Fault.EVIDENCE_UNAVAILABLE, "tpm")
    simulation.clear_faults()
    assert loaded(simulation) == []


def test_a_tpm_that_is_gone_is_no_verdict() -> None:
    assert refusal(Tpm("swtpm:path=/nowhere/tpm.sock").__enter__) == (Fault.EVIDENCE_UNAVAILABLE, "tpm-open")
    assert refusal(Tpm("swtpm:path=/nowhere/tpm.sock").__enter__) == (Fault.EVIDENCE_UNAVAILABLE, "tpm-open")


def test_nothing_stays_loaded_whatever_comes_of_a_decryption(simulation: Simulation) -> None:
    pcrs, key = made(simulation)
    other = (bytes(32), *pcrs[1:])
    with Tpm(simulation.trust.tcti) as tpm:

        def decrypt(**changes: Any) -> bytearray:
            given: dict[str, Any] = {"padding": "oaep-sha256", "salt": SALT, "pcrs": pcrs, "public": key.public}
            return tpm.rsa_decrypt(bytes(255) + b"\2", **(given | changes))

        assert refusal(decrypt) == (Fault.RELEASE_INVALID, "tpm-decrypt")
        assert refusal(lambda: decrypt(pcrs=other)) == (Fault.EVIDENCE_INVALID, "ephemeral-key")
        again = tpm.ephemeral_key(salt=SALT, pcrs=other)
        assert refusal(lambda: decrypt(pcrs=other, public=again.public)) == (Fault.EVIDENCE_INVALID, "pcr-changed")
    assert loaded(simulation) == []
