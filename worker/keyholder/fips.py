"""Whether the cryptography of this process really runs in a FIPS provider.

The flag is not enough: with OPENSSL_CONF alone it is set and every operation fails. So the probe reads the flag,
encrypts, and checks that MD5 is refused. Whether the provider is validated is for the operator to check.
"""

import os
from typing import Literal

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def fips_probe() -> Literal["approved", "not_approved"]:
    """`approved` if the provider enforces its approved mode and AES-GCM works in it."""
    if not backend._fips_enabled:
        return "not_approved"
    try:
        key, iv = AESGCM(os.urandom(32)), os.urandom(12)
        works = key.decrypt(iv, key.encrypt(iv, b"probe", None), None) == b"probe"
    except (InternalError, UnsupportedAlgorithm, ValueError):
        return "not_approved"
    try:
        hashes.Hash(hashes.MD5()).finalize()  # noqa: S303 - must be refused
    except (InternalError, UnsupportedAlgorithm):
        return "approved" if works else "not_approved"
    return "not_approved"
