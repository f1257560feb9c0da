"""The readers of `attestation`: what a host, a TPM, Azure Attestation, Key Vault or Intel's service may send.

Verifiers are fed twice: with damaged bytes, which only the sound ones may pass, and with damaged content under a true
signature, which must pass only where it still says what the verdict needs.
"""

import base64
import contextlib
import functools
import hashlib
import http.client
import json
import os
import random
import re
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_attestation import AZURE_US, AttestationError, Fault
from cji_attestation.appraisal import Verdict
from cji_attestation.appraisal.advisories import read_acceptance, read_table
from cji_attestation.appraisal.advisories.cve import read_cve
from cji_attestation.appraisal.advisories.signed import sign_statement
from cji_attestation.appraisal.ak_certificate import check_ak_issuer
from cji_attestation.appraisal.snp import Endorsement, check_not_revoked, verify_chain
from cji_attestation.errors import Record
from cji_attestation.evidence import (
    Evidence,
    MeasuredBoot,
    TdCollateral,
    TdStatements,
    ak_chain,
    gather,
    parse_attest,
    parse_hcl,
    parse_rsa_public,
    parse_snp_report,
    parse_td_quote,
    parse_td_report,
    root_of,
)
from cji_attestation.evidence.collect import _der as trim_certificate
from cji_attestation.evidence.imds import amd_certificates, region, td_quote
from cji_attestation.evidence.pck import pck_subject
from cji_attestation.evidence.pcs import _ends as collateral_ends
from cji_attestation.evidence.pcs import _signed as signed_statement
from cji_attestation.fetch import exchange
from cji_attestation.maa import SigningKeys, open_reply, parse_jwks, verify_token
from cji_attestation.provider_policy import build as build_maa
from cji_attestation.provider_policy import lint as lint_maa
from cji_attestation.provider_policy import parse_policy as parse_maa
from cji_attestation.release import KeySpec
from cji_attestation.release.hsm import _attributes
from cji_attestation.release.keyspec import locate
from cji_attestation.release.policy import build, lint, parse_policy
from cji_attestation.release.statement import verify_statement
from cji_attestation.release.unwrap import unwrap_into
from cji_attestation.strict import load_der, load_pem_chain, parse_object, rsa_from_jwk, split_jws
from cji_attestation.trust import Endpoint, endpoint
from cji_core.jose import UnverifiedJws
from cji_core.strict import b64url_decode
from cji_simulator import jws
from cji_simulator.certificates import Credential, authority, leaf, pem
from cji_simulator.encoding import b64, b64url, rsa_jwk
from cji_simulator.operator import operator
from cji_simulator.statement import key_hsm, signed
from tests.fuzz.engine import Target
from tests.fuzz.mutators import BYTES, DER, IN_PLACE, JSON, JWS, SIZED, TEXT, WORDS
from tests.support.forge import (
    ISSUER,
    QUALIFYING,
    crl,
    decided,
    machine,
    sign,
)
from tests.support.hsm_forge import attributes, bundle
from tests.support.hsm_forge import statement as hsm_statement
from tests.support.hsm_forge import verify as verify_hsm
from tests.support.tdx_forge import intel, raw_signature, td_report

__all__ = ["ATTESTATION"]

EVIDENCE_REFUSALS: Final = (AttestationError,)
KEK: Final = "https://cji.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef"
STATEMENT_NONCE: Final = "bm9uY2U"
Read = Callable[[bytes], object]
Corpus = Callable[[], tuple[bytes, ...]]


def always(_: bytes, __: object) -> bool:
    """A value is as good as a refusal: what it says is judged elsewhere."""
    return True


def only(corpus: Corpus) -> Callable[[bytes, object], bool]:
    """Accepted is what was signed, to the byte."""
    return lambda data, _: data in corpus()


def text(data: bytes) -> str:
    """Bytes as a string that any bytes have, and that nothing encodes by mistake."""
    return data.decode("utf-8", "surrogateescape")


def vectors(*names: str) -> tuple[bytes, ...]:
    """Real recordings by their path under CJI_VECTORS; none where it is not set."""
    folder = os.environ.get("CJI_VECTORS")
    return tuple((Path(folder) / "azure" / name).read_bytes() for name in names) if folder else ()


def target(name: str, corpus: Corpus, read: Read, **rest: Any) -> Target:
    """A Target whose corpus is made once."""
    given: dict[str, Any] = {
        "refusals": EVIDENCE_REFUSALS,
        "fair": always,
        "corpus": functools.cache(corpus),
        "read": read,
    }
    return Target(name=name, **(given | rest))


# ---------------------------------------------------------------- corpora


@functools.cache
def snp() -> Evidence:
    return machine().evidence()


@functools.cache
def tdx() -> Evidence:
    return intel().evidence(machine())


@functools.cache
def verdict() -> Verdict:
    return machine().appraise(snp())


@functools.cache
def _reports() -> tuple[bytes, ...]:
    real = vectors(
        "attestation-rs/snp/live-report-v5-genoa.bin", "trustee/snp/test-report.bin", "sidecar/snp_report.bin"
    )
    return parse_hcl(snp().hcl_report).hardware, *real


@functools.cache
def _hcl_reports() -> tuple[bytes, ...]:
    real = vectors(
        "trustee/az-snp-vtpm/hcl-report.bin", "trustee/az-tdx-vtpm/hcl-report.bin", "kinvolk/hcl-report-tdx.bin"
    )
    return snp().hcl_report + bytes(64), tdx().hcl_report, *real


@functools.cache
def _quotes() -> tuple[bytes, ...]:
    return (
        tdx().td_quote,
        intel().quote(td_report(bytes(64)), version=5),
        *vectors("trustee/az-tdx-vtpm/td-quote.bin", "cvm-attestation-tools/td_quote_v5.dat"),
    )


@functools.cache
def _certificates() -> tuple[bytes, ...]:
    chip = machine().chip.vcek.chain
    real = vectors("attestation-rs/az_snp/imds-vcek.der", "cmcp/azure-vtpm-2026-07-27/akcert_0x01C101D0.der")
    return (
        *ak_chain(snp().ak_cert),
        *(one.public_bytes(Encoding.DER) for one in (*chip, intel().pck, intel().ca)),
        *real,
    )


@functools.cache
def _chains() -> tuple[bytes, ...]:
    return (
        snp().certs,
        tdx_collateral().pck_crl_issuer_chain.encode(),
        *vectors("trustee/az-snp-vtpm/vcek.pem", "sidecar/uvm_host_amd_certificate.pem"),
    )


def tdx_collateral() -> TdCollateral:
    collateral = tdx().collateral
    assert isinstance(collateral, TdCollateral)
    return collateral


# ---------------------------------------------------------------- parsers: what a value must say


def _hcl_fair(data: bytes, value: Any) -> bool:
    return bool(value.raw == data[: len(value.raw)]) and not any(data[len(value.raw) :]) and value.claims_bytes in data


def _attest_fair(data: bytes, value: Any) -> bool:
    variable = len(value.signer) + len(value.extra_data)
    if value.kind == "quote":
        return len(data) == 6 + 2 + 2 + variable + 17 + 8 + len(value.selection) + 2 + len(value.digest)
    return len(data) >= 6 + 2 + 2 + variable + 17 + 8 + 2 + len(value.name) + 2


def _public_fair(data: bytes, value: Any) -> bool:
    """Written anew from its parts, it is the same."""
    scheme = b"\0\x14\0\x0b" if value.signing else b"\0\x10"
    body = struct.pack(">HHI", 1, 0x0B, value.attributes) + struct.pack(">H", len(value.policy)) + value.policy
    body += b"\0\x10" + scheme + struct.pack(">H", value.bits)
    modulus = struct.pack(">H", len(value.modulus)) + value.modulus
    forms = {e.to_bytes(4, "big") for e in ({value.exponent, 0} if value.exponent == 65537 else {value.exponent})}
    return data[2:] in {body + form + modulus for form in forms}


def _evidence_fair(data: bytes, value: Any) -> bool:
    return bool(value.to_json() == data)


def _object_fair(data: bytes, value: Any) -> bool:
    text = json.dumps(value, ensure_ascii=False).encode()  # whatever it holds, it can be written down
    return isinstance(value, dict) and json.loads(text) == value == json.loads(data)


def _jws_fair(data: bytes, value: Any) -> bool:
    assert isinstance(value, UnverifiedJws)
    head, payload, signature = data.decode().split(".")
    again = (b64url(value.payload), b64url(value.signature)) == (payload, signature)
    return again and value.header.get("alg") == "RS256" and value.signing_input == f"{head}.{payload}".encode()


def _jwks_fair(data: bytes, value: Any) -> bool:
    named = [one.get("kid") for one in json.loads(data)["keys"] if isinstance(one, dict)]
    return bool(value) and set(value) <= {kid for kid in named if isinstance(kid, str)}


def _endpoint_fair(data: bytes, value: Any) -> bool:
    assert isinstance(value, Endpoint)
    text = data.decode()
    written = re.fullmatch(r"https://([a-z0-9-]+\.vault\.azure\.net)(?::0*443)?(/.*)?", text, re.DOTALL)
    return written is not None and (value.host, value.path) == (written[1], written[2] or "")


def _locate(data: bytes) -> object:
    spec = msgspec.structs.replace(_spec(), kek_id=text(data))
    return locate(spec, trust=AZURE_US)


def _locate_fair(data: bytes, value: Any) -> bool:
    return data.decode() == f"{value.vault.base}/keys/{value.name}/{value.version}"


def _policy(data: bytes) -> object:
    policy = parse_policy(data)
    return policy, lint(policy, trust=AZURE_US)


def _maa_policy(data: bytes) -> object:
    policy = parse_maa(data)
    return policy, lint_maa(policy)


@functools.cache
def _maa_policies() -> tuple[bytes, ...]:
    """The service's own examples in small: both rule sections, claims issued, patterns, JmesPath, comments."""
    return (
        b'version= 1.2;\nconfigurationrules{\n => issueproperty(type="required_pcr_mask", value=15);\n};\n'
        b'authorizationrules{\n c:[type=="x-ms-azurevm-osdistro", value=="Ubuntu"] && [type=="secureboot", '
        b'value==true] => permit();\n /* no */ [type=="a"] => deny();\n};\nissuancerules{\n'
        b' c:[type=="events", issuer=="AttestationService"] => add(type="e", value=JmesPath(c.value, "Events[*]"));\n'
        b' !exists([type=="b", value>=3]) => issue(type="c", value=-1);\n};\n',
    )


@functools.cache
def _policies() -> tuple[bytes, ...]:
    return build("https://cji.eus.attest.azure.net"), *vectors("skr/public_SKR_policy-datadisk.json")


def _statement_body(text: str, signature: bytes, name: str = "tcbInfo") -> bytes:
    return f'{{"{name}":{text},"signature":"{signature.hex()}"}}'.encode()


def _signed_fair(data: bytes, value: Any) -> bool:
    """The text is a piece of the body, and the very value that a reader of the whole body finds."""
    text, signature = value
    body = json.loads(data)
    return (
        text.encode() in data and json.loads(text) == body["tcbInfo"] and signature.hex() == body["signature"].lower()
    )


def _crl_ends(data: bytes) -> object:
    return collateral_ends(msgspec.structs.replace(tdx_collateral(), pck_crl=data))


@functools.cache
def _crls() -> tuple[bytes, ...]:
    revoking = intel().collateral(ca_revokes=(intel().pck,)).pck_crl
    return tdx_collateral().pck_crl, revoking, *vectors("go-tdx-guest/rootcrl.der", "go-tdx-guest/pckcrl")


def _unwrap(data: bytes) -> object:
    """A key that the vault wrapped to us, whatever it is."""
    wrapped = aes_key_wrap_with_padding(bytes(32), data) if data else b""
    buffer = memoryview(bytearray(4096))
    size = unwrap_into(
        bytes(256) + wrapped, buffer, decrypt=lambda _: bytearray(32), public_key=vault_key().public_key()
    )
    return bytes(buffer[:size])


@functools.cache
def _vault_keys() -> tuple[bytes, ...]:
    keys = (vault_key(), ec.generate_private_key(ec.SECP256R1()))
    return tuple(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for key in keys)


def _unwrap_fair(data: bytes, value: Any) -> bool:
    return bool(value == data)


# ---------------------------------------------------------------- HTTP, the instance metadata service


@functools.cache
def _listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _served(data: bytes, ask: Callable[[Endpoint], object]) -> object:
    """What a client makes of `data` as the whole answer of a real server."""
    server = _listener()

    def serve() -> None:
        with server.accept()[0] as peer, contextlib.suppress(OSError), peer.makefile("rb") as request:
            request.readline()
            headers = http.client.parse_headers(request)
            request.read(int(headers.get("Content-Length", 0)))  # closing before it is read would reset the answer
            peer.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        host, port = server.getsockname()
        return ask(Endpoint(scheme="http", host=host, port=port, path="", resource=""))
    finally:
        thread.join()


def _exchange(at: Endpoint) -> object:
    limits: dict[str, Any] = {"limit": 4096, "seconds": 20.0, "fault": Fault.MAA_UNAVAILABLE, "check": "http"}
    return exchange(at, method="GET", path="/", headers={}, body=None, roots=None, **limits)


@functools.cache
def _answers() -> tuple[bytes, ...]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRetry-After: 3\r\nConnection: close\r\n"
    chunked = b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'
    return head + b'Content-Length: 7\r\n\r\n{"a":1}', head + chunked, b"HTTP/1.1 429 No\r\n\r\n"


def _answer_fair(_: bytes, value: Any) -> bool:
    wish = value.retry_after
    return len(value.body) <= 4096 and 100 <= value.status <= 999 and (wish is None or 0 <= wish <= 300)


def _imds(ask: Callable[[Any], object]) -> Read:
    """A client of the metadata service on a well-formed answer with any body."""

    def read(data: bytes) -> object:
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        return _served(head + data, lambda at: ask(msgspec.structs.replace(AZURE_US, imds=at.base)))

    return read


def _quote_reply_fair(data: bytes, value: Any) -> bool:
    return bool(b64url(value) == json.loads(data)["quote"].rstrip("="))


def _region_fair(data: bytes, value: Any) -> bool:
    return bool(value.isascii() and value.isalnum() and value.encode() == data.strip())


@functools.cache
def _thim() -> tuple[bytes, ...]:
    chain = machine().certs.decode().split("-----END CERTIFICATE-----\n")
    parts = [f"{one}-----END CERTIFICATE-----\n" for one in chain if one]
    reply = {"vcekCert": parts[0], "tcbm": "5818000000000a00", "certificateChain": "".join(parts[1:])}
    return json.dumps(reply).encode(), *vectors("sidecar/uvm_host_amd_certificate.json")


# ---------------------------------------------------------------- Azure Attestation


def _claims() -> dict[str, Any]:
    return machine().token_claims(snp())


@functools.cache
def _tokens() -> tuple[bytes, ...]:
    aged = _claims() | {"jti": "another", "x-ms-ver": "1.1"}
    return tuple(machine().token(one).encode() for one in (_claims(), aged))


@functools.cache
def _keys() -> SigningKeys:
    issuer = endpoint(ISSUER, AZURE_US.maa_hosts, resource="", check="x")
    return SigningKeys(issuer=issuer, trust=AZURE_US, fetch=machine().jwks)


def _verify_token(raw: str) -> object:
    return verify_token(
        raw,
        keys=_keys(),
        verdict=verdict(),
        nonce=QUALIFYING.hex(),
        max_age=3600,
        reference=decided(),
        now=machine().now.timestamp(),
    )


def _token_claims(data: bytes) -> object:
    """Any claims under the issuer's true signature."""
    head = b64url(b'{"alg":"RS256","kid":"k1"}')
    text = f"{head}.{b64url(data)}"
    return _verify_token(f"{text}.{b64url(sign(machine().maa, text.encode()))}")


_NEEDED_AT_TOP: Final = (
    *("iss", "secureboot", "x-ms-attestation-type", "x-ms-azurevm-attested-pcrs"),
    *(f"x-ms-azurevm-{name}-enabled" for name in ("bootdebug", "kerneldebug", "hypervisordebug", "testsigning")),
    "x-ms-azurevm-flightsigning-enabled",
)
_NEEDED_OF_HARDWARE: Final = (
    *("x-ms-attestation-type", "x-ms-compliance-status"),
    *(f"x-ms-sevsnpvm-{name}" for name in ("is-debuggable", "migration-allowed", "vmpl", "launchmeasurement")),
    *(f"x-ms-sevsnpvm-{name}" for name in ("reportdata", "bootloader-svn", "tee-svn", "snpfw-svn", "microcode-svn")),
)


def _exactly(value: Any) -> str:
    """Text in which true is not 1 and 1 is not 1.0."""
    return json.dumps(value, sort_keys=True)


def _needed(claims: dict[str, Any]) -> list[str]:
    tee, runtime = claims["x-ms-isolation-tee"], claims["x-ms-runtime"]
    inner = tee["x-ms-runtime"]
    aks = [key["n"] for key in inner["keys"] if key.get("kid") == "HCLAkPub"]
    encrypting = [
        key["n"]
        for key in runtime["keys"]
        if "enc" in (key.get("use"), key.get("key_use")) or "encrypt" in (key.get("key_ops") or ())
    ]
    return [
        *(_exactly(claims.get(name)) for name in _NEEDED_AT_TOP),
        *(_exactly(tee.get(name)) for name in _NEEDED_OF_HARDWARE),
        _exactly(runtime["client-payload"]["nonce"]),
        _exactly(inner["vm-configuration"]["vmUniqueId"]),
        _exactly(aks),
        _exactly(encrypting),
    ]


def _claims_fair(data: bytes, _: object) -> bool:
    """What was accepted says of this machine what the true claims say, and its times hold now."""
    found, true = json.loads(data), _claims()
    now = machine().now.timestamp()
    timely = found["iat"] <= now + 60 and found["nbf"] <= now + 60 and found["exp"] > now - 60
    pcrs = found.get("x-ms-azurevm-attested-pcr-values") in (None, true["x-ms-azurevm-attested-pcr-values"])
    return _needed(found) == _needed(true) and timely and pcrs


def _reply(token: bytes) -> bytes:
    sealed = AESGCM(bytes(32)).encrypt(bytes(12), token, b"Transport Key")
    envelope = {
        "EncryptedInnerKey": b64(bytes(256)),
        "EncryptionParams": {
            "Cipher": "AES",
            "BlockMode": "ChainingModeGCM",
            "KeySizeInBits": 256,
            "Iv": b64(bytes(12)),
        },
        "AuthenticationData": b64(sealed[-16:]),
        "Jwt": b64(sealed[:-16]),
    }
    return json.dumps({"token": b64url(json.dumps(envelope).encode())}).encode()


def _open_reply(data: bytes) -> object:
    return open_reply(data, decrypt=lambda _: bytearray(32))


def _envelope(data: bytes) -> object:
    return _open_reply(json.dumps({"token": b64url(data)}).encode())


@functools.cache
def _envelopes() -> tuple[bytes, ...]:
    outer = json.loads(_reply(_tokens()[0]))["token"]
    return (base64.urlsafe_b64decode(outer + "=" * (-len(outer) % 4)),)


def _reply_fair(_: bytes, value: Any) -> bool:
    return isinstance(value, str) and value.encode() in _tokens()


# ---------------------------------------------------------------- Key Vault


@functools.cache
def vault_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


@functools.cache
def _signer() -> Credential:
    root = authority("root", rsa.generate_private_key(65537, 2048))
    below = authority("issuing", rsa.generate_private_key(65537, 2048), root)
    return leaf("vault", rsa.generate_private_key(65537, 2048), below, hosts=("cji.vault.azure.net",))


def _release_policy() -> bytes:
    return build("https://cji.eus.attest.azure.net")


@functools.cache
def _spec() -> KeySpec:
    return KeySpec(
        kek_id=KEK,
        public_thumbprint=jws.thumbprint(vault_key().public_key()),
        policy_sha256=hashlib.sha256(_release_policy()).hexdigest(),
    )


@functools.cache
def _vault_trust() -> Any:
    return msgspec.structs.replace(AZURE_US, release_roots=pem(_signer().chain[-1]).decode())


@functools.cache
def _released() -> dict[str, Any]:
    key = {
        "kid": KEK,
        **rsa_jwk(vault_key().public_key()),
        "kty": "RSA-HSM",
        "key_ops": ["wrapKey"],
        "key_hsm": key_hsm(kid="k", enc="RSA_AES_KEY_WRAP_256", ciphertext=b"c" * 300),
    }
    policy = {"data": b64url(_release_policy()), "immutable": True}
    attributes = {"enabled": True, "exportable": True}
    return {
        "request": {"api-version": "7.4", "enc": "RSA_AES_KEY_WRAP_256", "kid": KEK, "nonce": STATEMENT_NONCE},
        "response": {"key": {"key": key, "attributes": attributes, "release_policy": policy}},
    }


@functools.cache
def _statements() -> tuple[bytes, ...]:
    return (signed(_released(), _signer()).encode(),)


def _verify_statement(raw: str) -> object:
    trust = _vault_trust()
    return verify_statement(
        raw,
        key=_spec(),
        located=locate(_spec(), trust=trust),
        nonce=STATEMENT_NONCE,
        trust=trust,
        now=machine().now.timestamp(),
    )


@functools.cache
def _statement_header() -> str:
    return _statements()[0].decode().partition(".")[0]


def _statement_payload(data: bytes) -> object:
    """Any payload under the vault's true signature and chain."""
    text = f"{_statement_header()}.{b64url(data)}"
    return _verify_statement(f"{text}.{b64url(sign(_signer().rsa(), text.encode()))}")


def _statement_fair(data: bytes, _: object) -> bool:
    def needed(payload: dict[str, Any]) -> list[str]:
        request, released = payload["request"], payload["response"]["key"]
        key, attributes = released["key"], released["attributes"]
        parts = (
            request["kid"],
            request["nonce"],
            request["enc"],
            key["kid"],
            key["n"],
            released["release_policy"]["data"],
        )
        return [*map(_exactly, parts), _exactly(attributes["enabled"]), _exactly(attributes["exportable"])]

    found = json.loads(data)
    return needed(found) == needed(_released()) and found["response"]["key"]["key"]["kty"] in {"RSA", "RSA-HSM"}


# ---------------------------------------------------------------- appraisal as a whole


def damaged_evidence(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    """One field of a bundle damaged as the thing it is, the bundle itself canonical; blindly, what is no bundle."""
    try:
        fields, others = (msgspec.json.decode(one) for one in (data, donor))
        return _damaged_fields(rng, fields, others)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return rng.choice(BYTES)(rng, data, donor)


def _damaged_fields(rng: random.Random, fields: Any, others: Any) -> bytes:
    nested = isinstance(fields.get("collateral"), dict) and rng.random() < 0.4
    inner, foreign = (
        (fields["collateral"], others.get("collateral") or fields["collateral"]) if nested else (fields, others)
    )
    if nested and isinstance(inner.get("early"), dict) and rng.random() < 0.4:
        inner, foreign = inner["early"], foreign.get("early") or inner["early"]
    name = rng.choice([name for name, value in inner.items() if isinstance(value, str | list) and value])
    if name == "pcrs":
        raw, more = (b"".join(map(_unb64, one[name])) for one in (inner, foreign))
        changed = rng.choice(BYTES)(rng, raw, more)
        inner[name] = [b64(changed[at : at + 32]) for at in range(0, len(changed), 32)]
    elif name == "tee":
        inner[name] = rng.choice(("snp", "tdx", "sgx", ""))
    elif name.endswith("chain") or name in {"tcb_info", "qe_identity"}:
        mutators = TEXT if name.endswith("chain") else JSON
        text = rng.choice(mutators)(rng, inner[name].encode(), foreign.get(name, inner[name]).encode())
        inner[name] = text.decode("utf-8", "replace")
    else:
        kinds = {"certs": TEXT, "ak_cert": DER, "pck_crl": DER, "root_ca_crl": DER}
        raw, more = (_unb64(one.get(name) or "") for one in (inner, foreign))
        inner[name] = b64(rng.choice(kinds.get(name, SIZED))(rng, raw, more))
    return msgspec.json.encode(fields)


def _unb64(text: str) -> bytes:
    return base64.b64decode(text)


def _appraise_snp(data: bytes) -> object:
    return machine().appraise(Evidence.from_json(data))


def _appraise_tdx(data: bytes) -> object:
    return machine().appraise(Evidence.from_json(data), trust=intel().trust)


def meaning(evidence: Evidence) -> object:
    """The bundle without what no check can or need look at.

    * A missing AK certificate: the verdict states that the hardware report alone vouches for the key.
    * The MAC of a TDREPORT: only the processor that made it can check it; what it covers is repeated by the quote.
    * The versions of HCL report (1 or 2) and TDREPORT (0 or 1), which add no field that is read; nothing signs them.
    * Of certificates all but what is signed, and the signature; of PEM the white space; zeros behind a TD quote.
    * The words of event logs: their digests are those that lead to the quoted PCRs.
    """
    hcl = bytearray(evidence.hcl_report)
    hcl[4] = 0
    quote = evidence.td_quote.rstrip(b"\0")
    pcks: list[object] = []
    collateral: object = evidence.collateral
    boot: object = evidence.boot
    if isinstance(evidence.boot, MeasuredBoot):
        boot = (evidence.boot.quote, evidence.boot.quote_signature, evidence.boot.pcrs)
    if evidence.tee == "tdx" and isinstance(evidence.collateral, TdCollateral):
        hcl[32 + 224 : 32 + 256], hcl[32 + 2] = bytes(32), 0
        chain = parse_td_quote(evidence.td_quote).pck_chain
        pcks, quote = _signed_parts(chain), quote.replace(chain, b"")
        collateral = _collateral_meaning(evidence.collateral)
    return (
        msgspec.structs.asdict(evidence)
        | {
            "hcl_report": bytes(hcl),
            "td_quote": quote,
            "collateral": collateral,
            "boot": boot,
            "ak_cert": evidence.ak_cert or machine().ak_cert,
            "certs": _signed_parts(evidence.certs),
        },
        pcks,
    )


def _collateral_meaning(statements: TdCollateral | TdStatements) -> dict[str, object]:
    fields: dict[str, Any] = msgspec.structs.asdict(statements)
    early = fields.get("early")
    shown = {"early": _collateral_meaning(early)} if isinstance(early, TdStatements) else {}
    chains = {name: _signed_parts(text.encode()) for name, text in fields.items() if name.endswith("chain")}
    return fields | chains | shown


def _signed_parts(chain: bytes) -> list[object]:
    found = load_pem_chain(chain, fault=Fault.EVIDENCE_INVALID, check="x") if chain else ()
    return [(one.tbs_certificate_bytes, one.signature) for one in found]


def _same_evidence(data: bytes, _: object) -> bool:
    evidence = Evidence.from_json(data)
    return meaning(evidence) == meaning(snp() if evidence.tee == "snp" else tdx())


def _report_signed_anew(data: bytes) -> object:
    """Any report of which the chip says that it is its own."""
    body = data[:0x2A0]
    vcek = machine().chip.vcek.key
    assert isinstance(vcek, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(vcek.sign(body, ec.ECDSA(hashes.SHA384())))
    report = body + r.to_bytes(72, "little") + s.to_bytes(72, "little") + data[0x330:]
    hcl = snp().hcl_report
    return machine().appraise(msgspec.structs.replace(snp(), hcl_report=hcl[:32] + report + hcl[32 + 1184 :]))


def _report_fair(data: bytes, _: object) -> bool:
    true = _reports()[0]
    policy = int.from_bytes(data[8:16], "little")
    safe = not policy >> 18 & 3 and data[0x30:0x34] == bytes(4)
    bound = all(data[at:end] == true[at:end] for at, end in ((0x50, 0x90), (0x180, 0x188), (0x1A0, 0x1E0)))
    levels = (data[at : at + 8] for at in (0x1E0, 0x1F0))
    return safe and bound and any(data[0x90:0xC0]) and all(_reaches(one) for one in levels)


def _reaches(tcb: bytes) -> bool:
    """Genoa's floor, component by component."""
    return tcb[0] >= 10 and tcb[6] >= 23 and tcb[7] >= 84


def _statement_signed_anew(name: str) -> Read:
    """Any TCB info or QE identity of which Intel says that it is its own."""

    def read(data: bytes) -> object:
        said = data.decode("utf-8", "replace")
        changed = {name: said, f"{name}_signature": raw_signature(intel().tcb_key, said.encode())}
        collateral = msgspec.structs.replace(tdx_collateral(), **changed)
        return machine().appraise(msgspec.structs.replace(tdx(), collateral=collateral), trust=intel().trust)

    return read


def _quote_signed_anew(data: bytes) -> object:
    """Any enclave report and authentication data under the PCK's true signature."""
    quote = bytearray(tdx().td_quote)
    at = 48 + 584 + 4 + 128 + 6
    quote[at : at + 384] = data[:384].ljust(384, b"\0")
    quote[at + 384 : at + 448] = raw_signature(intel().pck_key, bytes(quote[at : at + 384]))
    return machine().appraise(msgspec.structs.replace(tdx(), td_quote=bytes(quote)), trust=intel().trust)


@functools.cache
def _enclave_report() -> tuple[bytes, ...]:
    at = 48 + 584 + 4 + 128 + 6
    return (tdx().td_quote[at : at + 384],)


@functools.cache
def _endorsement() -> Endorsement:
    return verify_chain(snp().certs, roots=machine().trust.amd_roots, now=machine().now, record=Record())


@functools.cache
def _amd_crls() -> tuple[bytes, ...]:
    return crl(), crl(17, 18)


def _signed_table(data: bytes) -> object:
    return read_table(data, (operator().key.public_key(),))


def _signed_acceptance(data: bytes) -> object:
    return read_acceptance(data, (operator().key.public_key(),))


@functools.cache
def _acceptances() -> tuple[bytes, ...]:
    return operator().acceptance(), operator().acceptance("INTEL-SA-01036", machines=("TDX",))


def _payloads(documents: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(b64url_decode(one.decode().split(".")[1]) for one in documents)


def _acceptance_signed_again(data: bytes) -> object:
    return _signed_acceptance(sign_statement("cji-acceptance", data, operator().key))


def _table_signed_again(data: bytes) -> object:
    return _signed_table(sign_statement("cji-advisories", data, operator().key))


def _as_read(data: bytes, found: object) -> bool:
    return msgspec.json.encode(found) == data


def _without_line_feeds(documents: Corpus) -> Callable[[bytes, object], bool]:
    return lambda data, _: data.rstrip(b"\n") in documents()


_TABLES: Final = functools.cache(lambda: (operator().table(),))


def _cve_records() -> tuple[bytes, ...]:
    affected = {
        "vendor": "AMD",
        "product": "EPYC 9004",
        "versions": [{"version": "GenoaPI 1.0.0.H", "status": "unaffected"}],
    }
    cna = {"title": "t", "affected": [affected], "references": [{"url": "https://amd.com/amd-sb-3039.html"}]}
    about = {"cveId": "CVE-2025-54509", "state": "PUBLISHED", "dateUpdated": "2026-11-12T00:00:00Z"}
    return (json.dumps({"dataType": "CVE_RECORD", "cveMetadata": about, "containers": {"cna": cna}}).encode(),)


def _amd_crl(data: bytes) -> object:
    check_not_revoked(_endorsement(), data, now=machine().now)
    return data


def _chain_of_snp(data: bytes) -> object:
    return verify_chain(data, roots=machine().trust.amd_roots, now=machine().now, record=Record())


def _same_chain(data: bytes, _: object) -> bool:
    return _signed_parts(data) == _signed_parts(snp().certs)


def _pck(data: bytes) -> object:
    return pck_subject(data)


ATTESTATION: Final = (
    target("hcl", _hcl_reports, parse_hcl, fair=_hcl_fair, mutators=SIZED, weight=40),
    target("snp-report", _reports, parse_snp_report, weight=60),
    target("td-report", lambda: (parse_hcl(tdx().hcl_report).hardware,), parse_td_report, weight=60),
    target("td-quote", _quotes, parse_td_quote, mutators=SIZED, weight=50),
    target("nonce-path", lambda: gather([bytes([n]) * 32 for n in range(5)])[1], lambda p: root_of(bytes(32), p)),
    target("attest", lambda: (snp().quote, snp().certify), parse_attest, fair=_attest_fair, mutators=SIZED, weight=60),
    target(
        "rsa-public",
        lambda: (snp().ephemeral, snp().ak_public),
        parse_rsa_public,
        fair=_public_fair,
        mutators=SIZED,
        weight=60,
    ),
    target("ak-cert", lambda: (ak_chain(snp().ak_cert)[0] + bytes(200),), trim_certificate, mutators=DER, weight=40),
    target(
        "evidence", lambda: (snp().to_json(), tdx().to_json()), Evidence.from_json, fair=_evidence_fair, mutators=JSON
    ),
    target(
        "object",
        lambda: (msgspec.json.encode(_claims()), b'{"a":[1,{"b":null}],"c":"\\u00e9"}'),
        lambda data: parse_object(data, limit=1 << 16, fault=Fault.TOKEN_INVALID, check="x"),
        fair=_object_fair,
        mutators=JSON,
        weight=40,
    ),
    target(
        "jws",
        _tokens,
        lambda data: split_jws(
            text(data),
            limit=1 << 16,
            fault=Fault.TOKEN_INVALID,
            check="T01",
            header_check="T02",
        ),
        fair=_jws_fair,
        mutators=JWS,
        weight=40,
    ),
    target("jwks", lambda: (machine().jwks(),), parse_jwks, fair=_jwks_fair, mutators=JSON, weight=30),
    target(
        "jwk",
        lambda: (json.dumps(rsa_jwk(machine().maa.public_key())).encode(),),
        lambda data: rsa_from_jwk(
            parse_object(data, limit=8192, fault=Fault.TOKEN_INVALID, check="x"), fault=Fault.TOKEN_INVALID, check="x"
        ),
        mutators=JSON,
        weight=30,
    ),
    target("reply", lambda: (_reply(_tokens()[0]),), _open_reply, fair=_reply_fair, mutators=JSON, weight=20),
    target("envelope", _envelopes, _envelope, fair=_reply_fair, mutators=JSON, weight=20),
    target("key-policy", _policies, _policy, mutators=JSON, weight=20),
    target(
        "url",
        lambda: (KEK.encode(), b"https://x.vault.azure.net:443/"),
        lambda data: endpoint(text(data), (".vault.azure.net",), resource="", check="url"),
        fair=_endpoint_fair,
        mutators=TEXT,
        weight=40,
    ),
    target("kek", lambda: (KEK.encode(),), _locate, fair=_locate_fair, mutators=TEXT, weight=40),
    target(
        "certificate",
        _certificates,
        lambda data: load_der(data, fault=Fault.EVIDENCE_INVALID, check="x"),
        mutators=DER,
        weight=40,
    ),
    target(
        "pem",
        _chains,
        lambda data: load_pem_chain(data, fault=Fault.EVIDENCE_INVALID, check="x"),
        mutators=TEXT,
        weight=20,
    ),
    target("pck", lambda: (parse_td_quote(tdx().td_quote).pck_chain,), _pck, mutators=TEXT, weight=10),
    target(
        "pcs-statement",
        lambda: (_statement_body(tdx_collateral().tcb_info, tdx_collateral().tcb_info_signature),),
        lambda data: signed_statement(data, "tcbInfo", "pcs-tcb"),
        fair=_signed_fair,
        mutators=JSON,
        weight=20,
    ),
    target("pcs-crl", _crls, _crl_ends, mutators=DER, weight=20),
    target("http", _answers, lambda data: _served(data, _exchange), fair=_answer_fair, mutators=TEXT, weight=4),
    target("imds-thim", _thim, _imds(amd_certificates), mutators=JSON, weight=2),
    target(
        "imds-quote",
        lambda: (json.dumps({"quote": b64url(tdx().td_quote)}).encode(),),
        _imds(lambda trust: td_quote(trust, bytes(1024))),
        fair=_quote_reply_fair,
        mutators=JSON,
        weight=2,
    ),
    target("imds-region", lambda: (b"eastus",), _imds(region), fair=_region_fair, mutators=TEXT, weight=2),
    target("maa-policy", lambda: (build_maa(), *_maa_policies()), _maa_policy, mutators=WORDS, weight=10),
    target(
        "ak-chain",
        lambda: (machine().ak_cert,),
        lambda data: check_ak_issuer(data, added=decided().vtpm_roots, now=machine().now),
        fair=lambda data, _: data in {b"", machine().ak_cert},  # with nothing, the verdict states that
        mutators=DER,
        weight=10,
    ),
    target(
        "hsm-attestation",
        lambda: (bundle(),),
        verify_hsm,
        mutators=JSON,
        weight=4,
    ),
    target(
        "hsm-statement",
        lambda: (hsm_statement(attributes(private=True))[:-256],),
        lambda data: _attributes(data + bytes(256)),
        fair=lambda _, value: isinstance(value, dict),
        mutators=SIZED,
        weight=30,
    ),
    target(
        "acceptance",
        _acceptances,
        _signed_acceptance,
        refusals=(ValueError,),
        fair=_without_line_feeds(_acceptances),
        mutators=JWS,
        weight=10,
    ),
    target(
        "advisory-table",
        _TABLES,
        _signed_table,
        refusals=(ValueError,),
        fair=_without_line_feeds(_TABLES),
        mutators=JWS,
        weight=2,
    ),
    target(
        "acceptance-resigned",
        lambda: _payloads(_acceptances()),
        _acceptance_signed_again,
        refusals=(ValueError,),
        fair=_as_read,
        mutators=JSON,
        weight=4,
    ),
    target(
        "table-resigned",
        lambda: _payloads(_TABLES()),
        _table_signed_again,
        refusals=(ValueError,),
        fair=_as_read,
        mutators=JSON,
        weight=1,
    ),
    target("cve", _cve_records, read_cve, refusals=(ValueError,), mutators=JSON, weight=20),
    target("amd-crl", _amd_crls, _amd_crl, fair=only(_amd_crls), mutators=DER, weight=10),
    target("unwrap", _vault_keys, _unwrap, fair=_unwrap_fair, mutators=DER, weight=1),
    target(
        "token",
        _tokens,
        lambda data: _verify_token(text(data)),
        fair=only(_tokens),
        mutators=JWS,
    ),
    target(
        "token-claims",
        lambda: (json.dumps(_claims(), separators=(",", ":")).encode(),),
        _token_claims,
        fair=_claims_fair,
        mutators=JSON,
        weight=4,
    ),
    target(
        "statement",
        _statements,
        lambda data: _verify_statement(text(data)),
        fair=only(_statements),
        mutators=JWS,
        weight=6,
    ),
    target(
        "statement-payload",
        lambda: (json.dumps(_released(), separators=(",", ":")).encode(),),
        _statement_payload,
        fair=_statement_fair,
        mutators=JSON,
        weight=2,
    ),
    target("amd-chain", lambda: (snp().certs,), _chain_of_snp, fair=_same_chain, mutators=TEXT, weight=6),
    target(
        "appraise-snp",
        lambda: (snp().to_json(),),
        _appraise_snp,
        fair=_same_evidence,
        mutators=(damaged_evidence,),
        weight=10,
    ),
    target("snp-resigned", _reports, _report_signed_anew, fair=_report_fair, mutators=IN_PLACE, weight=4),
    target(
        "appraise-tdx",
        lambda: (tdx().to_json(),),
        _appraise_tdx,
        fair=_same_evidence,
        mutators=(damaged_evidence,),
        weight=6,
    ),
    target(
        "tcb-info-resigned",
        lambda: (tdx_collateral().tcb_info.encode(),),
        _statement_signed_anew("tcb_info"),
        mutators=JSON,
        weight=2,
    ),
    target(
        "qe-id-resigned",
        lambda: (tdx_collateral().qe_identity.encode(),),
        _statement_signed_anew("qe_identity"),
        mutators=JSON,
        weight=2,
    ),
    target("quote-resigned", _enclave_report, _quote_signed_anew, mutators=IN_PLACE, weight=2),
)


@functools.cache
def _real_jwks() -> tuple[bytes, ...]:
    return ()
