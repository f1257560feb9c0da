"""hybrid-1: a data key needs both halves, bound to each other; results open for both keys of a recipient alone."""

import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM
from cryptography.hazmat.primitives.hpke import Suite as HpkeSuite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cji_core.errors import Reason
from cji_core.format.envelope import (
    UnwrappingKey,
    new_dek,
    open_dek,
    sha384,
    unwrap_dek,
    unwrap_result_key,
    wrap_dek,
    wrap_result_key,
    wrapped_result_key_bytes,
)
from cji_core.jose import thumbprint
from cji_core.pairs import ML_KEM_BYTES, DecryptionPair
from cji_core.suites import Suite
from tests.support.refusals import refused

HYBRID = Suite.HYBRID_1
HEADER = sha384(b"header")


@pytest.fixture(scope="module")
def cmk() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


@pytest.fixture(scope="module")
def key(cmk: rsa.RSAPrivateKey) -> UnwrappingKey:
    return UnwrappingKey(cmk, mlkem.MLKEM1024PrivateKey.generate())


def halves(wrapped: bytes) -> tuple[bytes, bytes]:
    return wrapped[:ML_KEM_BYTES], wrapped[ML_KEM_BYTES:]


def test_the_data_key_is_that_of_the_documented_rule(key: UnwrappingKey) -> None:
    """The combiner written out once more, from docs/format.md §4."""
    dek, wrapped = new_dek(key.public_key(), HYBRID)
    assert open_dek(key, wrapped, HYBRID) == dek
    ml_kem, oaep = halves(wrapped)
    assert key.ml_kem is not None
    secret = key.ml_kem.decapsulate(ml_kem) + unwrap_dek(key.rsa_key, oaep)
    info = b"cji-hybrid-1/dek\0" + thumbprint(key.ml_kem.public_key()) + thumbprint(key.rsa_key.public_key())
    info += sha384(wrapped)
    assert HKDF(algorithm=hashes.SHA384(), length=32, salt=None, info=info).derive(secret) == dek


def test_one_half_alone_is_no_data_key(key: UnwrappingKey) -> None:
    dek, wrapped = new_dek(key.public_key(), HYBRID)
    ml_kem, oaep = halves(wrapped)
    assert key.ml_kem is not None
    assert dek not in {unwrap_dek(key.rsa_key, oaep), key.ml_kem.decapsulate(ml_kem)}
    for stripped in (ml_kem, oaep, b"", ml_kem + b"\0"):
        with refused(Reason.DEK_UNWRAP_FAILED):
            open_dek(key, stripped, HYBRID)
    with refused(Reason.DEK_UNWRAP_FAILED):
        open_dek(UnwrappingKey(key.rsa_key), wrapped, HYBRID)
    with pytest.raises(ValueError, match="ML-KEM"):
        new_dek(UnwrappingKey(key.rsa_key).public_key(), HYBRID)


def test_halves_of_two_jobs_give_the_key_of_neither(key: UnwrappingKey) -> None:
    (one, first), (two, second) = new_dek(key.public_key(), HYBRID), new_dek(key.public_key(), HYBRID)
    swapped = {
        open_dek(key, a[:ML_KEM_BYTES] + b[ML_KEM_BYTES:], HYBRID) for a, b in ((first, second), (second, first))
    }
    assert len(swapped | {one, two}) == 4


@pytest.mark.parametrize("at", [0, 700, ML_KEM_BYTES - 1])
def test_a_changed_ml_kem_half_gives_another_key(key: UnwrappingKey, at: int) -> None:
    """FIPS 203 refuses implicitly: what is sealed under the data key does not open."""
    dek, wrapped = new_dek(key.public_key(), HYBRID)
    changed = bytes([*wrapped[:at], wrapped[at] ^ 1, *wrapped[at + 1 :]])
    assert open_dek(key, changed, HYBRID) != dek


def test_an_rsa_half_moved_to_classical_is_another_key(key: UnwrappingKey) -> None:
    dek, wrapped = new_dek(key.public_key(), HYBRID)
    _, oaep = halves(wrapped)
    assert open_dek(key, oaep, Suite.CLASSICAL_1) != dek
    with refused(Reason.DEK_UNWRAP_FAILED):
        open_dek(key, wrapped, Suite.CLASSICAL_1)


def test_the_data_key_is_bound_to_both_public_keys(key: UnwrappingKey) -> None:
    """The same two secrets under another RSA key of the same worker are another data key."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    dek, wrapped = new_dek(key.public_key(), HYBRID)
    ml_kem, oaep = halves(wrapped)
    moved = ml_kem + wrap_dek(other.public_key(), unwrap_dek(key.rsa_key, oaep))
    assert open_dek(UnwrappingKey(other, key.ml_kem), moved, HYBRID) != dek


def test_k07_failures_of_the_rsa_half_look_the_same(key: UnwrappingKey) -> None:
    _, wrapped = new_dek(key.public_key(), HYBRID)
    ml_kem, oaep = halves(wrapped)
    seen = set()
    for bad in (bytes(384), b"\xff" * 384, os.urandom(383), oaep[:-1] + bytes([oaep[-1] ^ 1])):
        with refused(Reason.DEK_UNWRAP_FAILED) as caught:
            open_dek(key, ml_kem + bad, HYBRID)
        seen.add((caught.value.reason, caught.value.stage, str(caught.value), caught.value.__cause__))
    assert len(seen) == 1


def test_k07_a_failed_rsa_half_costs_the_work_of_both(key: UnwrappingKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong RSA half is followed by the decapsulation and the derivation, as a right one is."""
    done = list[str]()

    class Counting:
        def decapsulate(self, ciphertext: bytes) -> bytes:
            done.append("decapsulate")
            assert key.ml_kem is not None
            return key.ml_kem.decapsulate(ciphertext)

        def public_key(self) -> mlkem.MLKEM1024PublicKey:
            assert key.ml_kem is not None
            return key.ml_kem.public_key()

    counting = UnwrappingKey(key.rsa_key, Counting())  # type: ignore[arg-type]
    from cji_core.format.envelope import keywrap

    combine = keywrap._combine

    def counted(*given: object) -> bytes:
        done.append("combine")
        return combine(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(keywrap, "_combine", counted)
    _, wrapped = new_dek(key.public_key(), HYBRID)
    done.clear()
    open_dek(counting, wrapped, HYBRID)
    right = list(done)
    done.clear()
    with refused(Reason.DEK_UNWRAP_FAILED):
        open_dek(counting, wrapped[:ML_KEM_BYTES] + bytes(384), HYBRID)
    assert done == right == ["decapsulate", "combine"]


def test_a_result_key_opens_for_the_pair_and_its_job() -> None:
    pair, other, result_key = DecryptionPair.generate(), DecryptionPair.generate(), os.urandom(32)
    wrapped = wrap_result_key(pair.public_key(), result_key, HEADER)
    assert len(wrapped) == wrapped_result_key_bytes(pair.public_key())
    assert unwrap_result_key(pair, wrapped, HEADER) == result_key
    wrong = [
        (other, wrapped, HEADER),
        (pair, wrapped, sha384(b"another job")),
        (DecryptionPair(pair.ml_kem, other.p384), wrapped, HEADER),
        (DecryptionPair(other.ml_kem, pair.p384), wrapped, HEADER),
        (pair, wrapped[:-1], HEADER),
        (pair, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), HEADER),
        (pair, bytes(len(wrapped)), HEADER),
        (pair, b"", HEADER),
        (pair, wrap_result_key(pair.public_key(), result_key[1:], HEADER), HEADER),
    ]
    for key, data, header in wrong:
        with refused(Reason.DEK_UNWRAP_FAILED):
            unwrap_result_key(key, data, header)


def test_a_result_key_is_wrapped_as_the_document_says() -> None:
    pair, result_key = DecryptionPair.generate(), os.urandom(32)
    suite = HpkeSuite(KEM.MLKEM1024_P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM)
    wrapped = wrap_result_key(pair.public_key(), result_key, HEADER)
    assert suite.decrypt(wrapped, pair.hpke, b"cji-result-key/1\0" + HEADER) == result_key


def test_a_classical_recipient_gets_rsa_oaep(cmk: rsa.RSAPrivateKey) -> None:
    result_key = os.urandom(32)
    wrapped = wrap_result_key(cmk.public_key(), result_key, HEADER)
    assert len(wrapped) == wrapped_result_key_bytes(cmk.public_key()) == 384
    assert unwrap_result_key(cmk, wrapped, HEADER) == unwrap_dek(cmk, wrapped) == result_key


def test_the_length_of_an_rsa_key_need_not_be_whole_bytes() -> None:
    key, result_key = rsa.generate_private_key(public_exponent=65537, key_size=3076), os.urandom(32)
    wrapped = wrap_result_key(key.public_key(), result_key, HEADER)
    assert len(wrapped) == wrapped_result_key_bytes(key.public_key()) == 385
    assert unwrap_result_key(key, wrapped, HEADER) == result_key
