"""Public keys that a vault may release: EC keys of JOSE, their thumbprints, and the pins of a key."""

import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_attestation import Fault
from cji_attestation.release import KeySpec
from cji_attestation.strict import ec_from_jwk, rsa_from_jwk
from cji_core.jose import canonical_jwk, jwk_thumbprint
from cji_core.strict import b64url, b64url_decode
from cji_simulator import jws
from cji_simulator.encoding import ec_jwk
from tests.support.refusals import rejected

DPOP = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}
"""RFC 9449 §4.1, and its thumbprint in §6.1."""
CURVES: list[ec.EllipticCurve] = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]


def read(jwk: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    return ec_from_jwk(jwk, fault=Fault.RELEASE_INVALID, check="x")


def test_thumbprint_of_rfc_9449() -> None:
    assert b64url(jwk_thumbprint(read(DPOP))) == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    assert list(json.loads(canonical_jwk(read(DPOP)))) == ["crv", "kty", "x", "y"]  # RFC 7638 §3.2


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@settings(max_examples=20)
@given(scalar=st.integers(1, 2**250))
def test_curves_round_trip(curve: ec.EllipticCurve, scalar: int) -> None:
    key = ec.derive_private_key(scalar, curve).public_key()
    assert read(ec_jwk(key)) == key
    assert read(json.loads(canonical_jwk(key))) == key
    assert b64url(jwk_thumbprint(key)) == jws.thumbprint(key)  # of the simulator's own making


def test_coordinates_are_integers_and_thumbprints_are_whole() -> None:
    """A coordinate that begins with zero bytes, in both spellings."""
    number = next(n for n in range(1, 5000) if point(n).x >> 248 == 0)
    jwk = ec_jwk(ec.derive_private_key(number, ec.SECP256R1()).public_key())
    short = jwk | {"x": b64url(b64url_decode(jwk["x"]).lstrip(b"\0"))}
    assert len(short["x"]) < len(jwk["x"])
    assert read(short) == read(jwk)
    assert json.loads(canonical_jwk(read(short)))["x"] == jwk["x"]


def point(scalar: int) -> ec.EllipticCurvePublicNumbers:
    return ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()


@pytest.mark.parametrize(
    "change",
    [
        {"crv": "P-256K"},
        {"crv": "secp256r1"},
        {"crv": "P-384"},
        {"crv": None},
        {"crv": ["P-256"]},
        {"x": None},
        {"y": 1},
        {"x": ""},
        {"x": "!"},
        {"x": DPOP["x"] + "="},
        {"x": b64url(b"\0" + b64url_decode(DPOP["x"]))},
        {"y": b64url(b"\xff" * 32)},
        {"y": DPOP["x"]},
    ],
)
def test_points_that_are_none(change: dict[str, Any]) -> None:
    with rejected("x", fault=Fault.RELEASE_INVALID):
        read(DPOP | change)


def test_kinds_of_keys_are_not_mistaken_for_each_other() -> None:
    with rejected("x"):
        rsa_from_jwk(DPOP, fault=Fault.RELEASE_INVALID, check="x")
    public = rsa.generate_private_key(65537, 2048).public_key()
    with rejected("x"):
        read(json.loads(canonical_jwk(public)))


def test_a15_a_key_that_leaves_its_findings_out_accepts_none() -> None:
    spec = KeySpec(kek_id="x", public_thumbprint="x", policy_sha256=None)
    assert spec.accept_findings == ()
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"kek_id":"","public_thumbprint":"","policy_sha256":null,"all":true}', type=KeySpec)
