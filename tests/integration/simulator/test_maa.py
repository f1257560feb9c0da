"""The attestation service: its metadata, its keys, the form of its tokens and of its refusals."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from cji_attestation.maa.jwks import parse_jwks
from cji_simulator import Kind, Service, Simulation, jws

EVIDENCE = x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1000.1")


def ask(simulation: Simulation, url: str, body: bytes | None = None) -> tuple[int, bytes, Any]:
    tls = ssl.create_default_context(cadata=simulation.trust.tls_roots)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), context=tls, timeout=60) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def published(simulation: Simulation, issuer: str) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(ask(simulation, f"{issuer}/certs")[1])["keys"]
    return keys


def chain(entry: dict[str, Any]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in entry["x5c"]]


def test_metadata_leads_to_the_keys(simulation: Simulation) -> None:
    """The members of the REST specification; Key Vault reads issuer and jwks_uri."""
    status, body, headers = ask(simulation, f"{simulation.maa_url}/.well-known/openid-configuration")
    found = json.loads(body)
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "application/json")
    assert set(found) == {
        *("issuer", "jwks_uri", "claims_supported", "response_types_supported"),
        *("id_token_signing_alg_values_supported", "revocation_endpoint"),
    }
    assert found["issuer"] == simulation.maa_url
    assert not found["issuer"].endswith("/")
    assert ask(simulation, found["jwks_uri"])[2]["Content-Type"].startswith("application/jwk+json")


def test_one_key_has_a_large_certificate_one_is_below_a_root(simulation: Simulation) -> None:
    own, chained = published(simulation, simulation.maa_url)
    assert [(entry["alg"], entry["kty"], entry["use"]) for entry in (own, chained)] == [("RS256", "RSA", "sig")] * 2
    assert (len(base64.b64decode(own["kid"], validate=True)), len(chained["kid"])) == (32, 27)
    (certificate,) = chain(own)
    assert certificate.issuer == certificate.subject
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == simulation.maa_url
    assert len(certificate.extensions.get_extension_for_oid(EVIDENCE).value.public_bytes()) > 30_000
    below, above = chain(chained)
    below.verify_directly_issued_by(above)
    keys = parse_jwks(json.dumps({"keys": [own, chained]}).encode())
    for entry, first in ((own, certificate), (chained, below)):
        assert first.public_key() == keys[entry["kid"]].key


def test_documents_are_the_same_until_keys_roll(simulation: Simulation) -> None:
    before = published(simulation, simulation.maa_url)
    assert published(simulation, simulation.maa_url) == before
    simulation.rotate_signing_keys()
    after = published(simulation, simulation.maa_url)
    assert not {entry["kid"] for entry in before} & {entry["kid"] for entry in after}


def test_providers_share_keys_and_nothing_else(simulation: Simulation) -> None:
    """As two regions of the service did in October 2026: the same SubjectPublicKeyInfo, another CN."""
    mine, others = (
        chain(published(simulation, url)[0])[0] for url in (simulation.maa_url, simulation.endpoints.other_maa_url)
    )

    def spki(certificate: x509.Certificate) -> bytes:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert spki(mine) == spki(others)
    assert mine.subject != others.subject


@pytest.fixture
def token(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("cji_attestation.evidence.collect.REPORT_PAUSES", (0.0,))
    attester = simulation.attester()
    return attester.attest(receipt_key=b"r" * 32).token.raw


def unsorted(value: Any) -> list[list[str]]:
    """Every object's members that are not in alphabetical order."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    own = [list(value)] if isinstance(value, dict) and list(value) != sorted(value) else []
    return own + [names for one in inner for names in unsorted(one)]


def test_form_of_a_token(simulation: Simulation, token: str) -> None:
    header, claims = jws.split(token)
    signer = published(simulation, simulation.maa_url)[0]
    assert header == {"alg": "RS256", "jku": f"{simulation.maa_url}/certs", "kid": signer["kid"], "typ": "JWT"}
    key = chain(signer)[0].public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    jws.verify(token, key)
    assert unsorted(claims) == []
    assert claims["exp"] - claims["iat"] == 28800
    assert claims["nbf"] == claims["iat"]
    assert (len(bytes.fromhex(claims["jti"])), claims["x-ms-ver"], claims["iss"]) == (32, "1.0", simulation.maa_url)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", b"{}"),
        ("?api-version=2019-01-01", b"{}"),
        ("?api-version=2020-10-01", b""),
        ("?api-version=2020-10-01", b"[]"),
        ("?api-version=2025-06-01", b'{"AttestationInfo":"e30"}'),
    ],
)
def test_form_of_a_refusal(simulation: Simulation, query: str, body: bytes) -> None:
    status, answer, headers = ask(simulation, f"{simulation.maa_url}/attest/AzureGuest{query}", body)
    error = json.loads(answer)["error"]
    assert (status, set(error)) == (400, {"code", "message"})
    assert error["code"] == headers["x-ms-error-code"] == "InvalidParameter"


def test_ordered_refusals_have_the_same_form(simulation: Simulation) -> None:
    simulation.fault(Service.MAA, Kind.STATUS, status=429, seconds=4, path="/attest/", times=1)
    status, answer, headers = ask(simulation, f"{simulation.maa_url}/attest/AzureGuest?api-version=2020-10-01", b"{}")
    assert (status, headers["Retry-After"]) == (429, "4")
    assert json.loads(answer)["error"]["code"] == headers["x-ms-error-code"]
