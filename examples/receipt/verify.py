"""Verify a receipt of the suite classical-1 with joserfc, and nothing of the worker's own code.

    python verify.py receipt.jws key.jwk expected.json header_sha384=header.bin inputs.records=sealed-input ...

`key.jwk` is the receipt key from Attest, whose thumbprint the evidence binds. `expected.json` has the claims that must
be equal, those of the table in docs/format.md, section 8, such as {"submitter_key": "..."}. Each CLAIM=FILE compares a
digest: header_sha384, result_header_sha384, and every part of inputs and outputs by its name, as it was sent or
received, still sealed; CLAIM=- leaves one out.
Exit status 1: refused.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

ALWAYS = {"version": 1, "suite": "classical-1", "simulated": False, "witnesses": ["front", "cell"]}
ALWAYS |= {"column_keys": None, "privacy": None}  # absent
WHOLE = ("header_sha384", "result_header_sha384")


def compact(value: dict[str, Any]) -> bytes:
    """JSON without blanks, members in order."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def receipt_key(jwk: dict[str, str]) -> tuple[ECKey, str]:
    """The P-384 key and the RFC 7638 thumbprint; a pair with ML-DSA ends with the point of its P-384 half."""
    members = ("alg", "kty", "pub") if jwk["kty"] == "AKP" else ("crv", "kty", "x", "y")
    digest = hashlib.sha256(compact({name: jwk[name] for name in members})).digest()
    if jwk["kty"] == "AKP":
        point = urlsafe_b64decode(jwk["pub"].encode())[-97:]
        x, y = (urlsafe_b64encode(half).decode() for half in (point[1:49], point[49:]))
        jwk = {"kty": "EC", "crv": "P-384", "x": x, "y": y}
    return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")}), urlsafe_b64encode(digest).decode()


def differing(claims: dict[str, Any], expected: dict[str, Any], files: dict[str, str]) -> list[str]:
    """Names of claims that are not as expected, and of parts for which no file was given."""
    found = [name for name, value in {**ALWAYS, **expected}.items() if claims.get(name) != value]
    parts = {f"{side}.{each['name']}" for side in ("inputs", "outputs") for each in claims[side]}
    for name, file in ((name, file) for name, file in files.items() if file != "-"):
        data, (side, _, rest) = Path(file).read_bytes(), name.partition(".")
        if name in WHOLE:
            same = claims[name] == hashlib.sha384(data).hexdigest()
        else:
            part = {"name": rest, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            same = side in ("inputs", "outputs") and part in claims[side]
        found += [] if same else [name]
    return found + sorted({*WHOLE, *parts} - files.keys())


def main(receipt: str, key: str, expected: str, *files: str) -> str:
    """The outcome in one line."""
    text = Path(receipt).read_text().strip()
    public, thumbprint = receipt_key(json.loads(Path(key).read_bytes()))
    header = compact({"alg": "ES384", "kid": thumbprint, "typ": "cji-receipt+jws"})
    if text.partition(".")[0].encode() != urlsafe_b64encode(header):
        return "refused: header"
    try:
        claims = json.loads(jws.deserialize_compact(text, public, algorithms=["ES384"]).payload)
    except JoseError:
        return "refused: signature"
    wrong = differing(claims, json.loads(Path(expected).read_bytes()), dict(each.split("=", 1) for each in files))
    return f"refused: {', '.join(wrong)}" if wrong else f"verified: job {claims['job_id']}, worker {claims['worker']}"


if __name__ == "__main__":
    print(outcome := main(*sys.argv[1:]))
    sys.exit(outcome.startswith("refused"))
