"""Column keys open for the worker, with their own statement alone; nobody else's signature goes through."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mlkem

from cji_client.signers import KeySigner
from cji_core.errors import Reason
from cji_core.format.columns import ColumnKeys, ColumnRight, open_keys, seal_keys, verify_statement
from cji_core.format.columns.sealing import _to_be_signed
from cji_core.format.envelope import UnwrappingKey, seal_box, wrap_dek
from cji_core.format.records import DataClass
from cji_core.jose import es384_sign
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from tests.support.column_keys import CEKS, COLUMNS, CREATED, KEYS, agency_key, column, sealed, statement, worker_key
from tests.support.refusals import refused
from tests.support.rsa_keys import rsa_key


def fails(*keys: ColumnKeys) -> None:
    with refused(Reason.DEK_UNWRAP_FAILED):
        open_keys(keys, worker_key())


def test_keys_open_in_the_order_of_statements_and_keys() -> None:
    one, two = sealed(), sealed(statement(table="other"))
    verify_statement(one, agency_key().public_key())
    assert open_keys([], worker_key()) == ()
    assert open_keys([one], worker_key()) == CEKS
    assert open_keys([one, two], worker_key()) == CEKS + CEKS


def test_both_suites_seal_sign_and_open() -> None:
    pair = SigningPair.generate()
    worker = UnwrappingKey(rsa_key(bits=3072), mlkem.MLKEM1024PrivateKey.generate())
    stated = statement(signing_key=pair, suite=Suite.HYBRID_1)
    keys = sealed(stated, signing_key=pair, wrapping=worker.public_key())
    verify_statement(keys, pair.public_key())
    assert open_keys([keys], worker) == CEKS
    with pytest.raises(InvalidSignature):
        verify_statement(keys, pair.public_key().p384)
    with refused(Reason.DEK_UNWRAP_FAILED):
        open_keys([keys], worker_key())


def test_only_the_stated_keys_and_signer_are_sealed() -> None:
    with pytest.raises(ValueError, match="keys of the statement"):
        sealed(ceks=CEKS[::-1])
    with pytest.raises(ValueError, match="keys of the statement"):
        sealed(ceks=CEKS[:1])
    with pytest.raises(ValueError, match="another signer"):
        sealed(signing_key=agency_key(1))
    pair = SigningPair.generate()
    with pytest.raises(ValueError, match="ML-KEM"):
        sealed(statement(signing_key=pair, suite=Suite.HYBRID_1), signing_key=pair)


def test_a_device_that_signs_something_else_is_found() -> None:
    class Device(KeySigner):
        def sign(self, message: bytes, suite: Suite) -> bytes:
            return super().sign(message + b"!", suite)

    with pytest.raises(InvalidSignature):
        seal_keys(statement(), CEKS, wrapping=worker_key().public_key(), signer=Device(agency_key()))


def signed(stated: Any, wrapped_key: bytes, sealed_keys: bytes, number: int = 1) -> ColumnKeys:
    """Column keys that the agency with this number put together itself."""
    signature = es384_sign(agency_key(number), _to_be_signed(stated, wrapped_key, sealed_keys))
    return ColumnKeys(statement=stated, wrapped_key=wrapped_key, sealed_keys=sealed_keys, signature=signature)


OTHERS: dict[str, dict[str, Any]] = {
    "table": {"table": "theirs"},
    "ori": {"originating_ori": "WI0140000"},
    "purposes": {"purpose_codes": ["C", "F"]},
    "submitters": {"submitters": [b"t" * 32]},
    "kek": {"kek_id": "https://w.vault.azure.net/keys/cmk/" + "ab" * 16},
    "created": {"created": CREATED + timedelta(seconds=1)},
    "end": {"not_after": CREATED + timedelta(days=31)},
    "path": {"keys": [replace(key, key_path="another") for key in KEYS]},
    "type": {"columns": [*COLUMNS[:2], column("last", "nvarchar(61)")]},
    "class": {"columns": [*COLUMNS[:2], column("last", "nvarchar(60)", data_class=DataClass.CASE)]},
    "name": {"columns": [*COLUMNS[:2], column("middle", "nvarchar(60)")]},
    "rights": {"columns": [*COLUMNS[:2], column("last", "nvarchar(60)", rights=frozenset(ColumnRight))]},
    "key": {"columns": [*COLUMNS[:2], column("last", "nvarchar(60)", key=1)]},
    "signer": {"signing_key": agency_key(1)},
}


@pytest.mark.parametrize("field", OTHERS)
def test_keys_do_not_open_with_another_statement(field: str) -> None:
    """Another agency of the pool, or who has the first one's key, puts another statement around these keys."""
    keys = sealed()
    stated = statement(**OTHERS[field])
    taken = signed(stated, keys.wrapped_key, keys.sealed_keys, number=1 if field == "signer" else 0)
    verify_statement(taken, agency_key(1 if field == "signer" else 0).public_key())
    fails(taken)


def test_the_signer_is_the_one_that_is_stated() -> None:
    """The pinned key signed a statement that names another signer."""
    keys = sealed()
    taken = signed(statement(signing_key=agency_key(1)), keys.wrapped_key, keys.sealed_keys, number=0)
    with pytest.raises(InvalidSignature):
        verify_statement(taken, agency_key().public_key())


def test_an_order_of_keys_is_bound_too() -> None:
    keys = sealed()
    swapped = statement(keys=KEYS[::-1])
    fails(signed(swapped, keys.wrapped_key, keys.sealed_keys, number=0))


def test_keys_swapped_between_statements_are_found() -> None:
    one, two = sealed(), sealed(statement(table="other"))
    mixed = replace(one, wrapped_key=two.wrapped_key, sealed_keys=two.sealed_keys)
    with pytest.raises(InvalidSignature):
        verify_statement(mixed, agency_key().public_key())
    fails(mixed)
    fails(replace(one, sealed_keys=two.sealed_keys))


def test_a_changed_byte_fails_signature_and_keys() -> None:
    keys = sealed()
    for name in ("wrapped_key", "sealed_keys", "signature"):
        value = getattr(keys, name)
        for place in {0, len(value) // 2, len(value) - 1}:
            changed = replace(keys, **{name: value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]})
            with pytest.raises(InvalidSignature):
                verify_statement(changed, agency_key().public_key())
            if name != "signature":
                fails(changed)


def test_a_box_with_other_keys_than_stated_fails() -> None:
    """Its maker has the right to sign and to seal, but states the digest of another key."""
    stated, key = statement(), bytes(32)
    box = seal_box(key, b"column-keys\0" + stated.sha384, CEKS[1] + CEKS[0])
    fails(signed(stated, wrap_dek(worker_key().rsa_key.public_key(), key), box, number=0))


def test_every_statement_is_opened_before_one_fails() -> None:
    """The time of a refusal does not show which of the keys was wrong."""
    good, tried = sealed(), list[bytes]()

    class Counting(UnwrappingKey):
        @property
        def rsa_key(self) -> Any:
            tried.append(b"")
            return worker_key().rsa_key

        def __init__(self) -> None:
            pass

    bad = replace(good, wrapped_key=bytes(384))
    with refused(Reason.DEK_UNWRAP_FAILED):
        open_keys([bad, good, bad, good], Counting())
    assert len(tried) == 4
