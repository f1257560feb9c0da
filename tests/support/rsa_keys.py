"""RSA keys of tests, made once in a process: making one takes longer than most tests do."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key for the same arguments. A test that needs another one takes another number."""
    return rsa.generate_private_key(65537, bits)
