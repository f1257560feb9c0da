"""The ML-KEM half of a key: its seed, wrapped under the RSA half, stands in the configuration."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa

from cji_attestation import AttestationError, Fault
from cji_core.errors import Refusal, StartupError
from cji_core.format.configuration.worker import KeySection
from cji_core.format.envelope import unwrap_seed
from cji_core.jose import key_id
from cji_core.strict import b64url_decode


def wrapped_seed(key: KeySection) -> tuple[bytes, str]:
    """The wrapped seed of the key's ML-KEM half and the thumbprint of its public part; both empty if it has none."""
    if key.ml_kem_seed is None or key.ml_kem_thumbprint is None:
        return b"", ""
    try:
        return b64url_decode(key.ml_kem_seed), key.ml_kem_thumbprint
    except ValueError as error:
        raise StartupError(
            f"ml_kem_seed of {key.kek_id} is not base64url", "Copy both lines that `cji key new-ml-kem-seed` printed."
        ) from error


def open_seed(
    private: rsa.RSAPrivateKey, kek_id: str, wrapped: bytes, thumbprint: str
) -> mlkem.MLKEM1024PrivateKey | None:
    """The ML-KEM half, which exists only from here on. One fault for a seed that does not open or is another key's."""
    if not wrapped:
        return None
    try:
        key = mlkem.MLKEM1024PrivateKey.from_seed_bytes(unwrap_seed(private, kek_id, wrapped))
    except (Refusal, UnsupportedAlgorithm) as error:
        raise AttestationError(Fault.RELEASE_INVALID, check="ml-kem-seed") from error
    if key_id(key.public_key()) != thumbprint:
        raise AttestationError(Fault.RELEASE_INVALID, check="ml-kem-seed")
    return key
