"""The readers of what retention is given: records of its log, its rules, the token of who deletes."""

import base64
import functools
import json
from typing import Final

from cji_audit.retention.chain import Log, RetentionLogError, read_log
from cji_audit.retention.identity import PrincipalError, principal_in
from cji_audit.retention.rules import DisposalRulesError, parse_disposal
from cji_core.jose import key_id
from tests.fuzz.attestation_targets import only, target
from tests.fuzz.mutators import BYTES, JWS, TEXT
from tests.support.retention_records import DELETED, DELETION, HOLD, KEY, PURGED, RELEASE, documents

__all__ = ["RETENTION"]

_RULES: Final = b"""
signers = ["retention.key.pub"]
[storage]
blob_url = "https://cjiexample.blob.core.windows.net"
[keep]
input_days = 7
result_days = 30
proof_days = 400
"""


@functools.cache
def _first() -> tuple[bytes, ...]:
    return tuple(documents(act)[0].encode() for act in (HOLD, RELEASE, DELETION, DELETED, PURGED))


def _log(data: bytes) -> Log:
    return read_log([data.decode("latin-1")], {key_id(KEY.public_key()): KEY.public_key()})


def _token() -> bytes:
    claims = {"oid": "22222222-2222-4222-8222-222222222222", "tid": "11111111-1111-4111-8111-111111111111"}
    return b"e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=") + b".e30"


RETENTION: Final = (
    target(
        "retention-record",
        _first,
        _log,
        refusals=(RetentionLogError,),
        fair=only(_first),
        mutators=JWS,
        weight=5,
    ),
    target(
        "retention-rules",
        lambda: (_RULES,),
        lambda data: parse_disposal(data, "disposal.toml"),
        refusals=(DisposalRulesError,),
        mutators=(*BYTES, *TEXT),
        weight=2,
    ),
    target(
        "retention-principal",
        lambda: (_token(),),
        lambda data: principal_in(data.decode("latin-1")),
        refusals=(PrincipalError,),
        mutators=JWS,
        weight=2,
    ),
)
