"""Keys in a PKCS#11 token: SoftHSM, through python-pkcs11. `make pkcs11` installs both and runs this."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa

from cji_client.columns.errors import ColumnKeyRefused
from cji_client.columns.master_keys import master_keys
from cji_client.columns.opening import open_key
from cji_client.errors import SpecError
from cji_client.pkcs11_keys import TokenDecrypter, TokenSigner
from cji_client.signers import PairedSigner, header_signature
from cji_core.format.envelope import wrap_result_key
from cji_core.suites import Suite
from cji_core.trail.packets import PacketClaims, sign_packet, verify_packet
from tests.support.encrypted_values import OAEP, PATH, columns_file
from tests.support.softhsm import LABEL, LIBRARY, PIN, softhsm

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: make pkcs11")
pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="softhsm2 is not installed")
MODULUS, EXPONENT = pkcs11.Attribute.MODULUS, pkcs11.Attribute.PUBLIC_EXPONENT


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with softhsm(tmp_path_factory.mktemp("softhsm")):
        from pkcs11.util.ec import encode_named_curve_parameters

        with pkcs11.lib(str(LIBRARY)).get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
            for curve in ("secp384r1", "secp256r1"):
                parameters = session.create_domain_parameters(
                    pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
                )
                parameters.generate_keypair(store=True, label=curve)
            session.generate_keypair(pkcs11.KeyType.RSA, 3072, store=True, label="recipient")
            session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label="master")
        yield


def test_a_token_signs_headers(token: None) -> None:
    signer = TokenSigner(LIBRARY, token=LABEL, label="secp384r1", pin=lambda: PIN)
    assert isinstance(signer.public_key(), ec.EllipticCurvePublicKey)
    assert len(header_signature(signer, b"header", Suite.CLASSICAL_1)) == 96
    with pytest.raises(SpecError, match="cannot sign a hybrid-1 job"):
        signer.sign(b"header", Suite.HYBRID_1)
    signer.close()
    wrong = TokenSigner(LIBRARY, token=LABEL, label="secp256r1", pin=lambda: PIN)
    with pytest.raises(SpecError, match="is not a P-384 key"):
        wrong.public_key()
    wrong.close()


def test_a_token_signs_packets_with_a_half_in_a_file(token: None) -> None:
    device = TokenSigner(LIBRARY, token=LABEL, label="secp384r1", pin=lambda: PIN)
    signer = PairedSigner(mldsa.MLDSA87PrivateKey.generate(), device)
    claims, key = PacketClaims(packet_sha384="0a" * 48, signed="2026-11-30T00:00:00.00Z"), signer.public_key()
    text = sign_packet(claims, key, lambda message: signer.sign(message, Suite.HYBRID_1))
    assert verify_packet(text, key=key, packet_sha384="0a" * 48) == claims
    device.close()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"label": "nobody"}, "NoSuchKey"),
        ({"token": "other"}, "NoSuchToken"),
        ({"pin": lambda: "0000"}, "PinIncorrect"),
    ],
)
def test_what_is_not_there(token: None, changes: dict[str, object], kind: str) -> None:
    arguments = {"token": LABEL, "label": "secp384r1", "pin": lambda: PIN, **changes}
    with pytest.raises(SpecError, match=kind):
        TokenSigner(LIBRARY, **arguments)  # type: ignore[arg-type]


def test_softhsm_cannot_open_results(token: None) -> None:
    decrypter = TokenDecrypter(LIBRARY, token=LABEL, label="recipient", pin=lambda: PIN)
    public = decrypter.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    wrapped = wrap_result_key(public, bytes(range(32)), bytes(48))
    with pytest.raises(SpecError, match="recipient"):  # its OAEP has SHA-1 only
        decrypter.unwrap(wrapped, bytes(48))
    decrypter.close()


def test_a_token_opens_column_keys(token: None, tmp_path: Path) -> None:
    """The value as a provider writes it: OAEP with SHA-1 under the key, and a signature that the token makes."""
    (tmp_path / "pin").write_text(PIN)
    (tmp_path / "pin").chmod(0o600)
    text = f'pkcs11 = "{LIBRARY}"\ntoken = "{LABEL}"\nlabel = "master"\npin_file = "pin"\n'
    (tmp_path / "master.toml").write_text(text)
    with pkcs11.lib(str(LIBRARY)).get_token(token_label=LABEL).open(user_pin=PIN) as session:
        key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="master")
        public = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label="master")
        n, e = (int.from_bytes(public[attribute], "big") for attribute in (MODULUS, EXPONENT))
        ciphertext = rsa.RSAPublicNumbers(e, n).public_key().encrypt(bytes(range(32)), OAEP)
        path = PATH.encode("utf-16-le")
        signed = b"\1" + len(path).to_bytes(2, "little") + len(ciphertext).to_bytes(2, "little") + path + ciphertext
        value = signed + key.sign(signed, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)

    with master_keys((tmp_path / "master.toml",)) as masters:
        file = columns_file(value.hex())
        assert open_key(file, file.keys[0], masters) == bytes(range(32))
        with pytest.raises(SpecError, match="master: GeneralError"):  # SoftHSM's; others name the ciphertext
            masters[0].unwrap(bytes(range(256)))
        changed = columns_file((value[:-1] + bytes((value[-1] ^ 1,))).hex())
        with pytest.raises(ColumnKeyRefused, match="signature is not of master"):
            open_key(changed, changed.keys[0], masters)
