"""The AzureGuest exchange: the request of real systems, and replies that are not what the service would send."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cji_attestation import AZURE_US, Fault
from cji_attestation.evidence import Evidence, parse_hcl
from cji_attestation.maa import guest, guest_request, open_reply, send_request
from cji_attestation.trust import endpoint
from cji_simulator.encoding import b64, b64url, unb64, unb64url
from tests.support.answers import Answers, serving
from tests.support.forge import machine
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel

TOKEN = "header.payload.signature"
INNER = bytes(range(32))


def request(evidence: Evidence | None = None) -> dict[str, Any]:
    body = guest_request(evidence or machine().evidence(), nonce="1234", log=b"log")
    info: dict[str, Any] = json.loads(unb64url(json.loads(body)["AttestationInfo"]))
    return info


def test_the_parts_are_where_the_service_looks_for_them() -> None:
    evidence = machine().evidence()
    info = request(evidence)
    tpm = {name: unb64(value) for name, value in info["TpmInfo"].items() if isinstance(value, str)}
    assert tpm["AikPub"] == evidence.ak_public
    assert tpm["PcrQuote"] == evidence.quote
    assert tpm["EncKeyPub"] == evidence.ephemeral
    assert info["TpmInfo"]["PCRs"][7] == {"Index": 7, "Digest": b64(evidence.pcrs[7])}
    assert (info["ClientPayload"], unb64(info["TcgLogs"])) == ({"nonce": "MTIzNA=="}, b"log")
    proof = json.loads(unb64(info["IsolationInfo"]["Evidence"]["Proof"]))
    assert info["IsolationInfo"]["Type"] == "SevSnp"
    assert unb64url(proof["SnpReport"]) == parse_hcl(evidence.hcl_report).hardware
    assert unb64(proof["VcekCertChain"]) == evidence.certs


def test_a_trust_domain_shows_its_quote() -> None:
    evidence = intel().evidence(machine())
    isolation = request(evidence)["IsolationInfo"]
    assert isolation["Type"] == "Tdx"
    assert unb64(isolation["Evidence"]["Proof"]) == evidence.td_quote
    assert unb64(isolation["Evidence"]["RunTimeData"]) == parse_hcl(evidence.hcl_report).claims_bytes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'NAME="Ubuntu"\nVERSION_ID="24.04"\n', ("Ubuntu", 24, 4)),
        (b'NAME="Red Hat Enterprise Linux"\nVERSION_ID="9.6"\n', ("Red Hat Enterprise Linux", 9, 6)),
        (b'NAME="SLES"\nVERSION_ID="15.7"\n', ("SLES", 15, 7)),
        (b"NAME=Debian\nVERSION_ID=12\n", ("Debian", 12, 0)),
        (b"VERSION_ID=rolling.x\n", ("Linux", 0, 0)),
        ("VERSION_ID=1.²\n".encode(), ("Linux", 1, 0)),  # a digit that is no number
        (b"NAME=\xff\n", ("Linux", 0, 0)),
        (None, ("Linux", 0, 0)),
    ],
)
def test_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes | None, said: object) -> None:
    if text is not None:
        (tmp_path / "os-release").write_bytes(text)
    monkeypatch.setattr(guest, "OS_RELEASE", tmp_path / "os-release")
    info = request()
    assert (unb64(info["OSDistro"]).decode(), info["OSVersionMajor"], info["OSVersionMinor"]) == said
    assert (unb64(info["OSType"]), unb64(info["OSBuild"])) == (b"Linux", b"NotApplication")


def reply(
    *,
    parameters: dict[str, object] | None = None,
    key: bytes = INNER,
    iv: bytes = bytes(range(12)),
    tag: int = 16,
    **members: object,
) -> bytes:
    """The last `tag` bytes of what is sealed are in AuthenticationData, whatever their number."""
    sealed = AESGCM(key).encrypt(iv, TOKEN.encode(), b"Transport Key")
    cipher = {"BlockMode": "ChainingModeGCM", "BlockPadding": "PKCS7", "Cipher": "AES", "KeySizeInBits": 256}
    envelope = {
        "EncryptedInnerKey": b64(bytes(256)),
        "EncryptionParams": {**cipher, "Iv": b64(iv), **(parameters or {})},
        "AuthenticationData": b64(sealed[-tag:]),
        "Jwt": b64(sealed[:-tag]),
    }
    return outer(json.dumps(envelope | members).encode())


def outer(envelope: bytes) -> bytes:
    return json.dumps({"token": b64url(envelope)}).encode()


def opened(data: bytes, key: bytes = INNER) -> tuple[str, bytearray]:
    released = bytearray(key)
    return open_reply(data, decrypt=lambda _: released), released


def test_a_reply_is_opened_and_its_key_wiped() -> None:
    token, key = opened(reply())
    assert token == TOKEN
    assert key == bytes(32)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"token":"!"}',
        b'{"token":1}',
        outer(b"[]"),
        outer(b"{}"),
        reply(parameters={"Cipher": "DES"}),
        reply(parameters={"BlockMode": "ChainingModeCBC"}),
        reply(parameters={"KeySizeInBits": 128}),
        reply(parameters={"Iv": None}),
        reply(parameters={"Iv": "!"}),
        reply(iv=bytes(16)),
        reply(tag=17),
        reply(tag=15),
        reply(EncryptionParams=None),
        reply(EncryptedInnerKey=b64(bytes(128))),
        reply(EncryptedInnerKey="!"),
        reply(AuthenticationData=b64(bytes(12))),
        reply(AuthenticationData=b64(bytes(16))),
        reply(Jwt=b64(b"other")),
        reply(Jwt=None),
    ],
)
def test_replies_that_are_refused(data: bytes) -> None:
    with rejected("maa-reply", fault=Fault.TOKEN_INVALID):
        opened(data)


@pytest.mark.parametrize("key", [b"", bytes(16), bytes(33), bytes(32)])
def test_another_key_opens_nothing(key: bytes) -> None:
    released = bytearray(key)
    with rejected("maa-reply"):
        open_reply(reply(), decrypt=lambda _: released)
    assert not any(released)


@pytest.mark.parametrize("size", [16, 24])
def test_a_shorter_key_opens_nothing_although_it_was_sealed_with(size: int) -> None:
    with rejected("maa-reply", fault=Fault.TOKEN_INVALID):
        opened(reply(key=INNER[:size]), INNER[:size])


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        *((status, Fault.MAA_REFUSED) for status in (400, 401, 403)),
        *((status, Fault.MAA_UNAVAILABLE) for status in (201, 204, 302, 404, 429, 500, 503)),
    ],
)
def test_a_status_that_is_not_200_is_no_reply(status: int, fault: Fault) -> None:
    with serving(Answers({"/attest/AzureGuest": ({"Retry-After": "7"}, b"")}, status=status)) as served:
        provider = endpoint(served.base, (served.base,), resource="", check="maa-url")
        with rejected() as caught:
            send_request(b"{}", provider=provider, trust=AZURE_US)
    assert (caught.value.fault, caught.value.check, caught.value.retry_after) == (fault, f"maa-{status}", 7.0)
    assert served.asked == [("POST", guest.PATH, b"{}")]
