"""Keys in PKCS#11 tokens: smart cards and HSMs, through the library of their maker. Needs the extra `pkcs11`.

Source: PKCS #11 Specification 3.1 (OASIS), §6.3, elliptic curves. What a token returns is checked by its user.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from cji_core.documents import toml
from cji_core.errors import SpecError
from cji_core.format.keys import is_private

Pin: TypeAlias = Callable[[], str]
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
_PIN_BYTES: Final = 256
"""More than tokens take: CKF_PROTECTED_AUTHENTICATION_PATH aside, makers allow up to 255."""
_MAX_TOML: Final = 16 * 1024
_ED25519: Final = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
"""CKA_EC_PARAMS of Ed25519: as an object identifier, or as the curve's name."""
_ED25519_OID: Final = "1.3.101.112"
_POINT_BYTES: Final = 32
_COMPARE: Final = "Compare the library, the labels of token and key, and the PIN."
_PIN: Final = "Correct the first line of pin_file before you try again: a token locks itself after a few wrong PINs."
_CANNOT: Final = "This token or its settings do not allow it. Take another token, or a key in a file."
_BOUND: Final = {"EXTRACTABLE": False, "SENSITIVE": True, "NEVER_EXTRACTABLE": True, "ALWAYS_SENSITIVE": True}
"""Attributes of a private key that no copy can be of. Source: PKCS #11 3.1, §4.9, private key objects."""
_UNBOUND: Final = (
    "A copy of it may exist outside of the token. Make the pair in the token, sensitive and not extractable, or "
    "make one without --existing; an imported pair is not taken."
)
_REMEDIES: Final = {
    "NoSuchToken": "Connect the token, and compare `token` with the label that its maker's tool shows.",
    "TokenNotPresent": "Connect the token.",
    "DeviceRemoved": "Connect the token, and start again.",
    "PinIncorrect": _PIN,
    "PinInvalid": _PIN,
    "PinLenRange": _PIN,
    "PinLocked": "Have the token's administrator unlock the user's PIN.",
    "PinExpired": "Set another PIN with the tool of the token's maker.",
    "NoSuchKey": "Compare `label` with what the maker's tool shows: a pair needs its public key in the token, too.",
    "MultipleObjectsReturned": "Two keys have this label. Give each key a label of its own.",
    "MechanismInvalid": _CANNOT,
    "MechanismParamInvalid": _CANNOT,
    "FunctionNotSupported": _CANNOT,
    "DomainParamsInvalid": _CANNOT,
    "AttributeValueInvalid": _CANNOT,
    "KeyTypeInconsistent": _CANNOT,
    "AttributeTypeInvalid": "The token does not state whether the key can leave it: make one without --existing.",
}


class TokenTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pair of keys in a token, as a TOML file names it: library, labels of token and pair, file of the PIN."""

    pkcs11: str
    token: str
    label: str
    pin_file: str

    def pin(self) -> str:
        """The PIN. Raises SpecError."""
        return pin_in(Path(self.pin_file))


class TokenKey:
    """A pair of keys with one label, in a session that `close` ends. `library` is a path; `pin` is called once."""

    def __init__(self, library: Path, *, token: str, label: str, pin: Pin) -> None:
        import pkcs11  # noqa: PLC0415 - an extra

        self.label = label
        with token_explained(label):
            self._session = pkcs11.lib(str(library)).get_token(token_label=token).open(user_pin=pin())
        try:
            with token_explained(label):
                find = self._session.get_key
                self.private: Any = find(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
                public: Any = find(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label)
                self.public = _public_key(public, label)
        except BaseException:
            self.close()
            raise

    def require(self, mechanism: str) -> None:
        """Raise SpecError unless the token has this mechanism, such as `EDDSA`."""
        with token_explained(self.label):
            _require(self._session.token, mechanism)

    def require_bound(self) -> None:
        """Raise SpecError unless the token states that the private key never was outside of it, and never will be."""
        from pkcs11 import Attribute  # noqa: PLC0415 - an extra

        for name, wanted in _BOUND.items():
            with token_explained(self.label):
                stated = self.private[Attribute[name]]
            if stated is not wanted:
                raise SpecError(f"the private key {self.label} has CKA_{name} = {stated}", remedy=_UNBOUND)

    def close(self) -> None:
        """End the session."""
        self._session.close()


class TokenP384(TokenKey):
    """A P-384 key in a token, which signs with CKM_ECDSA."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half. Raises SpecError for another kind of key."""
        if not isinstance(self.public, ec.EllipticCurvePublicKey) or self.public.key_size != 384:
            raise SpecError(f"{self.label} is not a P-384 key", remedy=_COMPARE)
        return self.public

    def es384(self, message: bytes) -> bytes:
        """ECDSA with SHA-384 over the message: r ‖ s, 96 bytes. Raises SpecError."""
        import pkcs11  # noqa: PLC0415 - an extra

        with token_explained(self.label):
            return bytes(self.private.sign(hashlib.sha384(message).digest(), mechanism=pkcs11.Mechanism.ECDSA))


def token_table(path: Path) -> TokenTable:
    """Read a file that names a pair; its relative paths are relative to its folder. Raises SpecError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TOML + 1)
        if len(data) > _MAX_TOML:
            raise ValueError("larger than 16 KiB")
        found = toml(data, TokenTable)
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        remedy = "Write pkcs11 (the library's path), token, label and pin_file, each a string."
        raise SpecError(f"{path}: {error}", remedy=remedy) from None
    folder = path.resolve().parent
    return msgspec.structs.replace(found, pkcs11=str(folder / found.pkcs11), pin_file=str(folder / found.pin_file))


def pin_in(path: Path) -> str:
    """The first line of a file that only its owner reads. Raises SpecError."""
    try:
        with path.open("rb") as file:
            if not is_private(os.fstat(file.fileno())):
                raise SpecError(f"pin_file: others than its owner can read {path}", remedy="Set its mode to 0600.")
            first = file.read(_PIN_BYTES + 2).partition(b"\n")[0].strip()
        if len(first) > _PIN_BYTES:  # a token counts a PIN that was cut as a wrong one
            remedy = "Write the PIN, and nothing else, into the first line."
            raise SpecError(f"pin_file: the first line of {path} has more than {_PIN_BYTES} bytes", remedy=remedy)
        return first.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"pin_file: {path} cannot be read ({type(error).__name__})") from None


def new_ed25519(table: TokenTable) -> None:
    """Make a pair in the token, whose private key never leaves it. Raises SpecError, if the label has a key too."""
    import pkcs11  # noqa: PLC0415 - an extra
    from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415

    with token_explained(table.label):
        token = pkcs11.lib(table.pkcs11).get_token(token_label=table.token)
        for mechanism in ("EC_EDWARDS_KEY_PAIR_GEN", "EDDSA"):  # a key that cannot sign is not made
            _require(token, mechanism)
        with token.open(rw=True, user_pin=table.pin()) as session:
            if any(True for _ in session.get_objects({pkcs11.Attribute.LABEL: table.label})):
                remedy = "Name another label: the key that is there may have signed."
                raise SpecError(f"the token has something with the label {table.label}", remedy=remedy)
            curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(_ED25519_OID)}
            session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True).generate_keypair(
                mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                store=True,
                label=table.label,
                private_template={pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False},
            )


@contextmanager
def token_explained(label: str) -> Iterator[None]:
    """The errors of python-pkcs11 as SpecErrors; their texts are not repeated."""
    from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415

    try:
        yield
    except (PKCS11Error, RuntimeError) as error:
        name = type(error).__name__
        raise SpecError(f"the key {label}: {name}", remedy=_REMEDIES.get(name, _COMPARE)) from error


def _require(token: Any, mechanism: str) -> None:
    from pkcs11 import Mechanism  # noqa: PLC0415

    if Mechanism[mechanism] not in token.slot.get_mechanisms():
        raise SpecError(f"the token has no CKM_{mechanism}", remedy=_CANNOT)


def _public_key(public: Any, label: str) -> PublicKey:
    """The public key of a token's attributes."""
    from pkcs11 import Attribute, KeyType  # noqa: PLC0415
    from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415
    from pkcs11.util.rsa import encode_rsa_public_key  # noqa: PLC0415

    found: Any = None
    try:
        if public.key_type is KeyType.EC_EDWARDS and bytes(public[Attribute.EC_PARAMS]) in _ED25519:
            point = bytes(public[Attribute.EC_POINT])[-_POINT_BYTES:]  # within an OCTET STRING, or bare
            found = ed25519.Ed25519PublicKey.from_public_bytes(point)
        elif public.key_type is KeyType.EC:
            found = load_der_public_key(bytes(encode_ec_public_key(public)))
        elif public.key_type is KeyType.RSA:
            found = load_der_public_key(bytes(encode_rsa_public_key(public)))  # PKCS #1, which cryptography reads too
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise SpecError(f"{label} is a key of another type", remedy="Name a P-384, RSA or Ed25519 key.")
    return found
