"""Readers of both suites: the attribution, boxes and wrapped keys of a job, composite signatures, pairs of keys."""

import functools
import json
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_client.errors import SpecError
from cji_core.errors import Refusal
from cji_core.format.envelope import (
    ATTRIBUTION,
    UnwrappingKey,
    new_dek,
    open_box,
    open_dek,
    seal_box,
    unwrap_result_key,
    unwrap_seed,
    wrap_result_key,
    wrap_seed,
)
from cji_core.format.job import Attribution
from cji_core.format.keys import load_recipient_key, load_signing_key
from cji_core.jose import parse_encryption_pair, parse_ml_kem, parse_verifying, public_jwk, sign, verify
from cji_core.pairs import DecryptionPair, SigningPair
from cji_core.suites import Suite
from tests.fuzz.attestation_targets import only, target
from tests.fuzz.mutators import JSON, SIZED, TEXT
from tests.fuzz.worker_targets import from_file, text

__all__ = ["SUITES"]

DEK, HEADER, MESSAGE = bytes(range(32)), bytes(48), b"message"
KEK_ID = "https://v.vault.azure.net/keys/cmk/" + "ab" * 16


@functools.cache
def _worker_key() -> UnwrappingKey:
    return UnwrappingKey(rsa.generate_private_key(65537, 3072), mlkem.MLKEM1024PrivateKey.generate())


@functools.cache
def _signer() -> SigningPair:
    return SigningPair.generate()


@functools.cache
def _recipient() -> DecryptionPair:
    return DecryptionPair.generate()


def _attributions() -> tuple[bytes, ...]:
    short = Attribution(operator_id="op", requestor="Det. Muñoz", reason="why")
    long = Attribution(operator_id="o" * 256, requestor="r", reason="é" * 128, secondary_recipient="s", case_number="7")
    return short.encode(), long.encode()


@functools.cache
def _boxes() -> tuple[bytes, ...]:
    return (seal_box(DEK, ATTRIBUTION, _attributions()[0]), seal_box(DEK, ATTRIBUTION, b""))


@functools.cache
def _deks() -> tuple[bytes, ...]:
    return (new_dek(_worker_key().public_key(), Suite.HYBRID_1)[1],)


def _open_dek(data: bytes) -> bytes:
    return open_dek(_worker_key(), data, Suite.HYBRID_1)


def _dek_fair(data: bytes, value: Any) -> bool:
    """An ML-KEM half is refused implicitly; the RSA half must be the one of the corpus, to the byte."""
    return len(value) == 32 and data[1568:] == _deks()[0][1568:]


@functools.cache
def _result_keys() -> tuple[bytes, ...]:
    return (wrap_result_key(_recipient().public_key(), DEK, HEADER),)


@functools.cache
def _seeds() -> tuple[bytes, ...]:
    return (wrap_seed(_worker_key().rsa_key.public_key(), KEK_ID, bytes(range(64))),)


@functools.cache
def _signatures() -> tuple[bytes, ...]:
    return (sign(_signer(), MESSAGE, Suite.HYBRID_1),)


def _verify(data: bytes) -> bool:
    verify(_signer().public_key(), data, MESSAGE, Suite.HYBRID_1)
    return True


def _jwk_fair(_: bytes, value: Any) -> bool:
    """A key is one text, whatever text it came from."""
    members = json.loads(public_jwk(value))
    return members["kty"] in {"AKP", "EC"}


def _pems(*keys: Any) -> bytes:
    form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    return b"".join(key.private_bytes(*form) for key in keys)


def _signer_pems() -> tuple[bytes, ...]:
    return _pems(_signer().ml_dsa, _signer().p384), _pems(_signer().p384)


def _recipient_pems() -> tuple[bytes, ...]:
    return _pems(_recipient().ml_kem, _recipient().p384), _pems(_worker_key().rsa_key)


SUITES: Final = (
    target(
        "attribution",
        _attributions,
        Attribution.decode,
        refusals=(Refusal,),
        fair=lambda data, value: value.encode() == data,
        mutators=SIZED,
        weight=30,
    ),
    target(
        "box",
        _boxes,
        lambda data: open_box(DEK, ATTRIBUTION, data),
        refusals=(Refusal,),
        fair=only(_boxes),
        weight=20,
    ),
    target("hybrid-dek", _deks, _open_dek, refusals=(Refusal,), fair=_dek_fair, weight=1),
    target(
        "hybrid-result-key",
        _result_keys,
        lambda data: unwrap_result_key(_recipient(), data, HEADER),
        refusals=(Refusal,),
        fair=only(_result_keys),
        weight=1,
    ),
    target(
        "ml-kem-seed",
        _seeds,
        lambda data: unwrap_seed(_worker_key().rsa_key, KEK_ID, data),
        refusals=(Refusal,),
        fair=only(_seeds),
        weight=1,
    ),
    target("composite-signature", _signatures, _verify, refusals=(InvalidSignature,), fair=only(_signatures), weight=4),
    target(
        "hybrid-signer-jwk",
        lambda: (public_jwk(_signer().public_key()).encode(),),
        lambda data: parse_verifying(text(data)),
        refusals=(ValueError,),
        fair=_jwk_fair,
        mutators=JSON,
        weight=10,
    ),
    target(
        "hybrid-recipient-jwk",
        lambda: (public_jwk(_recipient().public_key()).encode(),),
        lambda data: parse_encryption_pair(text(data)),
        refusals=(ValueError,),
        fair=_jwk_fair,
        mutators=JSON,
        weight=10,
    ),
    target(
        "ml-kem-jwk",
        lambda: (public_jwk(_recipient().ml_kem.public_key()).encode(),),
        lambda data: parse_ml_kem(text(data)),
        refusals=(ValueError,),
        fair=_jwk_fair,
        mutators=JSON,
        weight=10,
    ),
    target("signing-key", _signer_pems, from_file(load_signing_key), refusals=(SpecError,), mutators=TEXT, weight=2),
    target(
        "recipient-key", _recipient_pems, from_file(load_recipient_key), refusals=(SpecError,), mutators=TEXT, weight=2
    ),
)
