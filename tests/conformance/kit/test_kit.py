"""The conformance kit, read by the code that reads the same bytes from strangers, in worker and client."""

import ast
import hashlib
import io
import json
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import jsonschema
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cji_attestation.errors import AttestationError
from cji_attestation.evidence import root_of
from cji_client.errors import Unverified
from cji_client.parts import open_part
from cji_client.received import parse_result_header
from cji_core.errors import Refusal
from cji_core.format.envelope import (
    FLOE_HEADER_BYTES,
    Unsealer,
    UnwrappingKey,
    input_aad,
    open_box,
    open_dek,
    output_aad,
    unwrap_result_key,
    verify_submitter,
)
from cji_core.format.envelope.admission import admission_key, admission_message, verify_admission
from cji_core.format.envelope.floe import _Keys
from cji_core.format.envelope.shuffle import bucket_key, shuffle_key, statement_key, statement_proof
from cji_core.format.job import Attribution, check_times, parse
from cji_core.format.records.schemas import check_schema
from cji_core.format.records.stream import StreamReader, window_bytes
from cji_core.jose import parse_verifying, thumbprint
from cji_core.pairs import DecryptionPair
from cji_core.pool import ticket as tickets
from cji_core.strict import b64url
from cji_core.suites import Suite
from cji_core.trail import Expected, ReceiptError, verify_receipt
from cji_core.trail.failures import ExpectedFailure, verify_failure
from cji_core.trail.statements import StatementError, read_statement
from tests.support.paths import ROOT
from tools.format_tables import rules
from tools.kit import writer
from tools.kit.__main__ import files

FOLDER = ROOT / "docs/vectors/kit"
BATCH = 16 << 20
Data = dict[str, Any]


@cache
def keys() -> Data:
    found: Data = json.loads((FOLDER / "keys.json").read_text())
    return found


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    found = load_der_private_key(bytes.fromhex(keys()["rsa"][name]), None)
    assert isinstance(found, rsa.RSAPrivateKey)
    return found


def header(data: Data) -> Data:
    found = parse(bytes.fromhex(data["header"]))
    check_times(found, datetime(2026, 11, 26, 12, tzinfo=UTC))
    return {}


def attribution(data: Data) -> Data:
    found = Attribution.decode(bytes.fromhex(data["plaintext"]))
    names = ("operator_id", "requestor", "reason", "secondary_recipient", "case_number")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def signature(data: Data) -> Data:
    keys = [parse_verifying(data["jwk"])]
    verify_submitter(keys, parse(bytes.fromhex(data["header"])), bytes.fromhex(data["signature"]))
    return {}


def admission(data: Data) -> Data:
    job = parse(bytes.fromhex(data["header"]))
    message = admission_message(
        nonce=bytes.fromhex(data["nonce"]),
        receipt_key=thumbprint(parse_verifying(data["receipt_jwk"])),
        header_sha384=job.sha384,
        attempt=data["attempt"],
    )
    key = admission_key(job, parse_verifying(data["submitter_jwk"]), data["send_jwk"])
    verify_admission(key, job.suite, message, bytes.fromhex(data["signature"]))
    return {"message": message.hex()}


def stream(data: Data) -> Data:
    key, aad = bytes.fromhex(data["key"]), bytes.fromhex(data["aad"])
    if "pieces" in data:
        return long_stream(key, aad, data)
    sent = [bytes.fromhex(each) for each in data["data"]] or [b""]
    return {"plaintext": opened(key, aad, sent).hex()}


def long_stream(key: bytes, aad: bytes, data: Data) -> Data:
    """Made from the description by a writer, then opened."""
    plain, pieces = bytes(range(256)) * (1 + sum(data["pieces"]) // 256), []
    for length in data["pieces"]:
        pieces.append(plain[:length])
        plain = plain[length:]
    made = writer.stream(
        key, aad, pieces, iv=bytes.fromhex(data["iv"]), sivs=[bytes.fromhex(iv) for iv in data["sivs"]]
    )
    joined, found = b"".join(made.data), opened(key, aad, list(made.data))
    digests = {"plaintext_sha384": writer.sha384(found).hex(), "data_sha384": writer.sha384(joined).hex()}
    return digests | {"plaintext_bytes": len(found), "data_bytes": len(joined)}


def opened(key: bytes, aad: bytes, sent: list[bytes]) -> bytes:
    unsealer = Unsealer(key, aad, sent[0][:FLOE_HEADER_BYTES])
    plain = b""
    for segment in (sent[0][FLOE_HEADER_BYTES:], *sent[1:]):
        out = memoryview(bytearray(max(len(segment), 32)))
        plain += bytes(out[: unsealer.unseal_into(out, memoryview(segment))])
    assert unsealer.complete
    return plain


def data_key(data: Data) -> Data:
    worker, ml_kem = data["worker_key"], None
    if data["suite"] == "hybrid-1":
        ml_kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(bytes.fromhex(worker["ml_kem_seed"]))
    key = UnwrappingKey(rsa_key(worker["rsa"]), ml_kem)
    return {"data_key": open_dek(key, bytes.fromhex(data["wrapped_dek"]), Suite(data["suite"])).hex()}


def box(data: Data) -> Data:
    key, purpose, sealed = (bytes.fromhex(data[name]) for name in ("data_key", "purpose", "box"))
    return {"plaintext": open_box(key, purpose, sealed).hex()}


def result_key(data: Data) -> Data:
    key: rsa.RSAPrivateKey | DecryptionPair
    if data["suite"] == "hybrid-1":
        seeds = keys()["hybrid"][data["recipient"]]
        key = DecryptionPair(
            mlkem.MLKEM1024PrivateKey.from_seed_bytes(bytes.fromhex(seeds["ml_kem_seed"])),
            ec.derive_private_key(int(seeds["p384"], 16), ec.SECP384R1()),
        )
    else:
        key = rsa_key(data["recipient"])
    digest = parse(bytes.fromhex(data["header"])).sha384
    return {"result_key": unwrap_result_key(key, bytes.fromhex(data["wrapped_dek"]), digest).hex()}


def records(data: Data) -> Data:
    plain = bytes.fromhex(data["plaintext"])
    reader = StreamReader(memoryview(bytearray(window_bytes(BATCH))), max_batch_rows=65_536, max_batch_bytes=BATCH)
    reader.free[: len(plain)] = plain
    reader.advance(len(plain))
    rows = sum(batch.num_rows for batch in reader.batches())
    reader.finish()
    assert reader.schema is not None
    check_schema(data["schema"], reader.schema)
    assert pa.ipc.open_stream(io.BytesIO(plain)).read_all().num_rows == rows
    return {"rows": rows}


def result_header(data: Data) -> Data:
    parse_result_header(bytes.fromhex(data["result_header"]), parse(bytes.fromhex(data["header"])))
    return {}


def receipt(data: Data) -> Data:
    verify_receipt(data["document"], key=parse_verifying(data["jwk"]), expected=Expected(simulated=False))
    return {}


def failure(data: Data) -> Data:
    verify_failure(data["document"], key=parse_verifying(data["jwk"]), expected=ExpectedFailure(simulated=False))
    return {}


def nonce_path(data: Data) -> Data:
    return {"root": root_of(bytes.fromhex(data["nonce"]), bytes.fromhex(data["nonce_path"])).hex()}


def ticket(data: Data) -> Data:
    tickets.decode(data["ticket"])
    return {}


def statement(data: Data) -> Data:
    said = read_statement(data["document"])
    key = statement_key(bytes.fromhex(data["data_key"]), bytes.fromhex(said.header_sha384))
    if b64url(statement_proof(key, said.encoded())) != said.proof:
        raise StatementError
    return {}


def derived(data: Data) -> Data:
    given = {name: bytes.fromhex(value) for name, value in data.items() if name not in {"what", "index"}}
    match data["what"]:
        case "dek":
            keys = _Keys(bytes(32), given["iv"], given["aad"], segment=1 << 20, rotation_bits=20)
            found = keys._expand(given["mk"], b"DEK:" + (data["index"] >> 20 << 20).to_bytes(8, "big"), 32)
        case "shuffle":
            found = shuffle_key(given["data_key"], given["header_sha384"], given["plan_sha384"])
        case "bucket":
            found = bucket_key(given["data_key"], given["header_sha384"])
        case _:
            found = statement_key(given["data_key"], given["header_sha384"])
    return {"key": found.hex()}


def whole(data: Data) -> Data:
    """A job from end to end: as the worker opens it, then its result as the recipient does."""
    signature({"jwk": data["submitter"]["jwk"], "header": data["header"], "signature": data["signature"]})
    admission(
        data["admission"]
        | {name: data[name] for name in ("header", "receipt_jwk")}
        | {"submitter_jwk": data["submitter"]["jwk"]}
    )
    job, worker = parse(bytes.fromhex(data["header"])), data["worker_key"]
    wrapped = data_key(
        {"worker_key": worker | {"rsa": "cmk"}, "suite": data["suite"], "wrapped_dek": data["wrapped_dek"]}
    )
    assert wrapped["data_key"] == data["dek"]
    rows, dek = 0, bytes.fromhex(data["dek"])
    for number, sent in enumerate(data.get("inputs", [data["input"]])):
        plain = opened(dek, input_aad(job.sha384, number), [bytes.fromhex(each) for each in sent])
        part = job.parts[number]
        found = records({"plaintext": plain.hex(), "schema": part.schema})["rows"]
        rows += found if part.name == "records" else 0
    result = parse_result_header(bytes.fromhex(data["result_header"]), job)
    name = "recipient" if data["suite"] == "hybrid-1" else rsa_name(data["recipient"]["private"][0])
    given = {"suite": data["suite"], "recipient": name, "header": data["header"]}
    first = next(iter(result.wrapped.values())).hex()
    assert result_key(given | {"wrapped_dek": first})["result_key"] == data["result_key"]
    claims = verify_receipt(
        data["receipt"], key=parse_verifying(data["receipt_jwk"]), expected=Expected(simulated=True)
    ).claims
    back = 0
    for number, sent in enumerate(data["outputs"]):
        sealed = b"".join(bytes.fromhex(each) for each in sent)
        assert claims.outputs[number].sha256 == hashlib.sha256(sealed).hexdigest()
        key, aad = bytes.fromhex(data["result_key"]), output_aad(result.sha384, number)
        batches = open_part(key, aad, io.BytesIO(sealed), name="o", padded=result.padded)
        back += sum(batch.num_rows for batch in batches) if result.parts[number].name == "result" else 0
    assert rows == back == claims.volumes.rows_out
    return {"rows": rows}


def rsa_name(private: str) -> str:
    """The name in keys.json of a key."""
    named: dict[str, str] = keys()["rsa"]
    return next(name for name, each in named.items() if bytes.fromhex(each) == b64decode(private))


READERS: dict[str, Callable[[Data], Data]] = {
    "headers": header,
    "attributions": attribution,
    "signatures": signature,
    "streams": stream,
    "data-keys": data_key,
    "boxes": box,
    "result-keys": result_key,
    "records": records,
    "admissions": admission,
    "result-headers": result_header,
    "receipts": receipt,
    "nonce-paths": nonce_path,
    "failures": failure,
    "derived": derived,
    "jobs": whole,
    "tickets": ticket,
    "statements": statement,
}


def group(name: str) -> list[Data]:
    cases: list[Data] = json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    return cases


def refusal(name: str, data: Data) -> tuple[str, str, Data]:
    """What a reader answers: the reason or check of its refusal, its rule where it names one, and what it found."""
    try:
        return "", "", READERS[name](data)
    except Refusal as error:
        return error.reason.value, str(error.__cause__ or ""), {}
    except Unverified as error:
        return error.check, "", {}
    except ReceiptError:
        return "receipt", "", {}
    except tickets.TicketError:
        return "ticket", "", {}
    except StatementError:
        return "statement", "", {}
    except AttestationError:
        return "nonce_path", "", {}


@pytest.mark.parametrize("name", READERS)
def test_our_readers_and_the_kit_agree(name: str) -> None:
    """What is valid opens, with what is in it; what is invalid is refused for the stated rule."""
    for case in group(name):
        answer, rule, found = refusal(name, case["data"])
        expected = case.get("expected", {})
        asked = case.get("reason") or case.get("check", "")
        assert answer == asked, f"{name}: {case['id']}"
        assert {key: value for key, value in found.items() if expected.get(key) != value} == {}, case["id"]
        if name == "headers":
            assert rule == case.get("rule", ""), case["id"]


def test_every_rule_of_a_header_has_a_case() -> None:
    """But those of column keys, which docs/vectors/column-keys.json has whole."""
    covered = {case["rule"] for case in group("headers") if "rule" in case}
    statement = ast.parse((ROOT / "core/cji_core/format/columns/statement.py").read_text())
    texts = {node.value for node in ast.walk(statement) if isinstance(node, ast.Constant)}
    missing = set(rules()) - covered - {text for text in texts if isinstance(text, str)}
    assert missing == {
        "a statement twice",
        "column of a sealed output",
        "name of a sealed column",
        "name of a sealed output",
        "number of sealed columns",
        "number of sealed outputs",
        "order of sealed columns",
        "order of sealed outputs",
        "size_class with column keys",
    }


def test_files_are_those_of_the_seeds_and_of_the_schema() -> None:
    made = files()
    assert {name: (FOLDER.parent / name).read_text() for name in made} == made
    assert {f"kit/{path.name}" for path in FOLDER.iterdir()} == {name for name in made if name.startswith("kit/")}
    validator = jsonschema.Draft202012Validator(json.loads(made["kit/schema.json"]))
    for name in READERS:
        validator.validate(json.loads(made[f"kit/{name}.json"]))


def test_the_kit_has_two_hundred_broken_rules_and_more() -> None:
    cases = [case for name in READERS for case in group(name)]
    assert sum(case["result"] == "invalid" for case in cases) >= 500
    assert sum(case["result"] == "valid" for case in cases) >= 60
