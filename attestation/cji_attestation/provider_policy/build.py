"""Write a strong policy for AzureGuest, and name a policy as tokens do."""

import hashlib
from collections.abc import Mapping
from typing import Final

from cji_core.strict import b64url

SERVICE: Final = "AttestationService"
"""Issuer of what the service itself read from evidence."""

# claim -> the rule that misses it; each must be true. Microsoft's own default policy for AzureGuest denies what is
# false of them, so they are known to be among its incoming claims; facts of the hardware, which stand under
# x-ms-isolation-tee in the token, are not, and are for the release policy and the worker to demand. Two more claims of
# that default are left out: `default-securebootkeysvalidated` and `dbvalidated` state that db has Microsoft's keys and
# no other, and a key of the agency's signs the image. Which image ran, under which keys, is in PCR 4 and PCR 7, which
# the release policy pins, and in PCR 11, which reference values pin.
REQUIRED: Final[Mapping[str, str]] = {
    "secureboot": "MP11",
    "x-ms-azurevm-debuggersdisabled": "MP12",
    "x-ms-azurevm-signingdisabled": "MP13",
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
