"""RSA keys of tests, made once in a run: making one takes longer than most tests do."""

from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cji_simulator.certificates import private_pem, write_private
from tests.support.run_folder import made_once


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key for the same arguments. A test that needs another one takes another number."""

    def make(path: Path) -> None:
        write_private(path, private_pem(rsa.generate_private_key(65537, bits)))

    pem = made_once(f"rsa-{bits}-{number}", make).read_bytes()
    key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key
