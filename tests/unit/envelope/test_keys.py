"""Key wrap and submitter signature: one refusal for every failure, and no key for another's purpose."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from cji_core.errors import Reason
from cji_core.format.envelope import (
    keywrap,
    open_box,
    seal_box,
    sha384,
    sign_header,
    unwrap_dek,
    unwrap_project_key,
    unwrap_seed,
    verify_header,
    wrap_dek,
    wrap_project_key,
    wrap_seed,
)
from tests.support.refusals import refused

DEK = bytes(range(32))
KEY = bytes(range(32, 64))


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


@pytest.fixture(scope="module")
def signing_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def test_data_key_returns(rsa_key: rsa.RSAPrivateKey) -> None:
    assert unwrap_dek(rsa_key, wrap_dek(rsa_key.public_key(), DEK)) == DEK


def test_project_key_returns_for_its_own_project_and_job_only() -> None:
    wrapped = wrap_project_key(DEK, "study-17", KEY)
    assert unwrap_project_key(DEK, "study-17", wrapped) == KEY
    for dek, project in ((DEK, "study-18"), (KEY, "study-17")):
        with refused(Reason.DEK_UNWRAP_FAILED):
            unwrap_project_key(dek, project, wrapped)


def test_a_project_key_of_another_length_is_refused() -> None:
    for key in (KEY[1:], KEY + b"\0", b""):
        with refused(Reason.DEK_UNWRAP_FAILED):
            unwrap_project_key(DEK, "study-17", seal_box(DEK, keywrap._project("study-17"), key))


def test_a_box_opens_for_its_purpose_and_whole() -> None:
    box = seal_box(DEK, b"purpose", b"secret")
    assert open_box(DEK, b"purpose", box) == b"secret"
    assert box != seal_box(DEK, b"purpose", b"secret")
    flipped = [bytes([*box[:at], box[at] ^ 1, *box[at + 1 :]]) for at in range(len(box))]
    for purpose, data in [(b"purpos", box), (b"", box), *((b"purpose", each) for each in (*flipped, box[:-1], b""))]:
        with refused(Reason.DEK_UNWRAP_FAILED):
            open_box(DEK, purpose, data)


def test_a_seed_opens_for_its_own_key_only(rsa_key: rsa.RSAPrivateKey) -> None:
    public, seed = rsa_key.public_key(), bytes(range(64))
    wrapped = wrap_seed(public, "https://v/keys/a/1", seed)
    assert unwrap_seed(rsa_key, "https://v/keys/a/1", wrapped) == seed
    with refused(Reason.DEK_UNWRAP_FAILED):
        unwrap_seed(rsa_key, "https://v/keys/a/2", wrapped)
    with refused(Reason.DEK_UNWRAP_FAILED):
        unwrap_dek(rsa_key, wrapped)
    with refused(Reason.DEK_UNWRAP_FAILED):
        unwrap_seed(rsa_key, "https://v/keys/a/1", wrap_dek(public, DEK))
    with pytest.raises(ValueError, match="64 bytes"):
        wrap_seed(public, "https://v/keys/a/1", seed[1:])
    prefix = keywrap._seed_prefix("https://v/keys/a/1")
    for other in (seed[1:], seed + b"\0", b""):
        with refused(Reason.DEK_UNWRAP_FAILED):
            unwrap_seed(rsa_key, "https://v/keys/a/1", public.encrypt(prefix + other, keywrap._OAEP))


def test_k07_every_unwrap_failure_looks_the_same(rsa_key: rsa.RSAPrivateKey) -> None:
    public = rsa_key.public_key()
    other = {"mgf": padding.MGF1(hashes.SHA256()), "algorithm": hashes.SHA256(), "label": b"x"}
    sha1 = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
    good = bytearray(wrap_dek(public, DEK))
    good[100] ^= 1
    failures = [
        b"",
        bytes(384),
        bytes(383),
        bytes(385),
        b"\xff" * 384,
        bytes(good),
        public.encrypt(DEK, padding.OAEP(**other)),  # type: ignore[arg-type]
        public.encrypt(DEK, sha1),
        public.encrypt(DEK, padding.PKCS1v15()),
        public.encrypt(
            DEK[:31], padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        ),
    ]
    seen = set()
    for wrapped in failures:
        with refused(Reason.DEK_UNWRAP_FAILED) as caught:
            unwrap_dek(rsa_key, wrapped)
        seen.add((caught.value.reason, caught.value.stage, str(caught.value), caught.value.__cause__))
    assert len(seen) == 1
    assert next(iter(seen))[0] is Reason.DEK_UNWRAP_FAILED


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_keys_of_other_lengths_are_not_wrapped(rsa_key: rsa.RSAPrivateKey, size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_dek(rsa_key.public_key(), bytes(size))
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_project_key(DEK, "p", bytes(size))


def test_signature_is_raw_es384_over_the_context_and_digest(signing_key: ec.EllipticCurvePrivateKey) -> None:
    header = b"header bytes"
    signature = sign_header(signing_key, header)
    assert len(signature) == 96
    verify_header(signing_key.public_key(), header, signature)


def test_other_bytes_keys_and_forms_are_refused(signing_key: ec.EllipticCurvePrivateKey) -> None:
    header, public = b"header bytes", signing_key.public_key()
    signature = sign_header(signing_key, header)
    der = signing_key.sign(header, ec.ECDSA(hashes.SHA384()))
    r, s = decode_dss_signature(der)
    without_context = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    p256 = ec.generate_private_key(ec.SECP256R1())
    for key, data, sig in [
        (public, b"other bytes", signature),
        (public, header + b"\0", signature),
        (public, sha384(header), signature),
        (ec.generate_private_key(ec.SECP384R1()).public_key(), header, signature),
        (p256.public_key(), header, signature),
        (public, header, der),
        (public, header, without_context),
        (public, header, bytes(96)),
        (public, header, b"\xff" * 96),
        (public, header, signature[48:] + signature[:48]),
        (public, header, signature[:95]),
        (public, header, signature + b"\0"),
        (public, header, b""),
    ]:
        with refused(Reason.HEADER_SIGNATURE_INVALID):
            verify_header(key, data, sig)
