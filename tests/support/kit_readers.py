"""The code of worker and client that reads strangers' bytes, for the data of a case of the conformance kit.

`READERS` has one for each group: it returns what it found, as `expected` of the kit names it, or raises a refusal.
"""

import hashlib
import io
import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cji_attestation.attested import AttestedWorker
from cji_attestation.errors import AttestationError
from cji_attestation.evidence import root_of
from cji_attestation.evidence.binding import bind
from cji_client.columns import rowmac
from cji_client.columns.errors import TableRefused
from cji_client.columns.table_statement import parse_statement as parse_table
from cji_client.errors import SpecError, Unverified
from cji_client.parts import open_part
from cji_client.received import new_output, parse_result_header
from cji_client.result import Result, open_result
from cji_client.statements import verify_statements
from cji_client.verify import verify_result
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.columns import open_keys
from cji_core.format.envelope import (
    FLOE_HEADER_BYTES,
    NO_PLAN,
    SEGMENT_BYTES,
    SHUFFLE_SEGMENT_BYTES,
    Unsealer,
    UnwrappingKey,
    input_aad,
    open_box,
    open_dek,
    open_result_key,
    output_aad,
    unwrap_result_key,
    verify_submitter,
)
from cji_core.format.envelope.admission import admission_key, admission_message, verify_admission
from cji_core.format.envelope.floe import _Keys
from cji_core.format.envelope.keywrap import unwrap_project_key, unwrap_seed
from cji_core.format.envelope.ledger_key import ledger_key
from cji_core.format.envelope.shuffle import bucket_key, shuffle_aad, shuffle_key, statement_key, statement_proof
from cji_core.format.job import Attribution, Header, check_times, parse
from cji_core.format.job.policy.columns import SealedColumns, authorise_columns
from cji_core.format.job.policy.grant import ConfirmationKey
from cji_core.format.records.schemas import check_schema
from cji_core.format.records.stream import StreamReader, window_bytes
from cji_core.jose import (
    PublicKey,
    key_id,
    parse_encryption_pair,
    parse_ml_kem,
    parse_p384,
    parse_rsa,
    parse_verifying,
    public_jwk,
    thumbprint,
)
from cji_core.operations import registry
from cji_core.pairs import DecryptionPair
from cji_core.pool import ticket as tickets
from cji_core.pool.documents import (
    DocumentError,
    Failure,
    Progress,
    Published,
    Sources,
    decode,
    decode_submission,
    evidence_nonce,
)
from cji_core.pool.entries import Attempt, End, NoEntry, read_entry
from cji_core.strict import b64url, b64url_decode
from cji_core.suites import Suite
from cji_core.trail import Expected, Machine, PartDigest, ReceiptError, verify_receipt
from cji_core.trail.confirmations import ConfirmationError, verify_confirmation
from cji_core.trail.failures import ExpectedFailure, verify_failure
from cji_core.trail.statements import StatementError, read_statement
from cji_worker.cell.task_keys import bucket_hash
from cji_worker.keyholder.gathering import Gathering, StatementsRefusedError
from cji_worker.keyholder.tasks import check_plan, plan_of
from tests.support.paths import ROOT
from tests.support.sdk_server import ReferenceWorker
from tools.kit import writer
from tools.kit.writer import Signer

FOLDER = ROOT / "docs/vectors/kit"
BATCH = 16 << 20
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
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


def header_of(data: Data) -> Header:
    found = parse(bytes.fromhex(data["header"]))
    check_times(found, NOON)
    return found


def header(data: Data) -> Data:
    header_of(data)
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


def opened(key: bytes, aad: bytes, sent: list[bytes], *, segment: int = SEGMENT_BYTES) -> bytes:
    unsealer = Unsealer(key, aad, sent[0][:FLOE_HEADER_BYTES], segment=segment)
    plain = b""
    for data in (sent[0][FLOE_HEADER_BYTES:], *sent[1:]):
        out = memoryview(bytearray(max(len(data), 32)))
        plain += bytes(out[: unsealer.unseal_into(out, memoryview(data))])
    if not unsealer.complete:
        raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
    return plain


def unwrapping_key(worker: Data, suite: Suite) -> UnwrappingKey:
    ml_kem = None
    if suite is Suite.HYBRID_1:
        ml_kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(bytes.fromhex(worker["ml_kem_seed"]))
    return UnwrappingKey(rsa_key(worker["rsa"]), ml_kem)


def data_key(data: Data) -> Data:
    suite = Suite(data["suite"])
    key = unwrapping_key(data["worker_key"], suite)
    return {"data_key": open_dek(key, bytes.fromhex(data["wrapped_dek"]), suite).hex()}


def box(data: Data) -> Data:
    key, purpose, sealed = (bytes.fromhex(data[name]) for name in ("data_key", "purpose", "box"))
    return {"plaintext": open_box(key, purpose, sealed).hex()}


def recipient_key(data: Data) -> rsa.RSAPrivateKey | DecryptionPair:
    if data["suite"] != "hybrid-1":
        return rsa_key(data["recipient"])
    seeds = keys()["hybrid"][data["recipient"]]
    return DecryptionPair(
        mlkem.MLKEM1024PrivateKey.from_seed_bytes(bytes.fromhex(seeds["ml_kem_seed"])),
        ec.derive_private_key(int(seeds["p384"], 16), ec.SECP384R1()),
    )


def result_key(data: Data) -> Data:
    digest = parse(bytes.fromhex(data["header"])).sha384
    return {"result_key": unwrap_result_key(recipient_key(data), bytes.fromhex(data["wrapped_dek"]), digest).hex()}


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


@cache
def attested() -> AttestedWorker:
    """An attestation whose receipt key is replaced."""
    return ReferenceWorker(cmk=rsa_key("cmk"), submitter=Signer("submitter", hybrid=False).p384.public_key()).attested()


def result(data: Data) -> Data:
    """A result as a client judges it, then all its outputs, opened by the recipient."""
    job = parse(bytes.fromhex(data["header"]))
    found = parse_result_header(bytes.fromhex(data["result_header"]), job)
    outputs = tuple(map(new_output, found.parts))
    for output, segments in zip(outputs, data["outputs"], strict=True):
        for index, each in enumerate(segments):
            output.add(index, bytes.fromhex(each))
    worker = replace(attested(), receipt_key=parse_verifying(data["receipt_jwk"]))
    sent = tuple(PartDigest(**each) for each in data["sent"])
    receipt = verify_result(data["receipt"], job=job, attested=worker, sent=sent, header=found, outputs=outputs)
    sealed = Result(job=job, header=found, outputs=outputs, receipt=receipt, attested=worker, sent=sent)
    if "statements" in data:
        verify_statements(receipt, data["statements"], dek=bytes.fromhex(data["data_key"]))
    key = recipient_key(data)
    rows = {name: table.num_rows for name, table in open_result(sealed, key).items()}
    return {"rows": rows["row_status"]}


def confirmation(data: Data) -> Data:
    """As a reader of the policy that names these keys."""
    receipt = verify_receipt(
        data["receipt"], key=parse_verifying(data["receipt_jwk"]), expected=Expected(simulated=False)
    )
    named = [
        ConfirmationKey(
            recipient=each["recipient"],
            key_id=key_id(parse_verifying(each["jwk"])),
            jwk=each["jwk"],
            starts=date.fromisoformat(each["starts"]),
            until=date.fromisoformat(each["until"]),
        )
        for each in data["keys"]
    ]
    found = verify_confirmation(
        data["confirmation"],
        receipt=receipt.claims,
        receipt_sha384=receipt.sha384,
        policy_sha384=data["policy_sha384"],
        keys=named,
        now=datetime.fromisoformat(data["now"]),
    )
    return {"differences": list(found.differences)}


def plan(data: Data) -> Data:
    """As the keyholder of a worker that was given it for a task."""
    job, dek = parse(bytes.fromhex(data["header"])), bytes.fromhex(data["data_key"])
    found = plan_of(job, registry.plan(job.operations, job.input_schemas), bytes.fromhex(data["plan"]))[1]
    check_plan(found, dek)
    made = {
        "facts": found.facts,
        "plan_sha384": found.sha384,
        "result_key": open_result_key(dek, found.facts, found.sealed_result_key),
        "shuffle_key": shuffle_key(dek, job.sha384, found.sha384),
        "shuffle_key_before": shuffle_key(dek, job.sha384, NO_PLAN),
    }
    return {name: value.hex() for name, value in made.items()}


def gathered(data: Data) -> Data:
    """As the keyholder that finishes the job; all machines must be as the first one."""
    job, dek = parse(bytes.fromhex(data["header"])), bytes.fromhex(data["data_key"])
    planned = registry.plan(job.operations, job.input_schemas)
    streams, plan = plan_of(job, planned, bytes.fromhex(data["plan"]))
    key = statement_key(dek, job.sha384)
    machine = Machine(
        simulated=False, code_sha384="03" * 48, tables_sha256="04" * 32, host_profile="none", fips="not_approved"
    )
    gathering = Gathering(job, planned, streams, plan, key=key, machine=machine)
    for each in data["statements"]:
        gathering.add(each)
    agreed, tasks = gathering.finish()
    made = {"tasks": tasks, "inputs": agreed.inputs, "outputs": agreed.outputs}
    found: Data = json.loads(msgspec.json.encode(made))
    return found


def shuffle(data: Data) -> Data:
    plan = bytes.fromhex(data["plan_sha384"])
    key = shuffle_key(bytes.fromhex(data["data_key"]), bytes.fromhex(data["header_sha384"]), plan)
    aad = shuffle_aad(plan, edge=data["edge"], producer=data["producer"], consumer=data["consumer"])
    sent = [bytes.fromhex(each) for each in data["data"]]
    found = opened(key, aad, sent, segment=SHUFFLE_SEGMENT_BYTES)
    return {"key": key.hex(), "aad": aad.hex(), "plaintext_sha384": writer.sha384(found).hex()}


def column_keys(data: Data) -> Data:
    """As a worker whose policy lists every statement of the header."""
    job, agency = header_of(data), parse_verifying(data["agency_jwk"])
    statements = frozenset(keys.statement.sha384 for keys in job.column_keys)
    authorise_columns(job, SealedColumns(signing_key=agency, statements=statements), reference=None, now=NOON)
    found = open_keys(job.column_keys, unwrapping_key(data["worker_key"], job.suite))
    return {"ceks": [cek.hex() for cek in found], "statement_sha384": job.column_keys[0].statement.sha384.hex()}


def jwk(data: Data) -> Data:
    readers: dict[str, Callable[[str], PublicKey]] = {
        "RSA": parse_rsa,
        "P-384": parse_p384,
        "pair of signing keys": parse_verifying,
        "pair of encryption keys": parse_encryption_pair,
        "ML-KEM": parse_ml_kem,
    }
    try:
        return {"thumbprint": key_id(readers[data["kind"]](data["jwk"]))}
    except ValueError:
        raise Unverified("jwk", "not such a key") from None


def seed(data: Data) -> Data:
    found = unwrap_seed(rsa_key(data["rsa"]), data["kek_id"], b64url_decode(data["wrapped"]))
    key = mlkem.MLKEM1024PrivateKey.from_seed_bytes(found)
    return {"seed": found.hex(), "jwk": public_jwk(key.public_key())}


class Held:
    """The ledger key of one CMK."""

    def __init__(self, data: Data) -> None:
        self.kek_id, self.own = data["kek_id"], ledger_key(UnwrappingKey(rsa_key(data["rsa"]), None))

    def key(self, kek_id: str) -> bytes | None:
        return self.own if kek_id == self.kek_id else None


def project_key(data: Data) -> Data:
    key, wrapped = bytes.fromhex(data["data_key"]), bytes.fromhex(data["wrapped"])
    return {"project_key": unwrap_project_key(key, data["project"], wrapped).hex()}


def reference(data: Data) -> Data:
    kinds: dict[str, type[object]] = {
        "receipt": Published,
        "failure": Failure,
        "sources": Sources,
        "progress": Progress,
    }
    if data["kind"] == "submission":
        decode_submission(bytes.fromhex(data["blob"]))
    else:
        decode(data["blob"].encode(), kinds[data["kind"]])
    return {}


def row_mac(data: Data) -> Data:
    cells = {name: bytes.fromhex(cell) or None for name, cell in data["cells"].items()}
    key, row = bytes.fromhex(data["key"]), data["id"].encode()
    found = rowmac.row_mac(key, table=data["table"], version=data["version"], row_id=row, cells=cells)
    if found.hex() != data["row_mac"]:
        raise Unverified("row_mac", "of another row")
    return {}


def table_version(data: Data) -> Data:
    file = json.dumps({"statement": data["statement"], "signature": data["signature"]}).encode()
    try:
        parse_table(file).require(parse_verifying(data["jwk"]), table=data["table"], least=data["least"])
    except (SpecError, TableRefused):
        raise Unverified("table", "refused") from None
    return {}


def ledger_entry(data: Data) -> Data:
    held, entry = Held(data), data["entry"].encode()
    found: Attempt | End | NoEntry
    if data["kind"] == "attempt":
        found = read_entry(entry, Attempt, held, job=data["job"], number=data["number"])
    else:
        found = read_entry(entry, End, held, job=data["job"])
    if found is NoEntry.UNDECIDED:
        raise Refusal(Reason.LEDGER_UNAVAILABLE, stage=Stage.ADMIT)
    if found is NoEntry.FOREIGN:
        raise Unverified("foreign", "it counts nothing")
    return {"ledger_key": held.own.hex()}


def value(data: Data) -> Data:
    match data["what"]:
        case "bucket_hash":
            key = bucket_key(bytes.fromhex(data["data_key"]), bytes.fromhex(data["header_sha384"]))
            (found,) = bucket_hash(key)(np.array([int(data["h"])], np.uint64))
            return {"value": f"{int(found):016x}"}
        case "nonce of a reference":
            return {"value": evidence_nonce(bytes.fromhex(data["header_sha384"])).hex()}
        case _:
            receipt_key = thumbprint(parse_verifying(data["receipt_jwk"]))
            return {"value": bind(receipt_key, bytes.fromhex(data["root"])).hex()}


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
    "values": value,
    "jobs": whole,
    "tickets": ticket,
    "statements": statement,
    "column-keys": column_keys,
    "jwks": jwk,
    "ml-kem-seeds": seed,
    "ledger": ledger_entry,
    "project-keys": project_key,
    "references": reference,
    "row-macs": row_mac,
    "table-versions": table_version,
    "results": result,
    "confirmations": confirmation,
    "plans": plan,
    "shuffles": shuffle,
    "gathered": gathered,
}


def refusal(name: str, data: Data) -> tuple[str, str, Data]:
    """What a reader answers: the reason or check of its refusal, its rule where it names one, and what it found."""
    try:
        return "", "", READERS[name](data)
    except Refusal as error:
        return error.reason.value, str(error.__cause__ or "").partition(": ")[0], {}
    except Unverified as error:
        return error.check, "", {}
    except ReceiptError:
        return "receipt", "", {}
    except tickets.TicketError:
        return "ticket", "", {}
    except DocumentError:
        return "blob", "", {}
    except ConfirmationError as error:
        return error.fault, "", {}
    except StatementsRefusedError as error:
        return error.about, "", {}
    except StatementError:
        return "statement", "", {}
    except AttestationError:
        return "nonce_path", "", {}
