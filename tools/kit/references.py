"""Cases about a job by reference (§9): what its submitter and its worker leave in storage."""

import json
from collections.abc import Iterator
from typing import Any, Final

from cji_core.wire.v1 import worker_pb2 as pb
from tools.kit.case import Case
from tools.kit.headers import CLASSICAL
from tools.kit.statements import claims_of, failure_of
from tools.kit.writer import Signer, chance, compact, sha384

_ATTEMPT: Final = chance("references/attempt", 16).hex()
_URI: Final = "spiffe://vectors.example/agency/pd"


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def blobs() -> Iterator[Case]:
    """Small blobs of each kind, by the name of their kind."""
    yield from _submissions()
    signer = Signer("receipts", hybrid=False)
    receipt = compact("cji-receipt+jws", claims_of(CLASSICAL), signer)
    failure = compact("cji-failure+jws", failure_of(CLASSICAL), signer)
    progress = {"attempt": _ATTEMPT, "stage": "compute", "per_cent": 40, "at": "2026-11-26T12:00:01.00Z"}
    kinds: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
        "receipt": (
            {"attempt": _ATTEMPT, "receipt": receipt},
            {
                "an attempt in upper case": {"attempt": "A" * 32},
                "an attempt of 31 digits": {"attempt": _ATTEMPT[1:]},
                "a receipt of two parts": {"receipt": receipt.rpartition(".")[0]},
                "a receipt that is an object": {"receipt": {}},
            },
        ),
        "failure": (
            {"failure": failure},
            {"no text": {"failure": 1}, "an empty text": {"failure": ""}, "padding": {"failure": failure + "="}},
        ),
        "sources": (
            {"attempts": [_ATTEMPT, _ATTEMPT]},
            {"a text": {"attempts": _ATTEMPT}, "a short attempt": {"attempts": [_ATTEMPT, _ATTEMPT[1:]]}},
        ),
        "progress": (
            progress,
            {
                "101 per cent": {"per_cent": 101},
                "-1 per cent": {"per_cent": -1},
                "a stage with a blank": {"stage": "a b"},
            },
        ),
    }
    for kind, (good, wrongs) in kinds.items():
        yield Case.valid(f"{kind}, a blob", kind=kind, blob=_text(good))
        text = _text(good)
        made = {name: _text(good | wrong) for name, wrong in wrongs.items()}
        made |= {
            "no bytes": "",
            "an array": f"[{text}]",
            "an unknown member": text[:-1] + ',"note":1}',
            "a repeated member": "{" + text[1:-1] + "," + text[1:-1].partition(',"')[0] + "}",
            "no members": "{}",
        }
        if kind == "sources":
            made["a repeated member"] = '{"attempts":[],"attempts":[]}'
        for name, wrong in made.items():
            yield Case.untrue(f"{kind}, {name}", kind, "blob", made_from=f"{kind}, a blob", kind=kind, blob=wrong)


def _submissions() -> Iterator[Case]:
    header, message = CLASSICAL.header(), b"cji-job-sig/1\0" + sha384(CLASSICAL.header())
    signature = CLASSICAL.signer.sign(message)

    def made(**changed: object) -> str:
        fields = {"header": header, "signature": signature, "submitter": _URI} | changed
        return pb.Submission(**fields).SerializeToString(deterministic=True).hex()  # type: ignore[arg-type]

    name = "submission, a blob"
    yield Case.valid(name, kind="submission", blob=made())
    for title, wrong in {
        "no header": made(header=b""),
        "a header of 32 769 bytes": made(header=bytes((1 << 15) + 1)),
        "no signature": made(signature=b""),
        "a signature of 8193 bytes": made(signature=bytes(8193)),
        "no submitter": made(submitter=""),
        "a submitter of 513 characters": made(submitter="x" * 513),
        "a byte short": made()[:-2],
        "no bytes": "",
    }.items():
        yield Case.untrue(f"submission, {title}", "submission", "blob", made_from=name, kind="submission", blob=wrong)
