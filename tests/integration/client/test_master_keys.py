"""Master keys that stay in a vault: Microsoft's client against the simulator's vault, with the least rights."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_client.columns.errors import ColumnKeyRefused
from cji_client.columns.opening import open_key
from cji_client.columns.vault_master_key import VaultMasterKey
from cji_client.errors import SpecError
from cji_core.azure_client import ManagedIdentity, client_options
from cji_core.strict import b64url
from cji_simulator import Simulation
from tests.integration.client.test_vault_keys import key_at
from tests.support.encrypted_values import OAEP, columns_file

CEK = bytes(range(32))


def written(master: VaultMasterKey, *, cek: bytes = CEK) -> bytes:
    """ENCRYPTED_VALUE as Microsoft's provider for vaults makes it, signed by the vault."""
    n, e = (int.from_bytes(value, "big") for value in (master.jwk.n, master.jwk.e))
    ciphertext = rsa.RSAPublicNumbers(e, n).public_key().encrypt(cek, OAEP)
    path = master.key_id.lower().encode("utf-16-le")
    signed = b"\1" + len(path).to_bytes(2, "little") + len(ciphertext).to_bytes(2, "little") + path + ciphertext
    return signed + master.client.sign(SignatureAlgorithm.rs256, hashlib.sha256(signed).digest()).signature


def made(simulation: Simulation, name: str, operations: list[str], at: dict[str, Any]) -> VaultMasterKey:
    return VaultMasterKey(simulation.create_key(name, kty="RSA-HSM", key_size=2048, key_ops=operations), **at)


def test_a_master_key_in_a_vault_opens_its_keys(simulation: Simulation, tmp_path: Path) -> None:
    at = key_at(simulation, tmp_path)
    master = made(simulation, "always-encrypted", ["sign", "verify", "unwrapKey", "wrapKey"], at)
    other = made(simulation, "another", ["sign", "verify", "unwrapKey", "wrapKey"], at)
    file = columns_file((value := written(master)).hex(), path=master.key_id.upper().replace("HTTPS", "https"))

    assert open_key(file, file.keys[0], [other, master]) == CEK
    with pytest.raises(SpecError, match="is another key"):
        open_key(file, file.keys[0], [other])
    changed = columns_file((value[:-1] + bytes((value[-1] ^ 1,))).hex(), path=master.key_id)
    with pytest.raises(ColumnKeyRefused, match="provider's signature"):
        open_key(changed, changed.keys[0], [master])
    without_version = columns_file(value.hex(), path=master.key_id.rpartition("/")[0])
    with pytest.raises(ColumnKeyRefused, match="the key path inside"):
        open_key(without_version, without_version.keys[0], [master])
    master.close()


def test_the_vault_verifies_by_itself(simulation: Simulation, tmp_path: Path) -> None:
    """The service's own answer to `verify`: Microsoft's client verifies with the public key as soon as it has it."""
    at = key_at(simulation, tmp_path)
    master = made(simulation, "verifying", ["sign", "verify"], at)
    digest = hashlib.sha256(b"signed").digest()
    signature = master.client.sign(SignatureAlgorithm.rs256, digest).signature
    options = {"digest": b64url(digest), "alg": "RS256"}

    path = master.key_id.removeprefix(simulation.vault_url)
    assert simulation.vault("POST", f"{path}/verify", {**options, "value": b64url(signature)}) == {"value": True}
    assert simulation.vault("POST", f"{path}/verify", {**options, "value": b64url(bytes(256))}) == {"value": False}


def test_a_ciphertext_of_another_key_opens_nothing(simulation: Simulation, tmp_path: Path) -> None:
    at = key_at(simulation, tmp_path)
    master = made(simulation, "opening", ["unwrapKey"], at)

    assert master.unwrap(bytes(range(256))) is None


@pytest.mark.parametrize("operations", [["verify", "wrapKey"], ["decrypt"]])
def test_a_key_without_unwrapkey_is_refused(simulation: Simulation, tmp_path: Path, operations: list[str]) -> None:
    master = made(simulation, "no-unwrap", operations, key_at(simulation, tmp_path))
    with pytest.raises(SpecError, match=r"the vault refuses \(HTTP 403\)"):
        master.unwrap(bytes(256))


def test_an_identity_without_rights_is_refused(simulation: Simulation, tmp_path: Path) -> None:
    at = key_at(simulation, tmp_path)
    kid = simulation.create_key("not-yours", kty="RSA-HSM", key_size=2048, key_ops=["unwrapKey"])
    master = VaultMasterKey(
        kid, credential=ManagedIdentity(None, address=simulation.endpoints.imds_url), ca_file=at["ca_file"]
    )
    with pytest.raises(SpecError, match=r"the vault refuses \(HTTP 403\)"):
        master.unwrap(bytes(256))


def test_a_disabled_key_opens_nothing(simulation: Simulation, tmp_path: Path) -> None:
    master = made(simulation, "disabled", ["unwrapKey"], key_at(simulation, tmp_path))
    simulation.vault("PATCH", master.key_id.removeprefix(simulation.vault_url), {"attributes": {"enabled": False}})
    with pytest.raises(SpecError, match=r"the vault refuses \(HTTP 403\)"):
        master.unwrap(bytes(256))


def test_the_workers_key_unwraps_nothing(simulation: Simulation, tmp_path: Path) -> None:
    """Of the worker's key the vault wraps and releases: a column's key under it would have no way out."""
    at = key_at(simulation, tmp_path)
    cmk = simulation.create_cmk()
    client = CryptographyClient(cmk.kek_id, at["credential"], **client_options(at["ca_file"]))
    for algorithm in (KeyWrapAlgorithm.rsa_oaep, KeyWrapAlgorithm.rsa_oaep_256):
        with pytest.raises(HttpResponseError, match="unwrapKey is not permitted") as refused:
            client.unwrap_key(algorithm, bytes(384))
        assert refused.value.status_code == 403
    with pytest.raises(HttpResponseError, match="sign is not permitted"):
        client.sign(SignatureAlgorithm.rs256, bytes(32))
    with pytest.raises(SpecError, match="HTTP 403"):
        VaultMasterKey(cmk.kek_id, **at).unwrap(bytes(384))
