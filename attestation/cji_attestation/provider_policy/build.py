"""Write a strong policy for AzureGuest, and name a policy as tokens do."""

import hashlib
from collections.abc import Mapping
from typing import Final

from cji_core.strict import b64url

SERVICE: Final = "AttestationService"
"""Issuer of what the service itself read from evidence."""

# claim -> the rule that misses it; each must be true. These are the facts that Microsoft's own default policy for
# AzureGuest denies the absence of, so they are known to be among its incoming claims; facts of the hardware, which
# stand under x-ms-isolation-tee in the token, are not, and are for the release policy and the worker to demand.
REQUIRED: Final[Mapping[str, str]] = {
    "secureboot": "MP11",
    "x-ms-azurevm-debuggersdisabled": "MP12",
    "x-ms-azurevm-signingdisabled": "MP13",
    "x-ms-azurevm-default-securebootkeysvalidated": "MP14",
    "x-ms-azurevm-dbvalidated": "MP14",
    "x-ms-azurevm-dbxvalidated": "MP14",
}


def build() -> bytes:
    """Policy that permits what holds every one of `REQUIRED` and makes no claims. Text in UTF-8 with a newline."""
    conditions = (f'[type=="{claim}", value==true, issuer=="{SERVICE}"]' for claim in REQUIRED)
    rule = "\n    && ".join(conditions)
    return (
        f"version= 1.0;\nauthorizationrules\n{{\n    {rule}\n    => permit();\n}};\nissuancerules\n{{\n}};\n".encode()
    )


def policy_hash(policy: bytes) -> str:
    """x-ms-policy-hash of a policy's text: BASE64URL(SHA256(UTF8(BASE64URL(UTF8(policy text))))).

    Source: learn.microsoft.com, "Azure Attestation claim sets". The bytes count as they are, newlines and all.
    """
    return b64url(hashlib.sha256(b64url(policy).encode("ascii")).digest())
