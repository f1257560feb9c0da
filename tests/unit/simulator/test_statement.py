"""What the simulated vault hands out: exported forms, wraps, statements."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cji_simulator import jws, statement
from cji_simulator.encoding import unb64url
from cji_simulator.release_policy import ReleasePolicy
from cji_simulator.roots import Roots
from cji_simulator.vault_keys import WRAPS, Key, KeyVersion, new_material, wrap

POLICY = {"version": "1.0.0", "anyOf": [{"authority": "https://maa.example", "allOf": [{"claim": "a", "equals": 1}]}]}


def version(kty: str = "EC-HSM", curve: str = "P-256") -> KeyVersion:
    material = new_material(kty=kty, size=2048, curve=curve)
    return KeyVersion(material=material, operations=["sign", "verify"], exportable=True)


@pytest.mark.parametrize(("curve", "length"), [("P-256", 67), ("P-384", 80), ("P-521", 98)])
def test_ec_keys_are_exported_without_their_public_key(curve: str, length: int) -> None:
    made = version(curve=curve)
    data = made.exported()
    assert len(data) == length
    key = load_der_private_key(data, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers() == made.material.private_numbers()


def test_unknown_kinds_of_keys() -> None:
    for kty, size, curve in (("RSA", 2048, ""), ("RSA-HSM", 1024, ""), ("EC-HSM", 0, "P-256K"), ("oct-HSM", 256, "")):
        with pytest.raises((ValueError, KeyError)):
            new_material(kty=kty, size=size, curve=curve)


def test_no_private_number_in_a_repr() -> None:
    made = version()
    assert isinstance(made.material, ec.EllipticCurvePrivateKey)
    assert "material" not in repr(made)


@pytest.mark.parametrize("enc", WRAPS)
def test_wrap_is_oaep_then_kwp(enc: str) -> None:
    target, data = rsa.generate_private_key(65537, 2048), os.urandom(67)
    sealed = wrap(data, target=target.public_key(), enc=enc)
    assert len(sealed) == 336  # as in the recording of a P-256 key
    digest = WRAPS[enc]
    inner = target.decrypt(sealed[:256], padding.OAEP(padding.MGF1(digest()), digest(), None))
    assert aes_key_unwrap_with_padding(inner, sealed[256:]) == data


def names(value: Any) -> Any:
    return {key: names(inner) for key, inner in value.items()} if isinstance(value, dict) else None


@pytest.mark.vectors
def test_statement_has_the_members_of_a_recorded_one(vectors: Path, tmp_path: Path) -> None:
    calls = json.loads((vectors / "azure/skr/akv_release_recorded_ec-hsm_2022-05b.json").read_text())
    bodies = [json.loads(one["Response"]["BODY"]) for one in calls["networkCallRecords"] if one["Response"]["BODY"]]
    header, payload = jws.split(next(body["value"] for body in bodies if "value" in body))
    made = version()
    key = Key(kty="EC-HSM", size=0, curve="P-256", policy=ReleasePolicy.parse(json.dumps(POLICY).encode()),
              immutable=False, versions=[made])  # fmt: skip
    jwk = {**made.jwk("k"), "key_hsm": statement.key_hsm(kid="k", enc="RSA_AES_KEY_WRAP_256", ciphertext=b"c")}
    ours = {
        "request": {"api-version": "7.3", "enc": "RSA_AES_KEY_WRAP_256", "kid": "k"},
        "response": {"key": {"key": jwk, "attributes": made.attributes(), **key.policy_json()}},
    }
    our_header, our_payload = jws.split(statement.signed(ours, Roots.open(tmp_path).vault))
    assert list(our_header) == list(header)
    del our_payload["response"]["key"]["release_policy"]["contentType"]
    assert names(our_payload) == names(payload)
    released = payload["response"]["key"]["key"]
    assert names(json.loads(unb64url(released["key_hsm"]))) == names(json.loads(unb64url(jwk["key_hsm"])))
    assert list(released) == list(jwk)
