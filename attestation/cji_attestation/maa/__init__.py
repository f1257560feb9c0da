"""Microsoft's verdict: the AzureGuest exchange, the provider's signing keys, and the checks on its tokens."""

from cji_attestation.maa.guest import guest_request, open_reply, send_request
from cji_attestation.maa.jwks import SigningKeys, parse_jwks
from cji_attestation.maa.token import VerifiedToken, issue_of, verify_token

__all__ = [
    "SigningKeys",
    "VerifiedToken",
    "guest_request",
    "issue_of",
    "open_reply",
    "parse_jwks",
    "send_request",
    "verify_token",
]
