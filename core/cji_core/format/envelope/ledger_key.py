r"""The key that proves an entry of a pool's ledger: every worker to which the vault released the customer's key has it.

    ledger key = HKDF-SHA384(salt none, p ‖ q, "cji-ledger-key/1\0", 48)     p < q, the primes of the released RSA key

So a token for the storage alone makes no entry that counts, and every worker of a pool can check the entries of others
without their evidence. It opens nothing: entries have names and digests.
"""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cji_core.format.envelope.keywrap import UnwrappingKey

LEDGER_KEY_BYTES: Final = 48
_INFO: Final = b"cji-ledger-key/1\0"


def ledger_key(key: UnwrappingKey) -> bytes:
    """The ledger key of a released key version."""
    numbers = key.rsa_key.private_numbers()
    primes = b"".join(each.to_bytes(-(-each.bit_length() // 8), "big") for each in sorted((numbers.p, numbers.q)))
    return HKDF(algorithm=hashes.SHA384(), length=LEDGER_KEY_BYTES, salt=None, info=_INFO).derive(primes)
