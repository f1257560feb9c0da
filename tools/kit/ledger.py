"""Cases about the pool ledger (§11): attempt entries and ends, proven under a key that comes from the CMK."""

import hmac
import json
from collections.abc import Iterator
from typing import Any, Final

from tools.kit.case import Case
from tools.kit.headers import CLASSICAL, KEK_ID
from tools.kit.statements import Claims, claims_of
from tools.kit.writer import Signer, chance, compact, expand, key_id, rsa_key, sha384

_ATTEMPT: Final = b"cji-attempt/1\0"
_END: Final = b"cji-end/1\0"


def ledger_key(name: str) -> bytes:
    """HKDF-SHA-384 of the primes of an RSA key, the smaller first."""
    numbers = rsa_key(name).private_numbers()
    primes = b"".join(each.to_bytes((each.bit_length() + 7) // 8, "big") for each in sorted((numbers.p, numbers.q)))
    return expand(hmac.digest(bytes(48), primes, "sha384"), b"cji-ledger-key/1\0", 48)


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _entry(claims: bytes, domain: bytes, key: bytes | None = None) -> bytes:
    proof = hmac.digest(key or ledger_key("cmk"), domain + claims, "sha384").hex().encode()
    return b'{"claims":' + claims + b',"proof":"' + proof + b'"}'


def _both() -> tuple[Claims, Claims]:
    signer = Signer("receipts", hybrid=False)
    document = compact("cji-receipt+jws", claims_of(CLASSICAL), signer)
    same: Claims = {
        "v": 1,
        "job": CLASSICAL.message().job_id.hex(),
        "header_sha384": sha384(CLASSICAL.header()).hex(),
        "submitter": "vectors-pd",
        "kek_id": KEK_ID,
        "trail": "0d" * 48,
        "receipt_key": key_id(signer.jwk),
    }
    attempt = same | {"number": 1, "kind": "whole", "name": chance("ledger name", 16).hex()}
    digest = sha384(document.rpartition(".")[0].encode()).hex()
    end = same | {"outcome": "receipt", "sha384": digest, "attempt": 1, "name": "0" * 32, "document": document}
    return attempt, end


def entries() -> Iterator[Case]:
    """Entries that count, and blobs that are foreign."""
    attempt, end = _both()
    given: dict[str, Any] = {"rsa": "cmk", "kek_id": KEK_ID, "job": attempt["job"]}
    expected = {"ledger_key": ledger_key("cmk").hex()}
    made = _entry(_text(attempt), _ATTEMPT)
    first = given | {"kind": "attempt", "number": 1}
    yield Case.valid("an attempt", expected=expected, entry=made.decode(), **first)
    whole = _entry(_text(end), _END)
    last = given | {"kind": "end", "number": 0}
    yield Case.valid("an end", expected=expected, entry=whole.decode(), **last)
    for kind in ("parts", "none"):
        other = _entry(_text(attempt | {"kind": kind}), _ATTEMPT)
        yield Case.valid(f"an attempt of kind {kind}", expected=expected, entry=other.decode(), **first)
    for name, base, wrong, more in (
        ("a proof under another key", "an attempt", _entry(_text(attempt), _ATTEMPT, bytes(48)), first),
        ("an attempt proven as an end", "an attempt", _entry(_text(attempt), _END), first),
        ("an end proven as an attempt", "an end", _entry(_text(end), _ATTEMPT), last),
        ("a changed claim", "an attempt", made.replace(b"vectors-pd", b"vectors-pp"), first),
        ("a proof in upper case", "an attempt", made[:-99] + made[-99:].upper(), first),
        ("a blank", "an attempt", made.replace(b',"proof"', b', "proof"'), first),
        ("a blank in its claims", "an attempt", _entry(_text(attempt).replace(b",", b", ", 1), _ATTEMPT), first),
        ("members in another order", "an attempt", _entry(_text(dict(reversed(attempt.items()))), _ATTEMPT), first),
        ("another job", "an attempt", _entry(_text(attempt | {"job": "1" * 32}), _ATTEMPT), first),
        ("another number", "an attempt", _entry(_text(attempt | {"number": 2}), _ATTEMPT), first),
        ("version 2", "an attempt", _entry(_text(attempt | {"v": 2}), _ATTEMPT), first),
        ("a fourth kind", "an attempt", _entry(_text(attempt | {"kind": "half"}), _ATTEMPT), first),
        ("an unknown claim", "an attempt", _entry(_text(attempt | {"note": "x"}), _ATTEMPT), first),
        ("a third outcome", "an end", _entry(_text(end | {"outcome": "none"}), _END), last),
        ("another digest of the document", "an end", _entry(_text(end | {"sha384": "0" * 96}), _END), last),
        ("a line feed behind it", "an attempt", made + b"\n", first),
        ("no bytes", "an attempt", b"", first),
    ):
        yield Case.untrue(f"an entry with {name}", "entry", "foreign", made_from=base, entry=wrong.decode(), **more)
    retired = attempt | {"kek_id": KEK_ID.replace("0123", "3210", 1)}
    unheld = _entry(_text(retired), _ATTEMPT)
    yield Case.broken(
        "an entry under a key that is not held",
        "entry",
        "LEDGER_UNAVAILABLE",
        made_from="an attempt",
        entry=unheld.decode(),
        **first,
    )
