"""A bundle counts for the signatures of accepted keys, its dates and its serial number, and for nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.archive import Bundle, read
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import MAX_SERIAL, MAX_SIGNATURES, Signature
from cji_attestation.bundle.signatures import MAX_KEYS, FileSigner, accepted_in, sign, verify
from cji_core.jose import key_id, thumbprint
from tests.support.bundles import KEY, NOW, accepted, keys_folder, made, public_pem

OTHER = ec.generate_private_key(ec.SECP384R1())


class FalseSigner(FileSigner):
    """Names one key and signs by another."""

    def es384(self, message: bytes) -> bytes:
        return FileSigner(OTHER).es384(message)


def refused(run: Callable[[], object], status: int = 3) -> str:
    with pytest.raises(BundleRefused) as caught:
        run()
    assert (caught.value.status, bool(caught.value.remedy)) == (status, True)
    return caught.value.what


def test_a_signed_bundle_is_accepted_and_names_its_signers() -> None:
    both = sign(made(), FileSigner(OTHER))
    assert verify(read(both.to_bytes()), accepted(), now=NOW) == (key_id(KEY.public_key()),)
    signers = verify(both, accepted(KEY, OTHER, signatures=2), now=NOW)
    assert set(signers) == {key_id(key.public_key()) for key in (KEY, OTHER)}


def test_a_second_signature_of_one_key_replaces_the_first() -> None:
    again = sign(made(), FileSigner(KEY))
    assert len(again.signatures) == 1
    assert "1 of 2" in refused(lambda: verify(again, accepted(KEY, OTHER, signatures=2), now=NOW))


@pytest.mark.parametrize("bundle", [made(by=None), made(by=OTHER)], ids=["unsigned", "by another key"])
def test_an_unsigned_bundle_is_refused(bundle: Bundle) -> None:
    assert "0 of 1 signatures" in refused(lambda: verify(bundle, accepted(), now=NOW))


def test_a_signature_is_on_one_bundle() -> None:
    """Over each of: another serial, another file, other dates."""
    for other in (made(serial=8, by=None), made(days=91, by=None), made(pool="pool-8", by=None)):
        taken = replace(other, signatures=made().signatures)
        assert "is false" in refused(partial(verify, taken, accepted(), now=NOW))


def test_a_false_signature_beside_a_sound_one_is_refused() -> None:
    both = made().signed(Signature(thumbprint(OTHER.public_key()), bytes(96)))
    assert verify(both, accepted(), now=NOW)  # of a key that does not count
    assert "is false" in refused(lambda: verify(both, accepted(KEY, OTHER), now=NOW))


def test_a_signer_that_signs_by_another_key_is_found_at_once() -> None:
    assert "does not fit" in refused(lambda: sign(made(by=None), FalseSigner(KEY)), status=2)


def test_signatures_are_bounded() -> None:
    bundle = made()
    for _ in range(MAX_SIGNATURES - 1):
        bundle = sign(bundle, FileSigner(ec.generate_private_key(ec.SECP384R1())))
    assert read(bundle.to_bytes()) == bundle
    assert "has 8 signatures" in refused(lambda: sign(bundle, FileSigner(OTHER)), status=2)


def test_dates() -> None:
    bundle = made()
    for day in (0, 90):
        assert verify(bundle, accepted(), now=NOW + timedelta(days=day))
    assert verify(bundle, accepted(), now=NOW - timedelta(minutes=5))
    assert "future" in refused(lambda: verify(bundle, accepted(), now=NOW - timedelta(minutes=5, seconds=1)))
    assert "expired" in refused(lambda: verify(bundle, accepted(), now=NOW + timedelta(days=90, seconds=1)))


def test_an_older_serial_number_is_refused() -> None:
    assert verify(made(), accepted(least_serial=7), now=NOW, least_serial=7)
    assert "8 is the least" in refused(lambda: verify(made(), accepted(least_serial=8), now=NOW))
    assert "8 is the least" in refused(lambda: verify(made(), accepted(), now=NOW, least_serial=8))


def test_the_folder_of_the_image(tmp_path: Path) -> None:
    folder = keys_folder(tmp_path / "keys", KEY, OTHER)
    found = accepted_in(folder)
    assert (set(found.keys), found.signatures, found.least_serial) == (
        {thumbprint(key.public_key()) for key in (KEY, OTHER)}, 1, 1,
    )  # fmt: skip
    (folder / "signatures").write_text("2\n")
    (folder / "minimum-serial").write_text("12\n")
    found = accepted_in(folder)
    assert (found.signatures, found.least_serial) == (2, 12)


def test_a_folder_that_would_accept_anything_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert "has 0 keys" in refused(lambda: accepted_in(folder), status=2)
    keys_folder(folder)
    for name, text in (("signatures", "0"), ("signatures", "2"), ("signatures", ""), ("minimum-serial", "-1")):
        (folder / name).write_text(text)
        refused(lambda: accepted_in(folder), status=2)
        (folder / name).unlink()
    for name, most in (("signatures", MAX_SIGNATURES), ("minimum-serial", MAX_SERIAL)):
        (folder / name).write_text(str(most + 1))
        assert f"not a number from 1 to {most}" in refused(lambda: accepted_in(folder), status=2)
        (folder / name).unlink()
    (folder / "0.pem").write_bytes(public_pem(ec.generate_private_key(ec.SECP256R1())))
    assert "not a key of P-384" in refused(lambda: accepted_in(folder), status=2)
    (folder / "0.pem").write_text("-----BEGIN PUBLIC KEY-----")
    assert "not a public key" in refused(lambda: accepted_in(folder), status=2)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = keys_folder(tmp_path / "keys")
    (folder / "1.pem").mkdir()
    assert "cannot be read: Is a directory" in refused(lambda: accepted_in(folder), status=2)


def test_a_folder_has_a_bounded_number_of_keys(tmp_path: Path) -> None:
    folder = keys_folder(tmp_path / "keys", *[KEY] * MAX_KEYS)
    assert accepted_in(folder)
    (folder / "one-more.pem").write_bytes(public_pem(OTHER))
    assert f"has {MAX_KEYS + 1} keys" in refused(lambda: accepted_in(folder), status=2)
