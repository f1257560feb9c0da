"""Wrapped keys and boxes: what was wrapped comes back, and nothing that was changed does."""

import contextlib
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal
from cji_core.format.envelope import (
    UnwrappingKey,
    new_dek,
    open_box,
    open_dek,
    seal_box,
    unwrap_project_key,
    unwrap_result_key,
    wrap_project_key,
    wrap_result_key,
)
from cji_core.jose import COMPOSITE_MAX_BYTES, sign, verify
from cji_core.pairs import ML_KEM_BYTES, DecryptionPair, SigningPair
from cji_core.suites import Suite
from tests.support.refusals import refused

KEYS = st.binary(min_size=32, max_size=32)
HEADERS = st.binary(min_size=48, max_size=48)


@cache
def worker_key() -> UnwrappingKey:
    return UnwrappingKey(rsa.generate_private_key(65537, 3072), mlkem.MLKEM1024PrivateKey.generate())


@cache
def signer() -> SigningPair:
    return SigningPair.generate()


@cache
def recipient() -> DecryptionPair:
    return DecryptionPair.generate()


def flipped(data: bytes, place: int) -> bytes:
    at = place % len(data)
    return bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]])


@given(dek=KEYS, purpose=st.binary(max_size=40), plain=st.binary(max_size=300), place=st.integers(0, 10_000))
def test_a_box_opens_as_it_was_sealed_or_not_at_all(dek: bytes, purpose: bytes, plain: bytes, place: int) -> None:
    box = seal_box(dek, purpose, plain)
    assert open_box(dek, purpose, box) == plain
    for wrong in (
        (dek, purpose, flipped(box, place)),
        (dek, purpose + b"\0", box),
        (flipped(dek, place), purpose, box),
    ):
        with contextlib.suppress(Refusal):
            open_box(*wrong)
            raise AssertionError("it opened")


@given(dek=KEYS, one=st.text(max_size=20), other=st.text(max_size=20), key=KEYS)
def test_a_project_key_opens_for_its_project(dek: bytes, one: str, other: str, key: bytes) -> None:
    wrapped = wrap_project_key(dek, one, key)
    assert unwrap_project_key(dek, one, wrapped) == key
    if one != other:
        with contextlib.suppress(Refusal):
            unwrap_project_key(dek, other, wrapped)
            raise AssertionError("it opened")


@settings(max_examples=25)
@given(place=st.integers(0, 10_000), suite=st.sampled_from(Suite))
def test_a_changed_data_key_opens_to_no_data_key_of_the_job(place: int, suite: Suite) -> None:
    dek, wrapped = new_dek(worker_key().public_key(), suite)
    assert open_dek(worker_key(), wrapped, suite) == dek
    changed = flipped(wrapped, place)
    if suite is Suite.HYBRID_1 and place % len(wrapped) < ML_KEM_BYTES:  # FIPS 203 refuses implicitly
        assert open_dek(worker_key(), changed, suite) != dek
        return
    with refused(Reason.DEK_UNWRAP_FAILED):
        open_dek(worker_key(), changed, suite)


@settings(max_examples=25)
@given(key=KEYS, header=HEADERS, place=st.integers(0, 10_000))
def test_a_result_key_opens_for_its_job_alone(key: bytes, header: bytes, place: int) -> None:
    wrapped = wrap_result_key(recipient().public_key(), key, header)
    assert unwrap_result_key(recipient(), wrapped, header) == key
    for data, job in ((flipped(wrapped, place), header), (wrapped, flipped(header, place))):
        with contextlib.suppress(Refusal):
            unwrap_result_key(recipient(), data, job)
            raise AssertionError("it opened")


@settings(max_examples=25)
@given(message=st.binary(max_size=200), place=st.integers(0, 10_000))
def test_a_changed_signature_or_message_does_not_verify(message: bytes, place: int) -> None:
    signature, public = sign(signer(), message, Suite.HYBRID_1), signer().public_key()
    verify(public, signature, message, Suite.HYBRID_1)
    assert len(signature) <= COMPOSITE_MAX_BYTES
    for data, text in ((flipped(signature, place), message), (signature, message + b"\0"), (signature[1:], message)):
        with contextlib.suppress(InvalidSignature):
            verify(public, data, text, Suite.HYBRID_1)
            raise AssertionError("it verified")
