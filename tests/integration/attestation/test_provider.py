"""A provider's description and policies, through Microsoft's SDK and the operator's verbs, against real servers."""

import base64
import functools
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from azure.core.credentials import AccessToken
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_attestation import AZURE_US, AttestationError, Fault
from cji_attestation.maa import SigningKeys
from cji_attestation.provider_policy import build as build_policy
from cji_attestation.provider_policy import policy_hash
from cji_attestation.provider_policy.administration import (
    KINDS,
    PolicySigner,
    StoredPolicy,
    _stored,
    read_policy,
    write_policy,
)
from cji_attestation.provider_policy.administration import Kind as AttestationKind
from cji_attestation.provider_policy.provider import describe_provider
from cji_attestation.trust import endpoint
from cji_core.command import build
from cji_deploy.verbs.policy.hash import PolicyHash
from cji_deploy.verbs.provider import PoliciesInForce, PolicyInForce, Provider
from cji_simulator import jws
from cji_simulator.certificates import leaf
from cji_simulator.encoding import b64url, rsa_jwk
from cji_simulator.faults import Kind, Service
from cji_simulator.policies import RESOURCE
from cji_simulator.simulation import Simulation
from tests.support.json_answers import answered, refusal
from tests.support.paths import ROOT
from tests.support.refusals import rejected
from tests.support.rsa_keys import rsa_key

SHIPPED = ROOT / "deploy" / "policy" / "attestation-policy.txt"
DEFAULT = "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco"  # the service's for SevSnpVm and TdxVm
KEY = rsa_key()


class SignedIn:
    """An operator's credential, as azure-identity has them."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        assert scopes == (f"{RESOURCE}/.default",)
        return AccessToken(self.token, int(time.time()) + 3600)


def operator(simulation: Simulation, resource: str = RESOURCE) -> str:
    token: str = simulation._control("POST", f"/operator-token?resource={resource}")["token"]
    return token


def read(
    simulation: Simulation, kind: AttestationKind = "AzureGuest", *, now: float | None = None
) -> StoredPolicy | None:
    credential = SignedIn(operator(simulation))
    at = time.time() if now is None else now
    return read_policy(kind, trust=simulation.trust, maa_url=simulation.maa_url, credential=credential, now=at)


def write(simulation: Simulation, text: bytes, signer: PolicySigner | None = None) -> StoredPolicy:
    return write_policy(
        "AzureGuest",
        text,
        trust=simulation.trust,
        maa_url=simulation.maa_url,
        credential=SignedIn(operator(simulation)),
        signer=signer,
        now=time.time(),
    )


def pems(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY) -> tuple[bytes, bytes]:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, leaf("policy signer", key, None).certificate.public_bytes(Encoding.PEM)


def refused(call: Callable[[], object]) -> AttestationError:
    with rejected() as caught:
        call()
    return caught.value


def test_the_provider_names_itself_and_its_keys(simulation: Simulation) -> None:
    provider = describe_provider(trust=simulation.trust, maa_url=simulation.maa_url)
    assert provider.issuer == simulation.maa_url
    assert provider.signing_keys == len(provider.keys) == 2
    assert [key.self_signed for key in provider.keys] == [True, False]
    assert all(key.kid and key.subject and key.until > datetime.now(UTC) for key in provider.keys)


def test_a_provider_that_the_trust_does_not_have_is_not_asked(simulation: Simulation) -> None:
    url = simulation.maa_url
    for call in (
        lambda: describe_provider(trust=AZURE_US, maa_url=url),
        lambda: describe_provider(trust=simulation.trust, maa_url=f"{url}/path"),
        lambda: read_policy("TdxVm", trust=AZURE_US, maa_url=url, credential=SignedIn("x"), now=0),
    ):
        assert refused(call).fault is Fault.CONFIG_INVALID


def test_a_provider_under_other_roots_is_not_believed(simulation: Simulation) -> None:
    trust = msgspec.structs.replace(simulation.trust, tls_roots=None)
    assert refused(lambda: describe_provider(trust=trust, maa_url=simulation.maa_url)).fault is Fault.MAA_UNAVAILABLE


def test_s04_the_environment_names_no_roots(
    simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text(simulation.endpoints.tls_roots)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(roots))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    trust = msgspec.structs.replace(simulation.trust, tls_roots=None)
    at = endpoint(simulation.maa_url, trust.maa_hosts, resource="", check="maa-url")
    for call in (
        lambda: describe_provider(trust=trust, maa_url=simulation.maa_url),
        lambda: SigningKeys(issuer=at, trust=trust).get("kid"),
    ):
        assert refused(call).fault is Fault.MAA_UNAVAILABLE


def test_a_provider_that_is_down_or_malformed(simulation: Simulation) -> None:
    for kind in (Kind.STATUS, Kind.MALFORMED, Kind.DOWN):
        simulation.fault(Service.MAA, kind)
        for call in (
            lambda: describe_provider(trust=simulation.trust, maa_url=simulation.maa_url),
            lambda: read(simulation),
            lambda: write(simulation, build_policy()),
        ):
            assert refused(call).fault in {Fault.MAA_UNAVAILABLE, Fault.TOKEN_INVALID}
        simulation.clear_faults()


def test_every_kind_of_policy_is_listed() -> None:
    assert get_args(AttestationKind) == KINDS == ("AzureGuest", "SevSnpVm", "TdxVm")


def test_the_policies_in_force_have_their_names(simulation: Simulation) -> None:
    found = {kind: read(simulation, kind) for kind in KINDS}
    assert all(one is not None and not one.signed for one in found.values())
    assert [one.hash for kind, one in found.items() if one is not None and kind != "AzureGuest"] == [DEFAULT, DEFAULT]


def test_a_policy_is_set_confirmed_and_named_in_tokens(simulation: Simulation) -> None:
    before = read(simulation)
    try:
        taken = write(simulation, build_policy())
        assert taken.hash == policy_hash(build_policy())
        assert read(simulation) == taken
    finally:
        assert before is not None
        write(simulation, before.text)
    assert read(simulation) == before


def test_a_signed_policy(simulation: Simulation) -> None:
    before = read(simulation)
    assert before is not None
    try:
        taken = write(simulation, build_policy(), PolicySigner.load(*pems(), passphrase=None))
        assert taken.signed
        assert read(simulation) == taken
        stranger = PolicySigner(
            key=rsa.generate_private_key(65537, 2048), certificate=leaf("policy signer", KEY, None).certificate
        )
        assert refused(lambda: write(simulation, build_policy(), stranger)).fault is Fault.MAA_REFUSED
    finally:
        write(simulation, before.text)


@pytest.mark.parametrize(
    ("key", "certificate"),
    [
        (b"", pems()[1]),
        (pems()[0], b""),
        (pems()[1], pems()[1]),
        (pems(rsa.generate_private_key(65537, 2048))[0], pems()[1]),
        pems(rsa.generate_private_key(65537, 1024)),
        pems(ec.generate_private_key(ec.SECP256R1())),
        (
            ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            pems()[1],
        ),
    ],
)
def test_no_signer(key: bytes, certificate: bytes) -> None:
    error = refused(lambda: PolicySigner.load(key, certificate, passphrase=None))
    assert (error.fault, error.check) == (Fault.CONFIG_INVALID, "policy-signer")


def test_a_text_outside_the_grammar_is_not_sent(simulation: Simulation) -> None:
    before = read(simulation)
    assert refused(lambda: write(simulation, b"version=1.0; authorizationrules { permit(); };")).check == "MP41"
    assert read(simulation) == before


def test_who_may_not(simulation: Simulation) -> None:
    for token in ("stranger", operator(simulation, simulation.endpoints.vault_resource)):
        given: dict[str, Any] = {
            "trust": simulation.trust,
            "maa_url": simulation.maa_url,
            "credential": SignedIn(token),
            "now": 0.0,
        }
        for error in (
            refused(functools.partial(read_policy, "AzureGuest", **given)),
            refused(functools.partial(write_policy, "AzureGuest", build_policy(), signer=None, **given)),
        ):
            assert (error.fault, error.check) == (Fault.MAA_REFUSED, "provider-policy-401")


class Liar(ThreadingHTTPServer):
    """A provider over plain HTTP whose answer to PUT is up to the test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.key = KEY
        self.changes: dict[str, object] = {}
        self.drop = ""

    def published(self, path: str) -> bytes:
        x5c = [base64.b64encode(leaf("provider", KEY, None).certificate.public_bytes(Encoding.DER)).decode()]
        keys = {"keys": [{"kid": "k", **rsa_jwk(KEY.public_key()), "x5c": self.changes.get("x5c", x5c)}]}
        metadata = self.changes.get("metadata", {"issuer": self.changes.get("issuer", self.url)})
        return msgspec.json.encode(keys if path == "/certs" else metadata)

    def answer(self, statement: bytes) -> bytes:
        claims: dict[str, object] = {
            "iss": self.url,
            "exp": int(time.time()) + 60,
            "x-ms-policy-result": "Updated",
            "x-ms-policy-token-hash": b64url(hashlib.sha256(statement).digest()),
        }
        claims = {name: value for name, value in (claims | self.changes).items() if name != self.drop}
        return msgspec.json.encode({"token": jws.sign({"kid": "k"}, claims, self.key)})


class _Handler(BaseHTTPRequestHandler):
    server: Liar

    def do_GET(self) -> None:
        self._say(self.server.published(self.path))

    def do_PUT(self) -> None:
        self._say(self.server.answer(self.rfile.read(int(self.headers["Content-Length"]))))

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_provider_must_name_itself_and_show_certificates(liar: Liar) -> None:
    trust = msgspec.structs.replace(AZURE_US, maa_hosts=(liar.url,))
    assert describe_provider(trust=trust, maa_url=liar.url).signing_keys == 1
    for changes, check in (
        ({"issuer": "https://other.example"}, "T05"),
        ({"issuer": None}, "T05"),
        ({"metadata": [liar.url]}, "T05"),
        ({"metadata": liar.url}, "T05"),
        ({"x5c": ["AAAA"]}, "T03"),
    ):
        liar.changes = dict(changes)
        assert refused(lambda: describe_provider(trust=trust, maa_url=liar.url)).check == check


def told(liar: Liar, **changes: object) -> StoredPolicy:
    liar.changes = {name.replace("_", "-"): value for name, value in changes.items()}
    trust = msgspec.structs.replace(AZURE_US, maa_hosts=(liar.url,))
    credential = SignedIn("x")
    return write_policy(
        "AzureGuest", build_policy(), trust=trust, maa_url=liar.url, credential=credential, signer=None, now=time.time()
    )


def test_a_confirmation_must_be_the_providers_and_of_this_policy(liar: Liar) -> None:
    assert told(liar).hash == policy_hash(build_policy())
    assert refused(lambda: told(liar, iss="https://other.example")).check == "T05"
    assert refused(lambda: told(liar, exp=int(time.time()) - 61)).check == "T06"
    assert refused(lambda: told(liar, exp=str(int(time.time()) + 60))).check == "T06"
    assert refused(lambda: told(liar, x_ms_policy_result="Removed")).check == "provider-policy"
    assert refused(lambda: told(liar, x_ms_policy_token_hash=policy_hash(build_policy()))).check == "provider-policy"
    for name, check in (("iss", "T05"), ("exp", "T06"), ("x-ms-policy-result", "provider-policy")):
        liar.drop = name
        assert refused(lambda: told(liar)).check == check
    liar.drop, liar.key = "", rsa.generate_private_key(65537, 2048)
    assert refused(lambda: told(liar)).check == "T04"


def test_an_answer_that_is_too_old(simulation: Simulation) -> None:
    assert refused(lambda: read(simulation, now=time.time() + 28800 + 120)).check == "T06"


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "e30.e30.",
        "e30.eyJBdHRlc3RhdGlvblBvbGljeSI6MX0.",
        "e30.eyJBdHRlc3RhdGlvblBvbGljeSI6IiEifQ.",
    ],
)
def test_statements_that_hold_no_policy(statement: str) -> None:
    assert refused(lambda: _stored(statement)).fault is Fault.TOKEN_INVALID


@pytest.mark.parametrize(
    ("algorithm", "signature", "signed"),
    [("RS256", "AAAA", True), ("RS256", "", False), ("none", "AAAA", False), ("none", "", False)],
)
def test_a_policy_is_signed_by_an_algorithm_and_a_signature(algorithm: str, signature: str, signed: bool) -> None:
    parts = (b64url(msgspec.json.encode(part)) for part in ({"alg": algorithm}, {"AttestationPolicy": b64url(b"a")}))
    stored = _stored(".".join((*parts, signature)))
    assert stored is not None
    assert (stored.text, stored.signed) == (b"a", signed)


@pytest.mark.parametrize(
    "statement", ["eyJhbGciOiJub25lIn0..", "eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6IiJ9."]
)
def test_no_policy_at_all(statement: str) -> None:
    assert _stored(statement) is None


# ---------------------------------------------------------------- the operator's verbs


@pytest.fixture
def signed_in(simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Azure CLI of an operator: a program called az that answers as `az account get-access-token` does."""
    answer = {"accessToken": operator(simulation), "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}
    program = tmp_path / "az"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{json.dumps(answer)}\nEOF\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def cji(simulation: Simulation, *arguments: str | Path) -> Result:
    words = ["provider", *(str(one) for one in arguments), "--cloud", "simulation"]
    return CliRunner().invoke(build(simulation.trust), words, catch_exceptions=False)


def test_show(simulation: Simulation) -> None:
    shown = cji(simulation, "show", simulation.maa_url)
    assert shown.exit_code == 0
    assert f"issuer  {simulation.maa_url}\n" in shown.stdout
    assert shown.stdout.count("key     ") == 2
    assert "self-signed, until " in shown.stdout
    assert "below a CA, until " in shown.stdout
    told = answered(cji(simulation, "show", simulation.maa_url, "--json"), Provider)
    assert (told.issuer, [key.self_signed for key in told.keys].count(True)) == (simulation.maa_url, 1)
    assert all(f"SHA-256 {key.spki_sha256}\n" in shown.stdout for key in told.keys)
    elsewhere = cji(simulation, "show", "https://agency.eus.attest.azure.net")
    assert (elsewhere.exit_code, "--cloud" in elsewhere.stderr) == (2, True)
    simulation.fault(Service.MAA, Kind.STATUS, status=503)
    assert cji(simulation, "show", simulation.maa_url).exit_code == 4
    simulation.clear_faults()


@pytest.mark.usefixtures("signed_in")
def test_policies_are_shown_set_and_compared(simulation: Simulation, tmp_path: Path) -> None:
    before = tmp_path / "before.txt"
    shown = cji(simulation, "policy", "show", simulation.maa_url, "--expect", SHIPPED)
    assert shown.exit_code == 3
    assert f"SevSnpVm    {DEFAULT}  not signed\n" in shown.stdout
    assert "weak        MP10, MP15\n" in shown.stdout
    assert policy_hash(SHIPPED.read_bytes()) in shown.stderr
    both = cji(simulation, "policy", "show", simulation.maa_url, "--expect", SHIPPED, "--json")
    told = answered(both, PoliciesInForce, status=3)
    assert told.policies["SevSnpVm"] == PolicyInForce(policy_hash=DEFAULT, signed=False)
    assert told.weaknesses == ("MP10", "MP15")
    assert refusal(both).reason == "UNVERIFIED"
    before.write_bytes(cji(simulation, "policy", "show", simulation.maa_url, "--text").stdout_bytes)
    assert before.read_bytes().startswith(b"version= 1.0;")
    key, certificate = (tmp_path / name for name in ("signer.key", "signer.pem"))
    key.write_bytes(pems()[0])
    certificate.write_bytes(pems()[1])
    signer: list[str | Path] = ["--signing-key", key, "--certificate", certificate]
    original = read(simulation)
    assert original is not None
    try:
        taken = cji(simulation, "policy", "set", simulation.maa_url, SHIPPED, *signer)
        assert (taken.exit_code, taken.stdout.strip()) == (0, policy_hash(SHIPPED.read_bytes()))
        same = cji(simulation, "policy", "set", simulation.maa_url, SHIPPED, *signer, "--json")
        assert answered(same, PolicyHash).policy_hash == taken.stdout.strip()
        again = cji(simulation, "policy", "show", simulation.maa_url, "--expect", SHIPPED)
        assert again.exit_code == 0
        assert f"AzureGuest  {taken.stdout.strip()}  signed\n" in again.stdout
        assert "weak        nothing found\n" in again.stdout
    finally:
        write(simulation, original.text)


@pytest.mark.usefixtures("signed_in")
def test_a_weak_policy_and_half_a_signer_are_not_sent(simulation: Simulation, tmp_path: Path) -> None:
    weak = tmp_path / "weak.txt"
    for text, rule in ((b"version= 1.0;authorizationrules{=> permit();};", "MP10"), (b"version", "MP41")):
        weak.write_bytes(text)
        found = cji(simulation, "policy", "set", simulation.maa_url, weak)
        assert (found.exit_code, f"not sent: {rule}" in found.stderr) == (2, True)
    assert cji(simulation, "policy", "set", simulation.maa_url, SHIPPED, "--signing-key", weak).exit_code == 2
    broken = cji(simulation, "policy", "set", simulation.maa_url, SHIPPED, "--signing-key", weak, "--certificate", weak)
    assert (broken.exit_code, "policy-signer" in broken.stderr) == (2, True)


def test_nobody_is_signed_in(simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sh", "cat"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path))
    for verb in (["show", simulation.maa_url], ["set", simulation.maa_url, SHIPPED]):
        found = cji(simulation, "policy", *verb)
        assert (found.exit_code, "az login" in found.stderr) == (1, True)


@pytest.mark.parametrize("verb", [["show"], ["policy", "show"], ["policy", "set"]])
def test_help_teaches_with_examples(simulation: Simulation, verb: list[str]) -> None:
    found = CliRunner().invoke(build(simulation.trust), ["provider", *verb, "--help"])
    assert f"cji provider {' '.join(verb)} " in found.stdout
