"""Public keys in files: JWKs, one a line, or one key in PEM."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.packet.errors import PacketError
from cji_core.certs import load_ec_public_key
from cji_core.jose import VerifyingKey, key_id, parse_verifying
from cji_core.pairs import VerifyingPair

Keys: TypeAlias = Mapping[str, VerifyingKey]
"""By RFC 7638 thumbprint."""
_REMEDY: Final = "Give public keys: one in PEM, or JWKs, one a line."


def keys_in(files: Mapping[str, bytes]) -> dict[str, VerifyingKey]:
    """The keys in these files, whose names are for the message. Raises PacketError for anything else."""
    return by_thumbprint(key for name, data in files.items() for key in _keys(name, data))


def by_thumbprint(keys: Iterable[VerifyingKey]) -> dict[str, VerifyingKey]:
    """The keys by what names them."""
    return {key_id(key): key for key in keys}


def p384_of(keys: Keys) -> dict[str, ec.EllipticCurvePublicKey]:
    """The P-384 half of each, under the thumbprint of the whole: what signs checkpoints."""
    return {kid: key.p384 if isinstance(key, VerifyingPair) else key for kid, key in keys.items()}


def _keys(name: str, data: bytes) -> list[VerifyingKey]:
    try:
        if data.lstrip().startswith(b"-----"):
            return [load_ec_public_key(data, ec.SECP384R1)]
        if found := [parse_verifying(line) for line in data.decode("ascii").split()]:
            return found
        raise ValueError("no key")
    except (ValueError, UnsupportedAlgorithm, msgspec.MsgspecError) as error:
        raise PacketError(f"{name} has no P-384 public key", _REMEDY) from error
