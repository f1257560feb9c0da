"""Tokens for the attestation tests: the service's claims about the session's machine, changed and signed again."""

import functools
from collections.abc import Callable
from typing import Any

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal import Verdict
from cji_attestation.evidence import Evidence, maa_nonce
from cji_attestation.maa import SigningKeys, VerifiedToken, verify_token
from cji_attestation.trust import endpoint
from tests.support.forge import (
    ISSUER,
    QUALIFYING,
    decided,
    machine,
)
from tests.support.refusals import rejected

__all__ = ["Change", "Claims", "Keys", "changed", "claims", "judged", "refused", "verify"]


Claims = dict[str, Any]


Change = Callable[[Claims], object]


class Keys:
    """The issuer's key document, and how often it was asked for."""

    def __init__(self, document: bytes | None = None) -> None:
        self.document = machine().jwks() if document is None else document
        self.asked = 0
        self.time = 1000.0
        issuer = endpoint(ISSUER, AZURE_US.maa_hosts, resource="", check="maa-url")
        self.keys = SigningKeys(issuer=issuer, trust=AZURE_US, monotonic=lambda: self.time, fetch=self.ask)

    def ask(self) -> bytes:
        self.asked += 1
        return self.document


@functools.cache
def judged() -> tuple[Evidence, Verdict]:
    evidence = machine().evidence()
    return evidence, machine().appraise(evidence)


def verify(raw: str, **kw: Any) -> VerifiedToken:
    given: dict[str, Any] = {
        "keys": Keys().keys,
        "verdict": judged()[1],
        "nonce": maa_nonce(QUALIFYING),
        "reference": decided(),
        "max_age": decided().token_max_age,
        "now": machine().now.timestamp() + 1,
    }
    return verify_token(raw, **(given | kw))


def claims(*changes: Change) -> Claims:
    out = machine().token_claims(judged()[0])
    for change in changes:
        change(out)
    return out


def refused(raw: str, *checks: str, **kw: Any) -> None:
    with rejected(fault=Fault.TOKEN_INVALID) as caught:
        verify(raw, **kw)
    assert caught.value.check in checks
    assert not raw or raw[-40:] not in repr(caught.value) + str(caught.value)


def changed(change: Change, *checks: str) -> None:
    refused(machine().token(claims(change)), *checks)
