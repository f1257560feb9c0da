"""A spec names its suite, and every key must serve it: nothing is sealed in another suite than the one named."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem

from cji_client.errors import SpecError, Unverified
from cji_client.seal import SealedJob, seal
from cji_client.spec import JobSpec, decode_spec
from cji_core.format.envelope import UnwrappingKey, open_dek, verify_header
from cji_core.format.keys import PinnedKey
from cji_core.jose import key_id, public_jwk
from cji_core.pairs import ML_KEM_BYTES, DecryptionPair, SigningPair
from cji_core.suites import Suite
from tests.support.job_specs import head
from tests.support.rsa_keys import rsa_key

CMK, ML_KEM = rsa_key(0, 3072), mlkem.MLKEM1024PrivateKey.generate()
SIGNING, RECIPIENT = SigningPair.generate(), DecryptionPair.generate()
CMK_ID, ML_KEM_ID = key_id(CMK.public_key()), key_id(ML_KEM.public_key())
RSA_RECIPIENT = public_jwk(rsa_key(1, 3072).public_key())
PAIR_RECIPIENT = public_jwk(RECIPIENT.public_key())
BODY = '[input]\nschema = "person/1"\n[[operations]]\nkind = "deidentify"\n[operations.columns]\nlast = "keep"\n'


def spec(*, recipient: str = PAIR_RECIPIENT, **changes: Any) -> JobSpec:
    values = {"suite": "hybrid-1", "ml_kem_thumbprint": ML_KEM_ID, **changes}
    more = {name: value for name, value in values.items() if value is not None}
    return decode_spec(head(recipient=recipient, kek_thumbprint=CMK_ID, **more) + BODY)


def pinned(**changes: Any) -> PinnedKey:
    halves = {"ml_kem_jwk": public_jwk(ML_KEM.public_key()), "expected_ml_kem": ML_KEM_ID, **changes}
    return PinnedKey.check(spec().kek_id, public_jwk(CMK.public_key()), expected=CMK_ID, **halves)


def sealed(made: JobSpec | None = None, **changes: Any) -> SealedJob:
    keys: dict[str, Any] = {"kek": pinned(), "signing_key": SIGNING, **changes}
    return seal(made or spec(), **keys)


def test_a_hybrid_job_is_hybrid_throughout() -> None:
    job = sealed()
    assert job.header.suite is Suite.HYBRID_1
    verify_header(SIGNING.public_key(), job.header.data, job.signature, Suite.HYBRID_1)
    assert open_dek(UnwrappingKey(CMK, ML_KEM), job.header.wrapped_dek, Suite.HYBRID_1) == job._dek
    assert len(job.header.wrapped_dek) == ML_KEM_BYTES + 384
    assert job.header.recipients[0].key_id == key_id(RECIPIENT.public_key())


def test_the_default_is_classical() -> None:
    job = sealed(spec(recipient=RSA_RECIPIENT, suite=None, ml_kem_thumbprint=None), kek=pinned(expected_ml_kem=None))
    assert job.header.suite is Suite.CLASSICAL_1
    assert len(job.header.wrapped_dek) == 384
    assert len(job.signature) == 96


@pytest.mark.parametrize(
    "changes",
    [{"suite": None}, {"suite": "classical-1"}, {"ml_kem_thumbprint": None}, {"suite": "hybrid-2"}, {"suite": ""}],
    ids=str,
)
def test_x15_a_spec_with_half_of_a_suite_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"belong together|Invalid"):
        spec(**changes)


@pytest.mark.parametrize(
    ("made", "keys", "says"),
    [
        ({"recipient": RSA_RECIPIENT}, {}, "MLKEM1024-P384"),
        ({}, {"signing_key": SIGNING.p384}, "pair of keys"),
        ({}, {"signing_key": ec.generate_private_key(ec.SECP384R1())}, "pair of keys"),
        ({}, {"kek": pinned(expected_ml_kem=None)}, "pinned key"),
        ({"ml_kem_thumbprint": "A" * 43}, {}, "pinned key"),
    ],
)
def test_x15_no_key_of_another_suite_is_used(made: dict[str, Any], keys: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        sealed(spec(**made), **keys)


@pytest.mark.parametrize("jwk", ["", "{}", RSA_RECIPIENT, PAIR_RECIPIENT])
def test_x15_a_worker_without_the_pinned_half_is_unverified(jwk: str) -> None:
    with pytest.raises(Unverified) as refused:
        pinned(ml_kem_jwk=jwk)
    assert refused.value.check == "ml_kem"


def test_x15_another_ml_kem_key_than_the_pinned_is_unverified() -> None:
    other = mlkem.MLKEM1024PrivateKey.generate().public_key()
    with pytest.raises(Unverified) as refused:
        pinned(ml_kem_jwk=public_jwk(other))
    assert refused.value.check == "ml_kem"
    assert key_id(other) in str(refused.value)
