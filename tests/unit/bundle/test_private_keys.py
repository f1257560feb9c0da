"""No private key gets into a bundle, in whatever form somebody left it there; public things do."""

import base64
import textwrap

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.private_keys import private_key_in
from cji_core.jose import public_jwk
from cji_core.strict import b64url
from cji_simulator.certificates import authority, pem
from tests.support.bundles import files, made
from tests.support.rsa_keys import rsa_key

EC = ec.generate_private_key(ec.SECP384R1())
RSA = rsa_key()
SECRET = BestAvailableEncryption(b"secret")
DER = EC.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
P12 = pkcs12.serialize_key_and_certificates(b"x", EC, None, None, SECRET)
JWK = public_jwk(EC.public_key())[:-1] + f',"d":"{b64url(bytes(range(48)))}"}}'
FORMS = {
    "pkcs8": EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "pkcs8-encrypted": EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, SECRET),
    "sec1": EC.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "pkcs1": RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "openssh": ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
    "behind": b"# a comment\n" * 100 + EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "der": DER,
    "der-pkcs1": RSA.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "der-encrypted": EC.private_bytes(Encoding.DER, PrivateFormat.PKCS8, SECRET),
    "pkcs12": P12,
    "base64": b'key = "' + base64.b64encode(DER) + b'"',
    "base64url": b'key = "' + b64url(DER).encode() + b'"',
    "base64-lines": b'key = """\n' + "\n".join(textwrap.wrap(base64.b64encode(DER).decode(), 64)).encode() + b'\n"""',
    "base64-pkcs12": b'key = "' + base64.b64encode(P12) + b'"',
    "jwk": JWK.encode(),
    "jwk-in-toml": f"key = '{JWK}'".encode(),
    "jwk-oct": b'{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}',
    "putty": b"PuTTY-User-Key-File-3: ecdsa",
    "account-key": b"DefaultEndpointsProtocol=https;AccountName=x;AccountKey=" + b"A" * 86 + b"==",
    "sas": b'url = "https://x.blob.core.windows.net/c?sv=2022-11-02&sig=' + b"A" * 43 + b'%3D"',
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS.keys())
def test_a_private_key_is_found(data: bytes) -> None:
    assert private_key_in(data)
    with pytest.raises(BundleRefused) as caught:
        made(files(changed={"reference/key.pem": data}))
    assert caught.value.what.startswith("reference/key.pem contains a ")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        pem(authority("CA", EC).certificate),
        authority("CA", RSA).certificate.public_bytes(Encoding.DER),
        EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public_jwk(EC.public_key()).encode(),
        b64url(b"header").encode() + b"." + b64url(bytes(2000)).encode() + b"." + b64url(bytes(96)).encode(),
        b'{"d":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}',  # of no kind of key
        *files().values(),
    ],
)
def test_public_things_pass(data: bytes) -> None:
    assert private_key_in(data) is None
