"""The public half of a signer's key, as a configuration pins it."""

from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.command.json_output import member, print_answer
from cji_core.jose import key_id, public_jwk


class PublicHalf(msgspec.Struct, frozen=True, kw_only=True):
    """`cji policy signer` and `cji advisories signer`: the public half of a signer's key."""

    jwk: Annotated[str, member("the key, a JWK as text, as a configuration pins it")]
    thumbprint: Annotated[str, member("RFC 7638, SHA-256")]


def print_public_half(key: ec.EllipticCurvePublicKey, *, as_json: bool) -> None:
    """Print the JWK."""
    jwk = public_jwk(key)
    print_answer(PublicHalf(jwk=jwk, thumbprint=key_id(key)), jwk, as_json=as_json)
