"""Release statements and policies that Key Vault wrote, through the verifiers that a worker uses."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_attestation import AZURE_US, Fault, Trust
from cji_attestation.errors import Record
from cji_attestation.release import KeySpec
from cji_attestation.release.keyspec import locate
from cji_attestation.release.policy import PolicyError, check_release_policy, lint, parse_policy
from cji_attestation.release.statement import VerifiedStatement, verify_chain_and_signature, verify_statement
from cji_attestation.strict import ec_from_jwk
from cji_core.jose import jwk_thumbprint
from cji_simulator import jws
from cji_simulator.certificates import authority, leaf, pem
from cji_simulator.encoding import b64url, unb64url
from cji_simulator.release_policy import ReleasePolicy
from tests.support.refusals import rejected

pytestmark = pytest.mark.vectors
HOST, THEN = "gearamakv1.vault.azure.net", datetime(2022, 5, 5, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def raw(vectors: Path) -> str:
    """A statement of May 2022 about an EC-HSM key on P-256; no nonce was sent."""
    recording = json.loads((vectors / "azure/skr/akv_release_recorded_ec-hsm_2022-05b.json").read_text())
    (call,) = (call for call in recording["networkCallRecords"] if "/release" in call["Url"])
    found: str = json.loads(call["Response"]["BODY"])["value"]
    return found


def trusting(root: x509.Certificate) -> Trust:
    return msgspec.structs.replace(AZURE_US, release_roots=pem(root).decode())


def its_own(raw: str) -> Trust:
    """Trust in the root of its own time, Baltimore CyberTrust, which is no longer in the system's store."""
    header, _ = jws.split(raw)
    return trusting(x509.load_der_x509_certificate(base64.b64decode(header["x5c"][-1])))


def spec(payload: dict[str, Any]) -> KeySpec:
    released = payload["response"]["key"]
    public = ec_from_jwk(released["key"], fault=Fault.RELEASE_INVALID, check="test")
    return KeySpec(
        kek_id=payload["request"]["kid"],
        public_thumbprint=b64url(jwk_thumbprint(public)),
        policy_sha256=hashlib.sha256(unb64url(released["release_policy"]["data"])).hexdigest(),
    )


def verify(raw: str, key: KeySpec, trust: Trust, nonce: str) -> VerifiedStatement:
    return verify_statement(raw, key=key, located=locate(key, trust=trust), nonce=nonce, trust=trust, now=THEN)


def test_signature_chain_and_payload_at_their_own_time(raw: str) -> None:
    payload = json.loads(verify_chain_and_signature(raw, host=HOST, trust=its_own(raw), now=THEN, record=Record()))
    assert payload == jws.split(raw)[1]
    for host, now in (("other.example", THEN), (HOST, THEN + 10 * 31536000), (HOST, THEN - 10 * 31536000)):
        with rejected("S02"):
            verify_chain_and_signature(raw, host=host, trust=its_own(raw), now=now, record=Record())
    head, body, signature = raw.split(".")
    altered = f"{head}.{b64url(unb64url(body).replace(b'7.3', b'7.4'))}.{signature}"
    with rejected("S03"):
        verify_chain_and_signature(altered, host=HOST, trust=its_own(raw), now=THEN, record=Record())


def test_nothing_but_the_nonce_is_missing_in_it(raw: str) -> None:
    _, payload = jws.split(raw)
    key = spec(payload)
    with rejected("S05"):
        verify(raw, key, its_own(raw), "bm9uY2U")
    payload["request"]["nonce"] = "bm9uY2U"  # and now it needs another signature
    root = authority("root", rsa.generate_private_key(65537, 2048))
    below = leaf("vault.azure.net", rsa.generate_private_key(65537, 2048), root, hosts=["*.vault.azure.net"])
    ours = jws.sign({"x5c": jws.x5c(below)}, payload, below.rsa())
    with rejected("S02"):  # these certificates are of today
        verify(ours, key, trusting(root.certificate), "bm9uY2U")
    statement = verify_statement(
        ours,
        key=key,
        located=locate(key, trust=AZURE_US),
        nonce="bm9uY2U",
        trust=trusting(root.certificate),
        now=datetime.now(UTC).timestamp(),
    )
    assert isinstance(statement.public_key, ec.EllipticCurvePublicKey)
    assert len(statement.ciphertext) == 336  # 256 of RSA-2048, and 67 of PKCS#8 without a public key, padded
    assert not statement.policy_immutable
    with pytest.raises(PolicyError) as caught:
        check_release_policy(
            statement.policy, immutable=False, trust=AZURE_US, authority="https://a.wus.attest.azure.net", accept=set()
        )
    assert caught.value.check == "RP01"


def test_policies_are_kept_as_the_simulated_vault_keeps_them(raw: str, vectors: Path) -> None:
    recording = json.loads((vectors / "azure/skr/akv_create_key_with_release_policy_recorded.json").read_text())
    (entry,) = recording["Entries"]
    sent, kept = (unb64url(entry[name]["release_policy"]["data"]) for name in ("RequestBody", "ResponseBody"))
    assert sent != kept
    assert ReleasePolicy.parse(sent).encoded == kept
    released = unb64url(jws.split(raw)[1]["response"]["key"]["release_policy"]["data"])
    assert ReleasePolicy.parse(released).encoded == released
    for data in (sent, kept, released):
        assert parse_policy(data).version == "1.0.0"


def test_the_published_policy_for_many_regions_is_weak_in_each(vectors: Path) -> None:
    data = (vectors / "azure/skr/public_SKR_policy-datadisk.json").read_bytes()
    policy = parse_policy(data)
    found: dict[str, int] = {}
    for finding in lint(policy, trust=AZURE_US):
        found[finding.rule.id] = max(found.get(finding.rule.id, 0), len(finding.where))
    ways = sum(len(authority.conjunctions) for authority in policy.authorities)
    assert ways == 2 * len(policy.authorities) == 52
    assert {found["RP10"], found["RP15"], found["RP17"]} == {ways}
    assert set(found) == {"RP01", "RP03", "RP05", "RP10", "RP11", "RP12", "RP13", "RP14", "RP15", "RP16", "RP17"}
    with pytest.raises(PolicyError):
        check_release_policy(
            data, immutable=True, trust=AZURE_US, authority=policy.authorities[0].url, accept={"RP01", "RP04"}
        )
