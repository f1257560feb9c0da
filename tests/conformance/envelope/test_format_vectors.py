"""The published vectors, read by a second implementation of docs/format.md and by the worker's own code."""

import hashlib
import io
import json
import struct
from base64 import b64decode
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cji_core.format.columns import open_keys, parse_column_keys, verify_statement
from cji_core.format.envelope import (
    ATTRIBUTION,
    UnwrappingKey,
    input_aad,
    open_box,
    open_dek,
    output_aad,
    sha384,
    unwrap_project_key,
    unwrap_seed,
    verify_submitter,
)
from cji_core.format.envelope.admission import admission_key, admission_message, verify_admission
from cji_core.format.job import Attribution, parse
from cji_core.format.job.policy.grant import ConfirmationKey
from cji_core.jose import key_id, parse_ml_kem, parse_verifying, public_jwk, thumbprint
from cji_core.strict import b64url_decode
from cji_core.suites import Suite
from cji_core.trail import Expected, claims_unverified, verify_receipt
from cji_core.trail.confirmations import verify_confirmation
from tests.reference import job_format
from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "vectors"


@pytest.fixture(scope="module", params=[str(suite) for suite in Suite])
def vector(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{request.param}.json").read_text())
    assert found["suite"] == request.param
    return found


def raw(vector: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(vector[name])


def table(plaintext: bytes) -> dict[str, list[str | None]]:
    columns: dict[str, list[str | None]] = pa.ipc.open_stream(io.BytesIO(plaintext)).read_all().to_pydict()
    return columns


def test_the_page_alone_opens_the_job(vector: dict[str, Any]) -> None:
    suite, header, key = vector["suite"], raw(vector, "header"), vector["worker_key"]
    job_format.check_signature(suite, vector["submitter"]["jwk"], raw(vector, "signature"), header)
    fields = job_format.fields(header)
    assert fields[7] == [1 if suite == "classical-1" else 2]
    # the vector's keys are written canonically, as RFC 7638 hashes them
    assert fields[8] == [hashlib.sha256(vector["submitter"]["jwk"].encode()).digest()]
    (wrapped,) = fields[15]
    assert isinstance(wrapped, bytes)
    assert wrapped == raw(vector, "wrapped_dek")
    dek = job_format.data_key(suite, key, wrapped)
    assert dek == raw(vector, "dek")
    (sealed,) = fields[6]
    assert isinstance(sealed, bytes)
    plain = job_format.box(dek, b"attribution", sealed)
    assert len(plain) % 256 == 0
    texts = {number: values[0] for number, values in job_format.fields(plain.rstrip(b"\0")).items()}
    names = dict(enumerate(("operator_id", "requestor", "secondary_recipient", "case_number", "reason"), start=1))
    assert {names[number]: text.decode() for number, text in texts.items() if isinstance(text, bytes)} == {
        name: text for name, text in vector["attribution"].items() if text
    }
    aad = b"cji-part/1\0" + hashlib.sha384(header).digest() + struct.pack(">I", 0)
    plaintext = job_format.unseal(dek, aad, [bytes.fromhex(data) for data in vector["input"]])
    assert plaintext == raw(vector, "plaintext")
    assert table(plaintext) == {"record_id": ["r1", "r2"], "last": ["MUÑOZ", None]}


def test_the_page_alone_opens_the_result(vector: dict[str, Any]) -> None:
    suite, header, result = vector["suite"], raw(vector, "header"), raw(vector, "result_header")
    claims = job_format.check_receipt(suite, vector["receipt"], vector["receipt_jwk"])
    assert claims["header_sha384"] == hashlib.sha384(header).hexdigest()
    assert claims["result_header_sha384"] == hashlib.sha384(result).hexdigest()
    (submitter,) = job_format.fields(header)[8]
    assert isinstance(submitter, bytes)
    assert b64url_decode(claims["submitter_key"]) == submitter
    sent = b"".join(bytes.fromhex(data) for data in vector["input"])
    assert claims["inputs"] == [{"name": "records", "sha256": hashlib.sha256(sent).hexdigest(), "bytes": len(sent)}]
    (recipient,) = job_format.fields(result)[6]
    assert isinstance(recipient, bytes)
    (wrapped,) = job_format.fields(recipient)[2]
    assert isinstance(wrapped, bytes)
    keys = job_format.private(vector["recipient"]["private"])
    key = job_format.result_key(suite, keys, wrapped, header)
    assert key == raw(vector, "result_key")
    aad = b"cji-result/1\0" + hashlib.sha384(result).digest() + struct.pack(">I", 0)
    plaintext = job_format.unseal(key, aad, [bytes.fromhex(data) for data in vector["output"]])
    assert plaintext == raw(vector, "plaintext")


@pytest.mark.parametrize("suite", [str(suite) for suite in Suite])
def test_the_page_alone_opens_column_keys(suite: str) -> None:
    vector = json.loads((FOLDER / "column-keys.json").read_text())[suite]
    fields = job_format.fields(raw(vector, "header"))
    (carried,) = fields[20]
    assert isinstance(carried, bytes)
    ceks = job_format.column_keys(suite, vector["worker_key"], vector["agency"]["jwk"], job_format.fields(carried))
    assert [cek.hex() for cek in ceks] == vector["ceks"]
    header = parse(raw(vector, "header"))
    (keys,) = header.column_keys
    members: dict[str, Any] = {
        name: raw(vector, name) for name in ("statement", "wrapped_key", "sealed_keys", "signature")
    }
    assert keys == parse_column_keys(**members)
    verify_statement(keys, parse_verifying(vector["agency"]["jwk"]))
    (cmk,) = job_format.private([vector["worker_key"]["cmk_private"]])
    seed = vector["worker_key"].get("ml_kem_seed")
    ml_kem = None if seed is None else mlkem.MLKEM1024PrivateKey.from_seed_bytes(bytes.fromhex(seed))
    assert list(open_keys([keys], UnwrappingKey(cmk, ml_kem))) == ceks


def test_the_page_alone_verifies_a_confirmation(vector: dict[str, Any]) -> None:
    suite, receipt, text, jwk = (vector[name] for name in ("suite", "receipt", "confirmation", "confirmation_jwk"))
    claims = job_format.check_receipt(suite, text, jwk, "cji-confirmation+jws")
    digest = hashlib.sha384(receipt.rpartition(".")[0].encode()).hexdigest()
    stated = job_format.check_receipt(suite, receipt, vector["receipt_jwk"])
    assert (claims["receipt_sha384"], claims["recipient"]) == (digest, stated["recipients"][0])
    assert {each["name"]: each["rows"] for each in claims["outputs"]} == {"result": 2, "row_status": 2}
    assert stated["volumes"]["rows_out"] == 2
    key = parse_verifying(jwk)
    named = ConfirmationKey(
        recipient=claims["recipient"], key_id=key_id(key), jwk=jwk, starts=date(2026, 1, 1), until=date(2026, 12, 31)
    )
    ours: dict[str, Any] = {"receipt": claims_unverified(receipt), "receipt_sha384": digest, "policy_sha384": "0" * 96}
    assert verify_confirmation(text, keys=[named], **ours).differences == ()
    head, payload, signature = text.split(".")
    for wrong in (f"{head}.{payload}.{signature[::-1]}", receipt):
        with pytest.raises((InvalidSignature, AssertionError, ValueError)):
            job_format.check_receipt(suite, wrong, jwk, "cji-confirmation+jws")


def test_the_page_alone_admits_an_attempt(vector: dict[str, Any]) -> None:
    suite, given, header = vector["suite"], vector["admission"], raw(vector, "header")
    job_format.check_admission(suite, given, vector["receipt_jwk"], header)
    with pytest.raises((InvalidSignature, AssertionError, ValueError)):
        job_format.check_admission(suite, given | {"attempt": given["attempt"] + 1}, vector["receipt_jwk"], header)
    parsed = parse(header)
    message = admission_message(
        nonce=bytes.fromhex(given["nonce"]),
        receipt_key=thumbprint(parse_verifying(vector["receipt_jwk"])),
        header_sha384=parsed.sha384,
        attempt=given["attempt"],
    )
    key = admission_key(parsed, parse_verifying(vector["submitter"]["jwk"]), given["send_jwk"])
    verify_admission(key, parsed.suite, message, bytes.fromhex(given["signature"]))


def test_the_worker_opens_the_job(vector: dict[str, Any]) -> None:
    header, key = parse(raw(vector, "header")), vector["worker_key"]
    assert header.suite == vector["suite"]
    verify_submitter([parse_verifying(vector["submitter"]["jwk"])], header, raw(vector, "signature"))
    cmk = load_der_private_key(b64decode(key["cmk_private"]), None)
    assert isinstance(cmk, rsa.RSAPrivateKey)
    ml_kem = None
    if header.suite is Suite.HYBRID_1:
        seed = unwrap_seed(cmk, key["kek_id"], b64url_decode(key["wrapped_ml_kem_seed"]))
        assert seed.hex() == key["ml_kem_seed"]
        ml_kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(seed)
        assert ml_kem.public_key() == parse_ml_kem(key["ml_kem_jwk"])
    dek = open_dek(UnwrappingKey(cmk, ml_kem), header.wrapped_dek, header.suite)
    assert dek == raw(vector, "dek")
    attribution = Attribution.decode(open_box(dek, ATTRIBUTION, header.sealed_attribution))
    assert {name: getattr(attribution, name) for name in vector["attribution"]} == vector["attribution"]
    (operation,) = header.operations
    wrapped = operation.deidentify.wrapped_project_key
    assert unwrap_project_key(dek, "vectors", wrapped) == raw(vector, "project_key")
    assert public_jwk(cmk.public_key()) == key["cmk_jwk"]
    verify_receipt(vector["receipt"], key=parse_verifying(vector["receipt_jwk"]), expected=Expected(simulated=True))
    assert (input_aad(header.sha384, 0)[:11], output_aad(sha384(b""), 0)[:13]) == (b"cji-part/1\0", b"cji-result/1\0")


def test_the_second_implementation_refuses_a_missing_half(vector: dict[str, Any]) -> None:
    """Otherwise its agreement would say nothing."""
    header, signature, jwk = raw(vector, "header"), raw(vector, "signature"), vector["submitter"]["jwk"]
    half = len(signature) // 2 if vector["suite"] == "classical-1" else 4627
    for stripped in (signature[:half], signature[half:], bytes(half) + signature[half:]):
        with pytest.raises((InvalidSignature, AssertionError, ValueError)):
            job_format.check_signature(vector["suite"], jwk, stripped, header)
