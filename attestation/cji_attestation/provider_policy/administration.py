"""A provider's own policies, read and set by its operator. For `cji provider`, never for a worker.

Reading is azure-security-attestation's administration client, with its token validation off: what it returns is
verified here, by the provider's signing keys and its name. Setting is one request of ours, because that library signs
policies with an algorithm "RSA256" that RFC 7518 does not have; the service documents none and RS256.
The operator signs in with the Azure CLI. Source: learn.microsoft.com, "How to author an attestation policy".
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.identity import AzureCliCredential
from azure.security.attestation import AttestationAdministrationClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.errors import AttestationError, Fault, Record
from cji_attestation.fetch import exchange
from cji_attestation.maa.claims import SKEW, authentic_claims, refused
from cji_attestation.maa.jwks import SigningKeys
from cji_attestation.provider_policy import parse_policy, policy_hash
from cji_attestation.provider_policy.provider import EXCHANGE_SECONDS
from cji_attestation.release.vault import sdk_transport
from cji_attestation.strict import load_pem_chain, parse_object, text_member
from cji_attestation.trust import Endpoint, Trust, provider_endpoint
from cji_core.certs import CertificateRefused, load_private_key
from cji_core.jose import MIN_RSA_BITS, split_compact
from cji_core.strict import JsonObject, b64url, b64url_decode

Kind: TypeAlias = Literal["AzureGuest", "SevSnpVm", "TdxVm"]
KINDS: Final[tuple[Kind, ...]] = ("AzureGuest", "SevSnpVm", "TdxVm")
"""Attestation types, each with a policy of its own. The worker's tokens are AzureGuest's."""

MAX_TOKEN_BYTES: Final = 512 * 1024  # a policy of 64 KiB is encoded three times on its way
SECONDS: Final = 30.0
CLI_SECONDS: Final = 30
_CHECK: Final = "provider-policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """The policy in force: its text, its name in tokens, and whether the provider's policy signer signed it."""

    text: bytes
    hash: str
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySigner:
    """An RSA key and its certificate, which the provider was created with."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def load(cls, key: bytes, certificate: bytes, *, passphrase: bytes | None) -> "PolicySigner":
        """From two PEM files; CONFIG_INVALID "policy-signer" where they are not an RSA pair of 2048 bits or more."""
        chain = load_pem_chain(certificate, fault=Fault.CONFIG_INVALID, check="policy-signer")
        try:
            private = load_private_key(key, passphrase)
        except CertificateRefused as error:
            raise AttestationError(Fault.CONFIG_INVALID, check="policy-signer") from error
        if not isinstance(private, rsa.RSAPrivateKey) or private.key_size < MIN_RSA_BITS:
            raise AttestationError(Fault.CONFIG_INVALID, check="policy-signer")
        if chain[0].public_key() != private.public_key():
            raise AttestationError(Fault.CONFIG_INVALID, check="policy-signer")
        return cls(key=private, certificate=chain[0])


def operator_credential() -> TokenCredential:
    """The operator who is signed in with `az login`."""
    return AzureCliCredential(process_timeout=CLI_SECONDS)


def read_policy(
    kind: Kind, *, trust: Trust, maa_url: str, credential: TokenCredential, now: float
) -> StoredPolicy | None:
    """The policy in force, or None where the provider has an empty one.

    Faults: CONFIG_INVALID for a host that the trust does not have, IDENTITY_UNAVAILABLE "operator", MAA_REFUSED
    "provider-policy" for an identity without the role, MAA_UNAVAILABLE, TOKEN_INVALID for an answer that the provider
    did not sign.
    """
    at = provider_endpoint(trust, maa_url)
    transport = sdk_transport(trust, seconds=EXCHANGE_SECONDS)
    try:
        with AttestationAdministrationClient(
            at.base, credential, transport=transport, retry_total=0, credential_scopes=[_scope(trust)]
        ) as client:
            _, token = client.get_policy(kind, validate_token=False)
            answer = str(token.to_jwt_string())
    except HttpResponseError as error:  # that nobody is signed in is one of these, without a status
        raise _denied(error.status_code) from error
    except (AzureError, ValueError, LookupError, AttributeError, OSError) as error:  # what malformed answers raise
        raise AttestationError(Fault.MAA_UNAVAILABLE, check=_CHECK) from error
    claims = _verified(answer, at=at, trust=trust, now=now)
    return _stored(text_member(claims, "x-ms-policy", fault=Fault.TOKEN_INVALID, check=_CHECK))


def write_policy(
    kind: Kind,
    text: bytes,
    *,
    trust: Trust,
    maa_url: str,
    credential: TokenCredential,
    signer: PolicySigner | None,
    now: float,
) -> StoredPolicy:
    """Set a policy that follows the grammar, and have the provider confirm that it took this very one.

    Faults: those of `read_policy`, and CONFIG_INVALID with the rule's id for a text outside the grammar.
    """
    parse_policy(text)
    at = provider_endpoint(trust, maa_url)
    statement = _statement(text, signer)
    try:
        bearer = credential.get_token(_scope(trust)).token
    except AzureError as error:
        raise AttestationError(Fault.IDENTITY_UNAVAILABLE, check="operator") from error
    reply = exchange(
        at,
        method="PUT",
        path=f"/policies/{kind}?api-version=2020-10-01",
        headers={"Authorization": f"Bearer {bearer}", "Content-Type": "text/plain", "Accept": "application/json"},
        body=statement.encode("ascii"),
        roots=trust.tls_roots,
        limit=MAX_TOKEN_BYTES,
        seconds=SECONDS,
        fault=Fault.MAA_UNAVAILABLE,
        check=_CHECK,
    )
    if reply.status != 200:
        raise _denied(reply.status)
    body = parse_object(reply.body, limit=MAX_TOKEN_BYTES, fault=Fault.TOKEN_INVALID, check=_CHECK)
    claims = _verified(text_member(body, "token", fault=Fault.TOKEN_INVALID, check=_CHECK), at=at, trust=trust, now=now)
    taken = b64url(hashlib.sha256(statement.encode("ascii")).digest())
    if claims.get("x-ms-policy-result") != "Updated" or claims.get("x-ms-policy-token-hash") != taken:
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
    return StoredPolicy(text=text, hash=policy_hash(text), signed=signer is not None)


def _scope(trust: Trust) -> str:
    return f"{trust.maa_resource}/.default"


def _denied(status: int | None) -> AttestationError:
    """No status: the request was never sent, because nobody is signed in."""
    if status is None:
        return AttestationError(Fault.IDENTITY_UNAVAILABLE, check="operator")
    refused = status in {400, 401, 403}
    return AttestationError(Fault.MAA_REFUSED if refused else Fault.MAA_UNAVAILABLE, check=f"{_CHECK}-{status}")


def _verified(token: str, *, at: Endpoint, trust: Trust, now: float) -> JsonObject:
    """Claims of a token that this provider signed and that is valid now."""
    claims, _ = authentic_claims(
        token, keys=SigningKeys(issuer=at, trust=trust), limit=MAX_TOKEN_BYTES, record=Record()
    )
    expires = claims.get("exp")
    if type(expires) is not int or now >= expires + SKEW:
        raise refused("T06")
    return claims


def _stored(statement: str) -> StoredPolicy | None:
    """The policy in the provider's statement of it; a signature in there was the provider's to check."""
    try:
        if statement.split(".")[1:2] == [""]:
            return None
        jws = split_compact(statement, limit=MAX_TOKEN_BYTES, unsigned=True)
        header, payload = (
            parse_object(part, limit=MAX_TOKEN_BYTES, fault=Fault.TOKEN_INVALID, check=_CHECK)
            for part in (jws.header, jws.payload)
        )
        encoded = text_member(payload, "AttestationPolicy", fault=Fault.TOKEN_INVALID, check=_CHECK)
        text = b64url_decode(encoded.rstrip("="))
    except ValueError as error:
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK) from error
    signed = header.get("alg") != "none" and bool(jws.signature)
    return StoredPolicy(text=text, hash=policy_hash(text), signed=signed) if text else None


def _statement(text: bytes, signer: PolicySigner | None) -> str:
    """The JWS that carries a policy: alg none with an empty signature, or RS256 with the signer's certificate."""
    header: dict[str, object] = {"alg": "none"}
    if signer is not None:
        der = signer.certificate.public_bytes(Encoding.DER)
        header = {"alg": "RS256", "x5c": [base64.b64encode(der).decode("ascii")]}
    payload = {"AttestationPolicy": b64url(text)}
    signing_input = ".".join(b64url(json.dumps(part).encode("ascii")) for part in (header, payload))
    if signer is None:
        return f"{signing_input}."
    signature = signer.key.sign(signing_input.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
    return f"{signing_input}.{b64url(signature)}"
