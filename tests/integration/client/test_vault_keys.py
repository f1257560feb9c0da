"""Keys that stay in a vault: Microsoft's client against the simulator's vault."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_client.errors import SpecError, Unreachable
from cji_client.signers import header_signature
from cji_client.vault_keys import VaultDecrypter, VaultSigner
from cji_core.errors import Reason, Refusal
from cji_core.format.envelope import wrap_result_key
from cji_core.suites import Suite
from cji_simulator import Simulation
from tests.support.key_owner import Owner


def key_at(simulation: Simulation, folder: Path) -> dict[str, Any]:
    (folder / "roots.pem").write_text(simulation.endpoints.tls_roots)
    return {"credential": Owner(simulation), "ca_file": str(folder / "roots.pem")}


def test_a_key_in_a_vault_signs_headers(simulation: Simulation, tmp_path: Path) -> None:
    at = key_at(simulation, tmp_path)
    signer = VaultSigner(simulation.create_key("agency", kty="EC-HSM", crv="P-384", key_ops=["sign"]), **at)
    assert isinstance(signer.public_key(), ec.EllipticCurvePublicKey)
    assert len(header_signature(signer, b"header", Suite.CLASSICAL_1)) == 96
    with pytest.raises(SpecError, match="cannot sign a hybrid-1 job"):
        signer.sign(b"header", Suite.HYBRID_1)
    signer.close()
    other = VaultSigner(simulation.create_key("other", kty="EC-HSM", crv="P-384", key_ops=["verify"]), **at)
    with pytest.raises(SpecError):
        other.sign(b"header", Suite.CLASSICAL_1)
    small = VaultSigner(simulation.create_key("small", kty="EC-HSM", crv="P-256", key_ops=["sign"]), **at)
    with pytest.raises(SpecError, match="is not a P-384 key"):
        small.public_key()


def test_a_key_in_a_vault_opens_results(simulation: Simulation, tmp_path: Path) -> None:
    at = key_at(simulation, tmp_path)
    kid = simulation.create_key("recipient", kty="RSA-HSM", key_size=3072, key_ops=["decrypt"])
    decrypter = VaultDecrypter(kid, **at)
    public = decrypter.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    key = bytes(range(32))
    assert decrypter.unwrap(wrap_result_key(public, key, bytes(48)), bytes(48)) == key
    with pytest.raises(Refusal) as caught:
        decrypter.unwrap(bytes(384), bytes(48))
    assert caught.value.reason is Reason.DEK_UNWRAP_FAILED
    small = VaultDecrypter(simulation.create_key("small", kty="RSA-HSM", key_size=2048, key_ops=["decrypt"]), **at)
    with pytest.raises(SpecError, match="at least 3072 bits"):
        small.public_key()


def test_what_is_not_there(simulation: Simulation, tmp_path: Path) -> None:
    at = key_at(simulation, tmp_path)
    with pytest.raises(SpecError, match="HTTP 404"):
        VaultSigner(f"{simulation.vault_url}/keys/nobody/{'0' * 32}", **at)
    for bad in ("nonsense", f"{simulation.vault_url}/keys/agency", "http://vault.example/keys/a/b"):
        with pytest.raises(SpecError, match="is not the id"):
            VaultSigner(bad, **at)
    with pytest.raises(Unreachable, match="does not answer"):
        VaultSigner(f"{simulation.vault_url}/keys/agency/{'0' * 32}", credential=at["credential"])
