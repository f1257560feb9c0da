"""Secrets that are recognised by their form: private keys in PEM, DER, PKCS#12 and JWK, and keys of storage accounts.

This finds a mistake. It cannot find a secret that somebody hides.
"""

import base64
import re
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

_LABELS: Final = re.compile(rb"-----\s*BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY", re.IGNORECASE)
_PUTTY: Final = re.compile(rb"PuTTY-User-Key-File-|AGE-SECRET-KEY-1")
_KTY: Final = re.compile(rb"""["']?kty["']?\s*[:=]\s*["'](EC|RSA|OKP|AKP|oct)""")
_PRIVATE_MEMBER: Final = re.compile(
    rb"""(?<![A-Za-z0-9_])["']?(d|k|priv|dp|dq|qi)["']?\s*[:=]\s*["'][A-Za-z0-9_-]{16}"""
)
_ACCOUNT_KEY: Final = re.compile(rb"AccountKey=[A-Za-z0-9+/]{16}|SharedAccessSignature=|[?&]sig=[A-Za-z0-9%+/]{16}")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{60,}={0,2}")
_WRAPPED: Final = re.compile(rb"[A-Za-z0-9+/=]{60,76}(?:\r?\n[A-Za-z0-9+/=]{1,76})+")
_PKCS12_HEAD: Final = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x80)\x02\x01\x03\x30", re.DOTALL)


def private_key_in(data: bytes) -> str | None:
    """The kind of secret in these bytes, in words with an article; None if there is none."""
    for kind, found in _FORMS:
        if found(data):
            return kind
    return None


def _jwk(data: bytes) -> bool:
    return _KTY.search(data) is not None and _PRIVATE_MEMBER.search(data) is not None


def _der(data: bytes) -> bool:
    if not data.startswith(b"\x30"):
        return False
    try:
        load_der_private_key(data, None)
    except TypeError:  # it is encrypted
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _pkcs12(data: bytes) -> bool:
    return _PKCS12_HEAD.match(data) is not None


def _within(data: bytes) -> bool:
    """DER in base64, without the label that names it: on one line, or on several."""
    runs = (match[0] for pattern in (_BASE64, _WRAPPED) for match in pattern.finditer(data))
    return any(_der(found) or _pkcs12(found) for run in runs if (found := _decoded(run)))


def _decoded(run: bytes) -> bytes:
    text = b"".join(run.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        return b""


_FORMS: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("a private key (PEM)", lambda data: _LABELS.search(data) is not None),
    ("a private key", lambda data: _PUTTY.search(data) is not None),
    ("a private key (JWK)", _jwk),
    ("a private key (DER)", _der),
    ("a private key (PKCS#12)", _pkcs12),
    ("a key or signature of a storage account", lambda data: _ACCOUNT_KEY.search(data) is not None),
    ("a private key (DER in base64)", _within),
)
