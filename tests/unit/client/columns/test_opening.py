"""Column encryption keys opened with master keys: what the drivers wrote, and what was changed in it."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from cji_client.columns.encrypted_value import EncryptedValue
from cji_client.columns.errors import ColumnKeyRefused
from cji_client.columns.master_keys import FileMasterKey, master_keys
from cji_client.columns.opening import open_key
from cji_core.errors import SpecError
from tests.support.encrypted_values import CEK, columns_file, encrypted_value, pem, private_file

PROVIDERS = {
    "certificate-store": "certificate_store",
    "cng-csp": "cng",
    **dict.fromkeys(("azure-key-vault", "azure-key-vault-utf8", "tampered", "version"), "azure_key_vault"),
    **dict.fromkeys(("tedious", "wrong-path", "wrong-master-key"), "azure_key_vault"),
}


def opened(value: str, masters: list[FileMasterKey], **more: str) -> bytes:
    file = columns_file(value, **more)
    return open_key(file, file.keys[0], masters)


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def master(private: rsa.RSAPrivateKey, tmp_path: Path) -> FileMasterKey:
    return FileMasterKey(private_file(tmp_path / "cmk.pem", pem(private)))


def vectors() -> Iterator[Any]:
    folder = os.environ.get("CJI_VECTORS")
    if folder is None:
        return
    found = json.loads((Path(folder) / "columns" / "encrypted_values.json").read_text())
    for vector in found["vectors"]:
        key = found["masterKeys"][vector["masterKey"]]["pkcs8"]
        yield pytest.param(vector, base64.b64decode(key), id=vector["id"])


@pytest.mark.vectors
@pytest.mark.skipif("CJI_VECTORS" not in os.environ, reason="CJI_VECTORS is not set: no keys that drivers wrote")
@pytest.mark.parametrize(("vector", "key"), list(vectors()))
def test_a_key_that_a_driver_wrote(vector: dict[str, Any], key: bytes, tmp_path: Path) -> None:
    loaded = serialization.load_der_private_key(key, None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    masters = [FileMasterKey(private_file(tmp_path / "cmk.pem", pem(loaded)))]
    value, provider = vector["encryptedValue"], PROVIDERS[vector["kind"]]

    if vector["expect"] == "reject":
        with pytest.raises(ColumnKeyRefused):
            opened(value, masters, path=vector["keyPath"], provider=provider)
        return
    assert opened(value, masters, path=vector["pathInside"], provider=provider).hex() == vector["cek"]
    assert opened(f"0x{value.upper()}", masters, path=vector["pathInside"], provider=provider).hex() == vector["cek"]
    if vector["keyPath"].lower() != vector["pathInside"].lower():  # no driver compares
        with pytest.raises(ColumnKeyRefused, match="the key path inside encrypted_value is not master_key"):
            opened(value, masters, path=vector["keyPath"], provider=provider)
    others = {"azure_key_vault", "certificate_store"} if provider == "cng" else {"cng", "csp"}
    for other in others:
        with pytest.raises(ColumnKeyRefused, match="provider's signature"):
            opened(value, masters, path=vector["pathInside"], provider=other)


@pytest.mark.vectors
@pytest.mark.skipif("CJI_VECTORS" not in os.environ, reason="CJI_VECTORS is not set: no keys of Cosmos DB")
def test_keys_of_cosmos_db(tmp_path: Path, private: rsa.RSAPrivateKey) -> None:
    found = json.loads((Path(os.environ["CJI_VECTORS"]) / "columns" / "cosmos_documents.json").read_text())
    assert found["clientEncryptionKeys"]
    for resource in found["clientEncryptionKeys"].values():
        path = resource["keyWrapMetadata"]["value"]
        loaded = serialization.load_der_private_key(base64.b64decode(found["vaultKeys"][path]["pkcs8"]), None)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        other = FileMasterKey(private_file(tmp_path / "other.pem", pem(private)))
        masters = [other, FileMasterKey(private_file(tmp_path / "cmk.pem", pem(loaded)))]
        value = resource["wrappedDataEncryptionKey"]

        assert opened(value, masters, path=path, kind="cosmos_db").hex() == resource["raw"]
        with pytest.raises(ColumnKeyRefused, match=r"other\.pem"):
            opened(value, [other], path=path, kind="cosmos_db")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-8"])
def test_the_published_form_opens(private: rsa.RSAPrivateKey, master: FileMasterKey, encoding: str) -> None:
    assert opened(encrypted_value(private, encoding=encoding).hex(), [master]) == CEK


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"path": "https://other.vault.azure.net/keys/CMK/1"}, "the key path inside encrypted_value is not master_key"),
        ({"version": 2}, "encrypted_value has version 2"),
        ({"cek": bytes(16)}, "it has 16 bytes"),
    ],
)
def test_a_value_of_another_form(private: rsa.RSAPrivateKey, master: FileMasterKey, more: Any, what: str) -> None:
    with pytest.raises(ColumnKeyRefused, match=what) as refused:
        opened(encrypted_value(private, **more).hex(), [master])
    assert str(refused.value).startswith("CEK_Identity: ")
    assert refused.value.remedy
    assert refused.value.exit_status == 3


def test_no_byte_of_a_value_can_change(private: rsa.RSAPrivateKey, master: FileMasterKey) -> None:
    value = encrypted_value(private)
    for at in {*range(9), len(value) - 513, len(value) - 256, len(value) - 1}:
        changed = bytearray(value)
        changed[at] ^= 1
        with pytest.raises(ColumnKeyRefused):
            opened(changed.hex(), [master])
    for cut in (value[:-1], value + b"\0", value[:4], b""):
        with pytest.raises(ColumnKeyRefused):
            EncryptedValue.parse(cut)
        with pytest.raises((ColumnKeyRefused, SpecError)):
            opened(cut.hex(), [master])


def test_another_master_key_is_refused_by_name(private: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    small = FileMasterKey(private_file(tmp_path / "same-size.pem", pem(rsa.generate_private_key(65537, 2048))))
    large = FileMasterKey(private_file(tmp_path / "large.pem", pem(rsa.generate_private_key(65537, 3072))))
    value = encrypted_value(private).hex()

    with pytest.raises(ColumnKeyRefused, match=r"signature is not of same-size\.pem"):
        opened(value, [large, small])
    with pytest.raises(ColumnKeyRefused, match=r"a master key of 2048 bits, and large\.pem is not"):
        opened(value, [large])


def test_a_signature_over_another_ciphertext(private: rsa.RSAPrivateKey, master: FileMasterKey) -> None:
    """A signature is over the path and the ciphertext together: that of another value does not fit."""
    one, two = encrypted_value(private), encrypted_value(private, cek=bytes(32))

    with pytest.raises(ColumnKeyRefused, match="provider's signature"):
        opened((one[:-256] + two[-256:]).hex(), [master])


@pytest.mark.parametrize("password", [None, b"correct horse"])
def test_a_master_key_in_a_pfx(private: rsa.RSAPrivateKey, tmp_path: Path, password: bytes | None) -> None:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    data = pkcs12.serialize_key_and_certificates(b"cmk", private, None, None, encryption)
    file = private_file(tmp_path / "cmk.pfx", data)

    with master_keys((file,), lambda _: password) as masters:
        assert opened(encrypted_value(private).hex(), list(masters)) == CEK  # type: ignore[arg-type]
    if password:
        with pytest.raises(SpecError, match="its passphrase is wrong"):
            FileMasterKey(file, lambda _: b"wrong")


def test_what_is_not_a_master_key(tmp_path: Path) -> None:
    small = private_file(tmp_path / "small.pem", pem(rsa.generate_private_key(65537, 1024)))
    with pytest.raises(SpecError, match="1024 bits"):
        FileMasterKey(small)
    with pytest.raises(SpecError, match="not a private key"):
        FileMasterKey(private_file(tmp_path / "no.pem", b"nothing"))
    readable = private_file(tmp_path / "open.pem", pem(rsa.generate_private_key(65537, 2048)))
    readable.chmod(0o644)
    with pytest.raises(SpecError, match="others than its owner"):
        FileMasterKey(readable)
    device = tmp_path / "device.toml"
    device.write_text('vault = "http://contoso.vault.azure.net/keys/a/b"')
    with pytest.raises(SpecError, match=r"device\.toml"), master_keys((device,)):
        pass


def test_a_wrong_signature_is_found_before_opening(private: rsa.RSAPrivateKey, master: FileMasterKey) -> None:
    """The padding of OAEP is no oracle: a ciphertext that nobody signed reaches no decryption."""
    asked = []

    class Counting(FileMasterKey):
        def __init__(self) -> None:
            self.where, self.url, self.size = master.where, master.url, master.size

        def verify(self, sha256: bytes, signature: bytes) -> bool:
            return master.verify(sha256, signature)

        def unwrap(self, ciphertext: bytes) -> bytes | None:
            asked.append(hashlib.sha256(ciphertext).digest())
            return master.unwrap(ciphertext)

    changed = bytearray(encrypted_value(private))
    changed[-300] ^= 1
    with pytest.raises(ColumnKeyRefused):
        opened(changed.hex(), [Counting()])
    assert asked == []
    assert opened(encrypted_value(private).hex(), [Counting()]) == CEK
    assert len(asked) == 1
