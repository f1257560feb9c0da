"""The token that came with a call: it, the client certificate and the submitter must be the same application.

The keyholder does not see the TLS connection. It takes the certificate that the front reports, checks that its URI is
the submitter's, and requires a token that Entra bound to exactly this certificate. So a front that lies needs a token
of the submitter that it names, and still has no key that signs a header: what it can do with a token that passed
through it is to fetch receipts of that submitter, which pass through it anyway.
"""

import re
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives import hashes

from cji_core.certs import load_pem
from cji_core.format.job import UNREADABLE, Policy, Submitter, certificate_uri
from cji_worker.ipc.messages import MAX_AUTHORIZATION, Presented
from cji_worker.keyholder.entra.key_sets import KeySets
from cji_worker.keyholder.entra.token import TokenRefused, VerifiedToken, verify_token

_SCHEME: Final = re.compile(r"(?i:bearer|mtls_pop) ([A-Za-z0-9._-]*)", re.ASCII)
"""RFC 6750 §2.1, which certificate-bound tokens use too (RFC 8705 §3), and the scheme of Microsoft's libraries."""


class SecondIdentity:
    """Verifies the tokens of submitters that the policy gives an application.

    Without an audience every such token is refused, and `checked` refuses the policy before.
    """

    def __init__(self, *, audience: str | None, keys: KeySets) -> None:
        self.audience: Final = audience
        self._keys = keys

    def follow(self, policy: Policy) -> None:
        """Keep the keys of this policy's tenants."""
        self._keys.follow(policy.tenants)

    def start(self) -> None:
        """Begin to fetch them, in a thread of its own; a worker without an audience has no such thread."""
        if self.audience is not None:
            self._keys.start()

    def authenticate(self, presented: Presented, submitter: Submitter, *, now: datetime) -> VerifiedToken | None:
        """The token that came with a call, None for a submitter without an application. Raises TokenRefused."""
        rule = submitter.entra
        if rule is None:
            if presented.authorization:
                raise TokenRefused("unexpected")
            return None
        raw = _bearer(presented)
        if self.audience is None:
            raise TokenRefused("keys")
        return verify_token(
            raw,
            rule,
            key_of=self._keys.key,
            issuer=self._keys.authority.base,
            audience=self.audience,
            certificate_sha256=_certificate_sha256(presented, submitter),
            now=now.timestamp(),
        )


def _bearer(presented: Presented) -> str:
    if not presented.authorization:
        raise TokenRefused("missing")
    if any(len(each) >= MAX_AUTHORIZATION for each in presented.authorization):
        raise TokenRefused("size")
    found = _SCHEME.fullmatch(presented.authorization[0])
    if len(presented.authorization) > 1 or found is None:
        raise TokenRefused("form")
    return found[1]


def _certificate_sha256(presented: Presented, submitter: Submitter) -> bytes:
    """SHA-256 of the DER, as `x5t#S256` has it (RFC 8705 §3.1)."""
    try:
        certificate = load_pem(presented.certificate)
        same = certificate_uri(certificate) == submitter.san
    except UNREADABLE as error:
        raise TokenRefused("certificate") from error
    if not same:
        raise TokenRefused("certificate")
    return certificate.fingerprint(hashes.SHA256())
