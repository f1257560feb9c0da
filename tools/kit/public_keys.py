"""Cases about public keys as JWK (§1), and about the seed of a worker's ML-KEM key (§4)."""

import hashlib
import json
from collections.abc import Iterator
from typing import Final

from tools.kit.case import Case
from tools.kit.headers import CLASSICAL, HYBRID, KEK_ID
from tools.kit.writer import Signer, b64url, chance, key_id, ml_kem_jwk, ml_kem_seed, oaep, rsa_key

_KINDS: Final = {
    "RSA": CLASSICAL.recipient.jwk,
    "P-384": Signer("submitter", hybrid=False).jwk,
    "pair of signing keys": Signer("submitter", hybrid=True).jwk,
    "pair of encryption keys": HYBRID.recipient.jwk,
    "ML-KEM": ml_kem_jwk("cmk"),
}
"""A key of each kind; RSA keys have cases in headers.json, too."""
_USES: Final = {"RSA": ("RSA-OAEP-256", "enc"), "P-384": ("ES384", "sig")}


def jwks() -> Iterator[Case]:
    """Texts that are the key, and texts that are none."""
    for kind, text in _KINDS.items():
        named = {"kind": kind}
        expected = {"thumbprint": key_id(text)}
        yield Case.valid(kind, expected=expected, jwk=text, **named)
        spaced = "".join(reversed(_parts(text)))
        yield Case.valid(f"{kind}, in another order and with blanks", expected=expected, jwk=spaced, **named)
        full = text[:-1] + f',"kid":"{key_id(text)}"' + "}"
        if kind in _USES:
            alg, use = _USES[kind]
            full = full[:-1] + f',"alg":"{alg}","use":"{use}"' + "}"
        yield Case.valid(f"{kind}, with all members", expected=expected, jwk=full, **named)
        for name, wrong in _wrong(kind, text).items():
            yield Case.untrue(f"{kind}, {name}", "JWK", "jwk", made_from=kind, jwk=wrong, **named)


def _parts(text: str) -> list[str]:
    """Pieces of the same object; reversed they are in another order."""
    members = text[1:-1].split(",")
    return ["}", *(f"\n {member}{',' if at else ''}" for at, member in enumerate(members)), "{"]


def _wrong(kind: str, text: str) -> dict[str, str]:
    first = json.loads(text)
    last = "y" if kind == "P-384" else "n" if kind == "RSA" else "pub"
    value: str = first[last]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    found = {
        "with a repeated member": text[:-1] + f',"kty":"{first["kty"]}"' + "}",
        "with an unknown member": text[:-1] + ',"x5c":[]}',
        "with a private member": text[:-1] + ',"d":"AQAB"}',
        "with another kid": text[:-1] + f',"kid":"{"A" * 43}"' + "}",
        "with padding": text.replace(value, value + "="),
        "with a base64 character in place of base64url": text.replace(value, "+" + value[1:]),
        f"without {last}": json.dumps({name: each for name, each in first.items() if name != last}),
        f"with {last} as an array": text.replace(f'"{value}"', "[]"),
        "of 16 385 bytes": text + " " * (16385 - len(text)),
        "with a bare value": value,
    }
    if len(value) % 4:
        found["with unused bits"] = text.replace(value, value[:-1] + alphabet[alphabet.index(value[-1]) ^ 1])
    if kind == "P-384":
        found |= {
            "of 47 bytes": text.replace(value, b64url(bytes(47))),
            "off the curve": text.replace(value, b64url(bytes(48))),
            "of P-256": text.replace("P-384", "P-256"),
        }
    elif kind != "RSA":
        found |= {
            "of another alg": text.replace(first["alg"], "ML-DSA-65"),
            "a byte short": text.replace(value, value[4:]),
            "of kty EC": text.replace('"AKP"', '"EC"'),
        }
    if kind.startswith("pair"):
        found["with a point off the curve"] = text.replace(value, value[:-64] + "A" * 64)
    return found


def seeds() -> Iterator[Case]:
    """The wrapped seed of the ML-KEM half of a worker's key: it opens for its kek_id alone."""
    public, seed = rsa_key("cmk").public_key(), ml_kem_seed("cmk")
    random, given = chance("wrapped seed", 32), {"rsa": "cmk", "kek_id": KEK_ID}

    def wrapped(plain: bytes) -> str:
        return b64url(oaep(public, plain, random))

    prefix = b"cji-ml-kem-seed/1\0" + hashlib.sha256(KEK_ID.encode()).digest()
    good = wrapped(prefix + seed)
    expected = {"seed": seed.hex(), "oaep_seed": random.hex(), "jwk": ml_kem_jwk("cmk")}
    yield Case.valid("a seed", expected=expected, wrapped=good, **given)
    other = b"cji-ml-kem-seed/1\0" + hashlib.sha256(KEK_ID[:-1].encode()).digest()
    for name, wrong in {
        "for another key": wrapped(other + seed),
        "without its prefix": wrapped(seed),
        "of 63 bytes": wrapped(prefix + seed[1:]),
        "of 65 bytes": wrapped(prefix + seed + b"\0"),
        "of version 2": wrapped(prefix.replace(b"/1", b"/2") + seed),
        "whose ciphertext was changed": "B" + good[1:],
        "a byte short": b64url(oaep(public, prefix + seed, random)[1:]),
    }.items():
        yield Case.broken(
            f"a seed {name}", "ml-kem-seed", "DEK_UNWRAP_FAILED", made_from="a seed", wrapped=wrong, **given
        )
