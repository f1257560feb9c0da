"""The tree of nonces under one quote, beside a slow twin of RFC 9162's shape."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import Fault
from cji_attestation.evidence import MAX_NONCES, MAX_PATH_BYTES, bind, gather, qualifying_data, root_of
from tests.support.refusals import rejected

KEY = b"k" * 32
nonces = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=MAX_NONCES)


def twin(given_nonces: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1: split at the largest power of two that is smaller than the number of leaves."""
    if len(given_nonces) == 1:
        return hashlib.sha384(b"\0cji-nonce/1\0" + given_nonces[0]).digest()
    split = 1 << (len(given_nonces) - 1).bit_length() - 1
    return hashlib.sha384(b"\1" + twin(given_nonces[:split]) + twin(given_nonces[split:])).digest()


@given(nonces)
def test_every_nonce_leads_to_the_root_of_the_slow_twin(given_nonces: list[bytes]) -> None:
    root, paths = gather(given_nonces)
    assert root == twin(given_nonces)
    for nonce, path in zip(given_nonces, paths, strict=True):
        assert root_of(nonce, path) == root
        assert qualifying_data(KEY, nonce, path) == bind(KEY, root)
        assert len(path) <= MAX_PATH_BYTES


@given(nonces, st.data())
def test_x10_a_nonce_that_was_not_gathered_has_no_path(given_nonces: list[bytes], data: st.DataObject) -> None:
    root, paths = gather(given_nonces)
    foreign = os.urandom(32)
    path = data.draw(st.sampled_from(paths))
    with_fault = bytearray(path)
    if path:
        with_fault[data.draw(st.integers(0, len(path) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert root_of(foreign, path) != root
    if with_fault[::49] == path[::49]:
        nonce = given_nonces[paths.index(path)]
        assert bytes(with_fault) == path or root_of(nonce, bytes(with_fault)) != root


def test_x10_a_node_is_no_leaf_and_a_leaf_no_node() -> None:
    """What hashes to an inner node is longer than a nonce, and is hashed under another prefix."""
    root, paths = gather([bytes(32), b"\1" * 32])
    assert root_of(bytes(32), paths[0]) == root
    assert root_of(root[:32]) != root
    assert root_of(bytes(32)) != root


@pytest.mark.parametrize(
    "path", [b"\0", bytes(48), bytes(50), b"\2" + bytes(48), b"\xff" + bytes(48), bytes(49 * 7)], ids=len
)
def test_x10_a_path_of_another_form_is_refused(path: bytes) -> None:
    with rejected("nonce-path", fault=Fault.EVIDENCE_INVALID):
        root_of(bytes(32), path)


@pytest.mark.parametrize("length", [0, 31, 33, 48, 97])
def test_a_nonce_has_32_bytes(length: int) -> None:
    with rejected("nonce-length"):
        root_of(bytes(length))
    with rejected("nonce-length"):
        gather([bytes(32), bytes(length)])


@pytest.mark.parametrize("count", [0, MAX_NONCES + 1])
def test_a_root_has_a_bounded_number_of_nonces(count: int) -> None:
    with rejected("nonce-count"):
        gather([bytes(32)] * count)
    with rejected("nonce-length"):
        bind(b"k" * 31, bytes(48))
