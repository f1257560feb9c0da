"""docs/format.md from the writer's side, with randomness that is given: what a library draws by itself is made here.

RSA-OAEP from RFC 8017, the KEM and HPKE from the page, ECDSA by RFC 6979, ML-KEM and ML-DSA by kyber-py and
dilithium-py, which are reference code in Python. Nothing here is for secrets.
"""

import functools
import hashlib
import hmac
import json
import struct
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from dilithium_py.ml_dsa import ML_DSA_87
from kyber_py.ml_kem import ML_KEM_1024

SEGMENT: Final = 1 << 20
PAYLOAD: Final = SEGMENT - 32
_LABEL: Final = b"COMPSIG-MLDSA87-ECDSA-P384-SHA512"
_ORDER: Final = int(
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
)
_RSA_KEYS: Final = Path(__file__).with_name("rsa_keys.json")


def chance(name: str, length: int) -> bytes:
    """Bytes that look random, the same for one name in every run."""
    return hashlib.shake_256(b"cji-vectors/1\0" + name.encode()).digest(length)


def b64url(data: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def sha384(data: bytes) -> bytes:
    """SHA-384."""
    return hashlib.sha384(data).digest()


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand-SHA-384 of at most 48 bytes, with a key of any length."""
    return hmac.digest(key, info + b"\x01", "sha384")[:length]


# ---------------------------------------------------------------- keys


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key of rsa_keys.json, where it is kept because nobody makes the same RSA key twice."""
    key = bytes.fromhex(json.loads(_RSA_KEYS.read_text())[name])
    found = load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(found, rsa.RSAPrivateKey)
    return found


def rsa_jwk(key: rsa.RSAPublicKey) -> str:
    """The JWK that RFC 7638 hashes."""
    numbers = key.public_numbers()
    n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
    return f'{{"e":"AQAB","kty":"RSA","n":"{b64url(n)}"}}'


def thumbprint(jwk: str) -> bytes:
    """RFC 7638, of a JWK of exactly the hashed members."""
    return hashlib.sha256(jwk.encode()).digest()


def key_id(jwk: str) -> str:
    """The thumbprint as text."""
    return b64url(thumbprint(jwk))


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass(frozen=True)
class Signer:
    """A P-384 key, and for hybrid-1 an ML-DSA-87 key, from a name."""

    name: str
    hybrid: bool

    @property
    def p384(self) -> ec.EllipticCurvePrivateKey:
        """The P-384 key."""
        scalar = int.from_bytes(chance(f"{self.name}/p384", 56), "big") % (_ORDER - 1) + 1
        return ec.derive_private_key(scalar, ec.SECP384R1())

    @property
    def ml_dsa(self) -> mldsa.MLDSA87PrivateKey:
        """The ML-DSA-87 key."""
        return mldsa.MLDSA87PrivateKey.from_seed_bytes(chance(f"{self.name}/ml-dsa", 32))

    @property
    def p384_jwk(self) -> str:
        """The P-384 key as a JWK."""
        point = _point(self.p384)
        return f'{{"crv":"P-384","kty":"EC","x":"{b64url(point[1:49])}","y":"{b64url(point[49:])}"}}'

    @property
    def jwk(self) -> str:
        """The public key or keys."""
        if not self.hybrid:
            return self.p384_jwk
        pub = self.ml_dsa.public_key().public_bytes_raw() + _point(self.p384)
        return f'{{"alg":"ML-DSA-87-ES384","kty":"AKP","pub":"{b64url(pub)}"}}'

    def es384(self, message: bytes) -> bytes:
        """ES384: r ‖ s."""
        r, s = decode_dss_signature(self._der(message))
        return r.to_bytes(48, "big") + s.to_bytes(48, "big")

    def _der(self, message: bytes) -> bytes:
        return self.p384.sign(message, ec.ECDSA(hashes.SHA384(), deterministic_signing=True))

    def prepared(self, message: bytes) -> bytes:
        """M' of a composite signature."""
        return b"CompositeAlgorithmSignatures2025" + _LABEL + b"\0" + hashlib.sha512(message).digest()

    def sign(self, message: bytes) -> bytes:
        """The signature of the suite that the key is for."""
        if not self.hybrid:
            return self.es384(message)
        prepared = self.prepared(message)
        return _ml_dsa(chance(f"{self.name}/ml-dsa", 32), prepared) + self._der(prepared)


@functools.cache
def _ml_dsa(seed: bytes, message: bytes) -> bytes:
    _, secret = ML_DSA_87.key_derive(seed)
    signature: bytes = ML_DSA_87.sign(secret, message, ctx=_LABEL, deterministic=True)
    return signature


def other_s(signature: bytes) -> bytes:
    """(r, n - s): the second signature that everybody can make of a first."""
    return signature[:48] + (_ORDER - int.from_bytes(signature[48:], "big")).to_bytes(48, "big")


@dataclass(frozen=True)
class Recipient:
    """An RSA key of rsa_keys.json, or for hybrid-1 an ML-KEM-1024 and a P-384 key from the name."""

    name: str
    hybrid: bool

    @property
    def ml_kem(self) -> mlkem.MLKEM1024PrivateKey:
        """The ML-KEM-1024 key."""
        return mlkem.MLKEM1024PrivateKey.from_seed_bytes(chance(f"{self.name}/ml-kem", 64))

    @property
    def p384(self) -> ec.EllipticCurvePrivateKey:
        """The P-384 key."""
        return Signer(self.name, hybrid=False).p384

    @property
    def jwk(self) -> str:
        """The public key or keys."""
        if not self.hybrid:
            return rsa_jwk(rsa_key(self.name).public_key())
        pub = self.ml_kem.public_key().public_bytes_raw() + _point(self.p384)
        return f'{{"alg":"MLKEM1024-P384","kty":"AKP","pub":"{b64url(pub)}"}}'


# ---------------------------------------------------------------- wrapping


def oaep(key: rsa.RSAPublicKey, message: bytes, seed: bytes, *, block: bytes | None = None) -> bytes:
    """RSAES-OAEP with SHA-256 and MGF1-SHA-256; `seed` of 32 bytes. `block`: the whole encoded block in its place."""
    size = (key.key_size + 7) // 8
    if block is None:
        data = hashlib.sha256().digest() + bytes(size - len(message) - 66) + b"\x01" + message
        masked = _xor(data, _mgf1(seed, len(data)))
        block = b"\0" + _xor(seed, _mgf1(masked, 32)) + masked
    numbers = key.public_numbers()
    return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(size, "big")


def _mgf1(seed: bytes, length: int) -> bytes:
    blocks = (hashlib.sha256(seed + struct.pack(">I", i)).digest() for i in range(-(-length // 32)))
    return b"".join(blocks)[:length]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def encapsulate(public: bytes, m: bytes) -> tuple[bytes, bytes]:
    """Shared secret and ciphertext of ML-KEM-1024 for chosen randomness (FIPS 203, algorithm 17)."""
    shared, ciphertext = ML_KEM_1024._encaps_internal(public, m)
    return shared, ciphertext


@dataclass(frozen=True)
class DataKey:
    """A data key, its wrapped form, and what was computed on the way."""

    key: bytes
    wrapped: bytes
    steps: dict[str, str]


def data_key(name: str, *, hybrid: bool, cmk: str = "cmk") -> DataKey:
    """§4 for the worker's key, with randomness of this name."""
    public, seed, random = rsa_key(cmk).public_key(), chance(f"{name}/oaep", 32), chance(f"{name}/data key", 32)
    wrapped = oaep(public, random, seed)
    if not hybrid:
        return DataKey(random, wrapped, {"oaep_seed": seed.hex()})
    ml_kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(ml_kem_seed(cmk)).public_key().public_bytes_raw()
    m = chance(f"{name}/encapsulation", 32)
    shared, ciphertext = encapsulate(ml_kem, m)
    both = ciphertext + wrapped
    info = b"cji-hybrid-1/dek\0" + thumbprint(ml_kem_jwk(cmk)) + thumbprint(rsa_jwk(public)) + sha384(both)
    key = expand(hmac.digest(bytes(48), shared + random, "sha384"), info, 32)
    return DataKey(key, both, {"oaep_seed": seed.hex(), "m": m.hex(), "ss": shared.hex(), "r": random.hex()})


def ml_kem_seed(cmk: str) -> bytes:
    """The seed, d ‖ z, of the ML-KEM half of a worker's key."""
    return chance(f"{cmk}/ml-kem", 64)


def ml_kem_jwk(cmk: str) -> str:
    """The ML-KEM half of a worker's key."""
    public = mlkem.MLKEM1024PrivateKey.from_seed_bytes(ml_kem_seed(cmk)).public_key().public_bytes_raw()
    return f'{{"alg":"ML-KEM-1024","kty":"AKP","pub":"{b64url(public)}"}}'


def box(key: bytes, purpose: bytes, plaintext: bytes, iv: bytes) -> bytes:
    """§4: a small secret under the data key."""
    return iv + AESGCM(expand(key, b"cji-box/1\0" + purpose, 32)).encrypt(iv, plaintext, None)


def result_key(to: Recipient, key: bytes, header: bytes, name: str) -> tuple[bytes, dict[str, str]]:
    """§4: a result key wrapped for a recipient, and what was computed on the way."""
    if not to.hybrid:
        seed = chance(f"{name}/oaep", 32)
        return oaep(rsa_key(to.name).public_key(), key, seed), {"oaep_seed": seed.hex()}
    m, ephemeral = chance(f"{name}/encapsulation", 32), Signer(f"{name}/ephemeral", hybrid=False).p384
    ss_m, ct_m = encapsulate(to.ml_kem.public_key().public_bytes_raw(), m)
    ct_t, ss_t = _point(ephemeral), ephemeral.exchange(ec.ECDH(), to.p384.public_key())
    ss = hashlib.sha3_256(ss_m + ss_t + ct_t + _point(to.p384) + b"MLKEM1024-P384").digest()
    info = b"cji-result-key/1\0" + sha384(header)
    start = b"HPKE-v1HPKE\x00\x51\x00\x02\x00\x02"

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt, start + label + ikm, "sha384")

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(ss, b"secret", b"")

    def derived(label: bytes, length: int) -> bytes:
        return expand(secret, bytes([0, length]) + start + label + context, length)

    cipher_key, nonce = derived(b"key", 32), derived(b"base_nonce", 12)
    steps = {"ss": ss, "secret": secret, "key": cipher_key, "nonce": nonce}
    wrapped = ct_m + ct_t + AESGCM(cipher_key).encrypt(nonce, key, None)
    return wrapped, {step: value.hex() for step, value in steps.items()}


# ---------------------------------------------------------------- streams


@dataclass(frozen=True)
class Stream:
    """A FLOE stream: the `data` of each Segment message, and what was computed on the way."""

    data: tuple[bytes, ...]
    steps: dict[str, str]


def pieces_of(plaintext: bytes, payload: int = PAYLOAD) -> list[bytes]:
    """A plaintext cut into segments, of which the last has a byte at least."""
    return [plaintext[at : at + payload] for at in range(0, len(plaintext), payload)] or [b""]


def stream(
    key: bytes,
    aad: bytes,
    pieces: list[bytes],
    *,
    iv: bytes,
    sivs: list[bytes],
    segment: int = SEGMENT,
    lasts: frozenset[int] | None = None,
) -> Stream:
    """§3: these pieces of plaintext as segments. `lasts`: those marked as last, in place of the last alone."""
    prefix = struct.pack(">BBII", 0, 0, segment, 32) + iv
    lasts = frozenset({len(pieces) - 1}) if lasts is None else lasts
    mk = expand(key, prefix + b"MESSAGE_KEY:" + aad, 48)
    data = [prefix + expand(key, prefix + b"HEADER_TAG:" + aad, 32)]
    for index, plain in enumerate(pieces):
        dek = expand(mk, prefix + b"DEK:" + struct.pack(">Q", index >> 20 << 20) + aad, 32)
        siv, last = sivs[index], index in lasts
        sealed = AESGCM(dek).encrypt(siv, plain, struct.pack(">QB", index, last))
        mark = struct.pack(">I", len(sealed) + 16) if last else b"\xff\xff\xff\xff"
        data.append(mark + siv + sealed)
    dek_0 = expand(mk, prefix + b"DEK:" + bytes(8) + aad, 32)
    steps = {"mk": mk.hex(), "dek_0": dek_0.hex()}
    return Stream((data[0] + data[1], *data[2:]) if len(data) > 1 else tuple(data), steps)


def ivs(name: str, pieces: int) -> dict[str, Any]:
    """The random values of a stream of this name."""
    return {"iv": chance(f"{name}/iv", 32), "sivs": [chance(f"{name}/siv {n}", 12) for n in range(pieces)]}


def part_aad(header: bytes, part: int) -> bytes:
    """The AAD of an input part."""
    return b"cji-part/1\0" + sha384(header) + struct.pack(">I", part)


def output_aad(result_header: bytes, part: int) -> bytes:
    """The AAD of an output part."""
    return b"cji-result/1\0" + sha384(result_header) + struct.pack(">I", part)


def compact(typ: str, claims: dict[str, object], signer: Signer, *, header: dict[str, str] | None = None) -> str:
    """§8: a compact JWS of these claims as they stand; `header` in place of the right one."""
    alg = "ML-DSA-87-ES384" if claims.get("suite") == "hybrid-1" else "ES384"
    head = header or {"alg": alg, "kid": key_id(signer.jwk), "typ": typ}
    return signed(_json(head), _json(claims), signer, composite=alg != "ES384")


def signed(head: bytes, payload: bytes, signer: Signer, *, composite: bool) -> str:
    """A compact JWS of these bytes."""
    message = f"{b64url(head)}.{b64url(payload)}"
    signature = signer.sign(message.encode()) if composite else signer.es384(message.encode())
    return f"{message}.{b64url(signature)}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
