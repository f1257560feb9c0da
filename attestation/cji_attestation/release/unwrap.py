"""Open a released key inside the TPM's policy.

RSA_AES_KEY_WRAP_256 is RSA-OAEP (SHA-256, MGF1-SHA-256, no label) of an AES-256 key, then AES key wrap with padding
(RFC 5649) of the PKCS#8 private key under it; PKCS#11 CKM_RSA_AES_KEY_WRAP with SHA-256. An EC key comes without its
public key (RFC 5915 has it optional), which is computed.

The plaintext key goes into the caller's buffer. Copies that Python and OpenSSL make on the way lie in the caller's
heap, which a key-holding process has made secret; buffers that can be wiped are.
"""

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cji_attestation.errors import AttestationError, Fault
from cji_core.jose import PublicKey

RSA_BYTES: Final = 256  # the ephemeral key has 2048 bits, Azure's vTPM's most
AES_BYTES: Final = 32
MAX_KEY_BYTES: Final = 8192
_CHECK: Final = "unwrap"


def unwrap_into(
    ciphertext: bytes, buffer: memoryview, *, decrypt: Callable[[bytes], bytearray], public_key: PublicKey
) -> int:
    """Write the PKCS#8 DER into `buffer` and return its length.

    `decrypt` is the TPM's RSA-OAEP-SHA256. One error for every failure: RELEASE_INVALID "unwrap"; also where the
    private key does not belong to `public_key`. On an error nothing has been written.
    """
    if not RSA_BYTES < len(ciphertext) <= RSA_BYTES + MAX_KEY_BYTES:
        raise AttestationError(Fault.RELEASE_INVALID, check=_CHECK)
    kek = decrypt(ciphertext[:RSA_BYTES])
    try:
        if len(kek) != AES_BYTES:
            raise AttestationError(Fault.RELEASE_INVALID, check=_CHECK)
        plain = aes_key_unwrap_with_padding(bytes(kek), ciphertext[RSA_BYTES:])
        private = load_der_private_key(plain, password=None)
        if private.public_key() != public_key:  # keys of different kinds are different
            raise AttestationError(Fault.RELEASE_INVALID, check=_CHECK)
        if len(plain) > len(buffer):
            raise AttestationError(Fault.CONFIG_INVALID, check="buffer")
        buffer[: len(plain)] = plain
        return len(plain)
    except (InvalidUnwrap, UnsupportedAlgorithm, ValueError, TypeError):
        # from None: a parser's message could describe what it parsed
        raise AttestationError(Fault.RELEASE_INVALID, check=_CHECK) from None
    finally:
        kek[:] = bytes(len(kek))
