"""The readers of `worker`: what a submitter, a peer process, a file or another worker may send."""

import base64
import functools
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from cji_attestation.attested import read_evidence
from cji_attestation.evidence import Evidence
from cji_attestation.verbs.evidence_file import read_file
from cji_client import ca_doj
from cji_client.errors import SpecError, Unverified, from_details
from cji_client.parts import open_part
from cji_client.profile import load_profile
from cji_client.received import parse_result_header
from cji_client.spec import decode_spec
from cji_core.command.common import Failure
from cji_core.errors import REASONS, Refusal, StartupError
from cji_core.format.columns import (
    ColumnFormat,
    SqlType,
    TypeInvalid,
    column_keys_message,
    new_statement,
    parse_column_keys,
    parse_statement,
    verify_statement,
)
from cji_core.format.configuration import worker as config
from cji_core.format.configuration.door_files import check_server_files
from cji_core.format.configuration.operator_files import ClientFiles, FileRefused
from cji_core.format.configuration.worker import ListenSection
from cji_core.format.envelope import FLOE_HEADER_BYTES, Sealer, Unsealer, sign_header, verify_header
from cji_core.format.job import (
    InputPart,
    Policy,
    PolicyInvalid,
    Recipient,
    SealedOutput,
    SizeClass,
    is_ori,
    parse,
)
from cji_core.format.job.policy.grant import ConfirmationKey
from cji_core.format.job.policy.signatures import SignaturesInvalid
from cji_core.format.job.policy.signatures import sign as sign_policy
from cji_core.format.job.policy.signatures import verify as verify_policy
from cji_core.format.keys import load_project_key
from cji_core.format.records import END_OF_STREAM, RowStatus, Status, StreamReader, StreamWriter, tagged, window_bytes
from cji_core.format.records.status import ROW_STATUS_SCHEMA
from cji_core.jose import key_id, parse_canonical_verifying, parse_p384, parse_rsa, public_jwk
from cji_core.operations import tables
from cji_core.operations.clear import SHIPPED, Clear, Rules, RulesError, in_words, read_rules
from cji_core.operations.clear import declaration as clear_parameters
from cji_core.pairs import ML_KEM_BYTES, DecryptionPair
from cji_core.suites import Suite
from cji_core.trail import (
    GENESIS,
    ChainError,
    Expected,
    ReceiptError,
    WorkerStopped,
    append_record,
    sign,
    verify_next,
    verify_receipt,
)
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, parse_checkpoint, sign_checkpoint
from cji_core.trail.confirmations import (
    ConfirmationClaims,
    ConfirmationError,
    CountedOutput,
    sign_confirmation,
    verify_confirmation,
)
from cji_core.trail.merkle import Frontier, ProofError, leaf_hash
from cji_core.trail.proofs import (
    ConsistencyProof,
    LineProof,
    RangeProof,
    decode_proof,
    encode_proof,
    verify_continued,
    verify_line,
    verify_lines,
)
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.certificates import Credential, authority, leaf, pem, private_pem
from cji_worker.front.client_certificates import ClientCertificates
from cji_worker.front.frames import SegmentFrame, read_request
from tests.fuzz.attestation_targets import meaning, only, target
from tests.fuzz.mutators import BYTES, IN_PLACE, JSON, JWS, SIZED, TEXT
from tests.support.column_keys import agency_key, column, sealed, statement
from tests.support.evidence_files import evidence_file
from tests.support.forge import decided, machine
from tests.support.job_headers import make
from tests.support.job_specs import head
from tests.support.policies import agency, policy_file, purpose, rule, submitter
from tests.support.policies import pem as pem_of
from tests.support.receipts import CLAIMS
from tests.support.revocation import crl
from tests.support.worker_configs import WORKER_CONFIG

__all__ = ["WORKER"]

KEK: Final = "https://v.vault.azure.net/keys/cmk/" + "ab" * 16
SAN: Final = "spiffe://cji.example/agency/metro-pd"
SEGMENT: Final = 64  # bytes; small, so that a stream has many
BATCH_BYTES: Final = 1 << 16


@functools.cache
def signing_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def folder() -> Path:
    """Where readers of files find theirs, one for each process, as guided targets run beside each other."""
    return _folder_of(os.getpid())


@functools.cache
def _folder_of(pid: int) -> Path:
    """In memory where the system has such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix=f"cji-fuzz-{pid}-", dir=memory if memory.is_dir() else None))


def from_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Give a reader of files its bytes."""

    def through(data: bytes) -> object:
        path = folder() / "input"
        path.write_bytes(data)
        path.chmod(0o600)  # as private keys need it
        return read(path)

    return through


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# ---------------------------------------------------------------- job header and its signature


@functools.cache
def recipient() -> Recipient:
    key = rsa.generate_private_key(65537, 3072).public_key()
    return Recipient(key_id=key_id(key), jwk=public_jwk(key))


@functools.cache
def _headers() -> tuple[bytes, ...]:
    columns = [pb.ColumnRule(column="a", keep=pb.Keep()), pb.ColumnRule(column="b", drop=pb.Drop())]
    ours = {"operations": [pb.Operation(deidentify=pb.Deidentify(columns=columns))], "recipients": [recipient()]}
    inputs = [InputPart(name=f"part_{n}", schema="hotfile/1", rows_declared=n) for n in range(4)]
    pair = DecryptionPair.generate().public_key()
    hybrid = {
        "suite": Suite.HYBRID_1,
        "wrapped_dek": bytes(ML_KEM_BYTES + 384),
        "recipients": [Recipient(key_id=key_id(pair), jwk=public_jwk(pair))],
    }
    columns_of = InputPart(name="people", schema="person/1", sealed_columns=("DOB", "last"))
    sealed_output = SealedOutput(output="result", column="token", column_keys=1, as_column="SOC")
    with_columns = {
        "inputs": [columns_of],
        "column_keys": [sealed(), sealed(statement(table="other"))],
        "sealed_outputs": [sealed_output],
        "size_class": SizeClass.POWER_OF_TWO,
    }
    plain = make(**ours), make(**ours, inputs=inputs, sealed_attribution=bytes(540)), make(**{**ours, **hybrid})
    return *plain, make(**ours, **with_columns)


def _header_fair(data: bytes, value: Any) -> bool:
    """Nothing of the bytes was read in a way in which protobuf would not write it."""
    again = pb.JobHeader.FromString(data)
    again.DiscardUnknownFields()
    named = (again.job_id, again.kek_id, again.sealed_attribution) == (
        value.job_id,
        value.kek_id,
        value.sealed_attribution,
    )
    whole = again.SerializeToString(deterministic=True) == data == value.data
    return whole and named and value.sha384 == hashlib.sha384(data).digest()


# ---------------------------------------------------------------- column keys


@functools.cache
def _statements() -> tuple[bytes, ...]:
    cosmos = [column("last", "string"), column("SOC", "string", key=1)]
    return statement().data, statement(format=ColumnFormat.COSMOS_DB, columns=cosmos).data


def _statement_fair(data: bytes, value: Any) -> bool:
    """What was read, made again, is the same bytes."""
    given = {name: getattr(value, name) for name in value.__slots__ if name not in {"data", "sha384"}}
    return bool(new_statement(**given).data == data == value.data and value.sha384 == hashlib.sha384(data).digest())


@functools.cache
def _column_keys() -> tuple[bytes, ...]:
    return tuple(column_keys_message(each).SerializeToString() for each in (sealed(), sealed(statement(table="other"))))


def _verify_keys(data: bytes) -> object:
    """As a keyholder would before it opens them. Nothing but what the agency signed gets so far."""
    message = pb.ColumnKeys.FromString(data)
    keys = parse_column_keys(
        statement=message.statement,
        wrapped_key=message.wrapped_key,
        sealed_keys=message.sealed_keys,
        signature=message.signature,
    )
    verify_statement(keys, agency_key().public_key())
    return data


def _same_keys(data: bytes, _: object) -> bool:
    """The four fields are those that were signed; other fields around them are for the header's reader to refuse."""
    read = pb.ColumnKeys.FromString(data)
    read.DiscardUnknownFields()
    return read.SerializeToString() in _column_keys()


def _types() -> tuple[bytes, ...]:
    texts = ("int", "nvarchar(60)", "char(9) cp1252", "decimal(9,2)", "datetime2(3)", "varchar(max) utf-8", "string")
    return tuple(text.encode() for text in texts)


def _type(data: bytes) -> SqlType:
    return SqlType.parse(data.decode())


def _type_fair(data: bytes, value: Any) -> bool:
    return bool(str(value).encode() == data and SqlType.parse(str(value)) == value)


@functools.cache
def _signed_headers() -> tuple[bytes, ...]:
    return tuple(sign_header(signing_key(), header) + header for header in _headers())


def _verify_signed(data: bytes) -> object:
    verify_header(signing_key().public_key(), data[96:], data[:96])
    return data


# ---------------------------------------------------------------- FLOE and Arrow


def _floe(plain: bytes, *, segment: int = SEGMENT) -> bytes:
    sealer = Sealer(bytes(32), b"aad", segment=segment)
    pieces = [plain[at : at + sealer.payload] for at in range(0, len(plain), sealer.payload)] or [b""]
    sealed = (sealer.seal(piece, last=at == len(pieces) - 1) for at, piece in enumerate(pieces))
    return sealer.header + b"".join(sealed)


@functools.cache
def _floe_streams() -> tuple[bytes, ...]:
    return tuple(map(_floe, (bytes(range(200)), b"", b"x" * 64)))


def _open_floe(data: bytes) -> object:
    stream = Unsealer(bytes(32), b"aad", data[:FLOE_HEADER_BYTES], segment=SEGMENT)
    out, plain, at = memoryview(bytearray(SEGMENT)), b"", FLOE_HEADER_BYTES
    while at < len(data) or not stream.complete:
        size = SEGMENT if data[at : at + 4] == b"\xff\xff\xff\xff" else int.from_bytes(data[at : at + 4], "big")
        n = stream.unseal_into(out, memoryview(data)[at : at + size])
        plain, at = plain + bytes(out[:n]), at + size
    return plain


def _arrow(schema: pa.Schema, *batches: pa.RecordBatch) -> bytes:
    writer = StreamWriter(schema, max_batch_bytes=BATCH_BYTES)
    messages = [writer.schema_message(), *(each for batch in batches for each in writer.batch_messages(batch))]
    return b"".join([*(message.to_pybytes() for message in messages), END_OF_STREAM])


def _people() -> bytes:
    schema = tagged("person/1", [pa.field("NAM", pa.utf8()), pa.field("SOC", pa.binary())])
    columns = [pa.array(["DOE,JANE", None, "é"], pa.utf8()), pa.array([b"123456789", b"", None], pa.binary())]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    return _arrow(schema, batch, batch.slice(1))


def _row_statuses() -> bytes:
    import numpy as np

    status = RowStatus.all_ok(5).found(np.array([1, 3]), status=Status.WARNED, code=7, column=2)
    return _arrow(ROW_STATUS_SCHEMA, status.to_batch(0), RowStatus.all_ok(0).to_batch(5))


def _read_arrow(data: bytes) -> object:
    window = memoryview(bytearray(window_bytes(BATCH_BYTES)))
    reader = StreamReader(window, max_batch_rows=1000, max_batch_bytes=BATCH_BYTES)
    reader.free[: len(data)] = data
    reader.advance(len(data))
    batches = [batch.to_pydict() for batch in reader.batches()]
    reader.finish()
    assert reader.schema is not None
    return reader.schema, batches


def _arrow_fair(data: bytes, value: Any) -> bool:
    """Arrow's own reader finds the same."""
    with pa.ipc.open_stream(data) as stream:
        return bool(stream.schema == value[0]) and [batch.to_pydict() for batch in stream] == value[1]


def _open_part(data: bytes) -> object:
    """Any plaintext under the result's true key."""
    sealed = _floe(data, segment=1 << 20)
    return list(open_part(bytes(32), b"aad", io.BytesIO(sealed), name="row_status", padded=False))


def _part_fair(_: bytes, value: Any) -> bool:
    for batch in value:
        batch.validate(full=True)
    return bool(value)


# ---------------------------------------------------------------- receipts and the audit trail


EXPECTED: Final = Expected(simulated=False, job_id=CLAIMS.job_id, outputs=CLAIMS.outputs, region=CLAIMS.region)


@functools.cache
def _receipts() -> tuple[bytes, ...]:
    second = msgspec.structs.replace(CLAIMS, sequence=2)
    return tuple(sign(claims, signing_key()).encode() for claims in (CLAIMS, second))


@functools.cache
def _confirmations() -> tuple[bytes, ...]:
    outputs = (CountedOutput(name=each.name, schema="person/1", rows=10) for each in CLAIMS.outputs)
    claims = ConfirmationClaims(
        version=1,
        receipt_sha384="ab" * 48,
        suite=CLAIMS.suite,
        recipient=CLAIMS.recipients[0],
        outputs=tuple(outputs),
        confirmed="2026-11-25T09:00:00.00Z",
    )
    return (sign_confirmation(claims, signing_key()).encode(),)


def _verify_confirmation(text: str) -> object:
    public = signing_key().public_key()
    named = ConfirmationKey(
        recipient=CLAIMS.recipients[0],
        key_id=key_id(public),
        jwk=public_jwk(public),
        starts=date(2026, 1, 1),
        until=date(2026, 12, 31),
    )
    return verify_confirmation(
        text, receipt=CLAIMS, receipt_sha384="ab" * 48, policy_sha384=CLAIMS.policy_sha384, keys=[named]
    )


def _verify_receipt(text: str) -> object:
    return verify_receipt(text, key=signing_key().public_key(), expected=EXPECTED)


def _receipt_claims(data: bytes) -> object:
    """Any claims under the worker's true signature."""
    header = {"alg": "ES384", "kid": key_id(signing_key().public_key()), "typ": "cji-receipt+jws"}
    text = f"{b64url(msgspec.json.encode(header))}.{b64url(data)}"
    r, s = decode_dss_signature(signing_key().sign(text.encode(), ec.ECDSA(SHA384())))
    return _verify_receipt(f"{text}.{b64url(r.to_bytes(48, 'big') + s.to_bytes(48, 'big'))}")


def _claims_fair(data: bytes, value: Any) -> bool:
    """One encoding, and what was expected."""
    claims = value.claims
    expected = (claims.simulated, claims.job_id, claims.outputs, claims.region)
    again = msgspec.json.Encoder(order="deterministic").encode(claims)
    return again == data and expected == (False, CLAIMS.job_id, CLAIMS.outputs, CLAIMS.region)


@functools.cache
def _trail() -> tuple[bytes, ...]:
    _, line = append_record(WorkerStopped(jobs_completed=3), head=GENESIS, time="2026-11-24T15:00:00.00Z", worker="w")
    return (line,)


def _hashed_anew(data: bytes) -> object:
    """Any record with a hash that fits it: the chain has no key, so only its shape and its place are judged."""
    body = data[: -len(b',"hash":""}\n') - 64]
    digest = b64url(hashlib.sha384(b"cji-audit/1\0" + body).digest())
    return verify_next(body + f',"hash":"{digest}"}}\n'.encode(), head=GENESIS, number=1)


def _first_in_the_trail(_: bytes, value: Any) -> bool:
    head, record = value
    return bool(record.seq == 1 == head.seq and record.prev == GENESIS.hash and record.hash == head.hash)


@functools.cache
def _checkpoints() -> tuple[bytes, ...]:
    tree = Frontier()
    tree.append(leaf_hash(_trail()[0]))
    return (sign_checkpoint(tree, origin="cji-worker/w", key=signing_key()),)


def _verify_checkpoint(data: bytes) -> Checkpoint:
    found = parse_checkpoint(data)
    found.verify(signing_key().public_key(), name="cji-worker/w")
    return found


def _checkpoint_fair(data: bytes, value: Any) -> bool:
    """What the worker signed, in its one form; others may have signed below."""
    true = parse_checkpoint(_checkpoints()[0])
    return bool(value.encode() == data and value.text == true.text and true.signatures[0] in value.signatures)


@functools.cache
def _proofs() -> tuple[bytes, ...]:
    note, line = _checkpoints()[0].decode(), _trail()[0][:-1].decode()
    key = key_id(signing_key().public_key())
    return (
        encode_proof(LineProof(line=line, index=0, proof=(), checkpoint=note, receipt_key=key)),
        encode_proof(ConsistencyProof(earlier=note, later=note, proof=())),
        encode_proof(RangeProof(index=0, count=1, proof=(), checkpoint=note, receipt_key=key)),
    )


def _verify_proof(data: bytes) -> object:
    proof, keys = decode_proof(data), {key_id(signing_key().public_key()): signing_key().public_key()}
    if isinstance(proof, RangeProof):
        return verify_lines(proof, _trail(), keys)
    return verify_line(proof, keys) if isinstance(proof, LineProof) else verify_continued(proof, keys)


# ---------------------------------------------------------------- requests


@functools.cache
def _requests() -> tuple[bytes, ...]:
    segment = pb.RunRequest(segment=pb.Segment(part=1, index=300, data=b"d" * 200))
    opened = pb.RunRequest(open=pb.Open(header=_headers()[0], signature=bytes(96)))
    return tuple(one.SerializeToString() for one in (segment, opened, pb.RunRequest(segment=pb.Segment(data=b"d"))))


def _request_fair(data: bytes, value: Any) -> bool:
    """Protobuf itself reads the same."""
    try:
        own = pb.RunRequest.FromString(data)
    except Exception:  # noqa: BLE001 - whatever it is, nothing was set
        own = pb.RunRequest()
    if isinstance(value, SegmentFrame):
        found = (value.part, value.index, bytes(value.data))
        return own.WhichOneof("message") == "segment" and found == (
            own.segment.part,
            own.segment.index,
            own.segment.data,
        )
    return bool(value == own) and own.WhichOneof("message") != "segment"


# ---------------------------------------------------------------- what a submitter reads


@functools.cache
def _job() -> Any:
    return parse(_headers()[0])


@functools.cache
def _result_headers() -> tuple[bytes, ...]:
    parts = [pb.OutputPart(name="result", schema="person/1"), pb.OutputPart(name="row_status", schema="row_status/1")]
    message = pb.ResultHeader(
        version=1,
        job_id=_job().job_id,
        job_header_sha384=_job().sha384,
        worker_id="w",
        outputs=parts,
        recipients=[pb.WrappedKey(key_id=recipient().key_id, wrapped_dek=bytes(384))],
    )
    return (message.SerializeToString(deterministic=True),)


def _result_header_fair(data: bytes, value: Any) -> bool:
    message = pb.ResultHeader.FromString(data)
    mine = message.job_id == _job().job_id and message.job_header_sha384 == _job().sha384
    return mine and value.data == data and set(value.wrapped) == {recipient().key_id}


@functools.cache
def _details() -> tuple[bytes, ...]:
    info = error_details_pb2.ErrorInfo(
        reason="EXPIRED", domain="worker.cji", metadata={"stage": "admit", "correlation_id": "c", "retryable": "true"}
    )
    packed = any_pb2.Any()
    packed.Pack(info)
    return (status_pb2.Status(code=9, details=[packed]).SerializeToString(),)


def _details_fair(_: bytes, value: Any) -> bool:
    return value is None or (value.reason in REASONS and value.correlation_id.isprintable())


@functools.cache
def _evidence_files() -> tuple[bytes, ...]:
    return (evidence_file(),)


@functools.cache
def _proven_time() -> datetime:
    return read_evidence(_evidence_files()[0], trust=machine().trust, reference=decided()).attested_at


def _evidence_fair(_: bytes, value: Any) -> bool:
    """The signed parts are those of the true file, and so is the time, whatever the file claims."""
    true = msgspec.json.decode(_evidence_files()[0])
    evidence = Evidence.from_json(base64.b64decode(true["evidence"]))
    same = meaning(Evidence.from_json(value.shown.evidence)) == meaning(evidence)
    return bool(
        same
        and value.maa_token == true["maa_token"]
        and value.receipt_jwk == true["receipt_jwk"]
        and value.shown.nonce == base64.b64decode(true["nonce"])
        and value.attested_at == _proven_time()
    )


def _bundle_fair(data: bytes, value: Any) -> bool:
    carried = value.bundle.to_json()
    return carried == data.rstrip(b"\n") or bool(base64.b64encode(carried).decode() == json.loads(data)["evidence"])


# ---------------------------------------------------------------- files of operators and submitters


@functools.cache
def _policies() -> tuple[bytes, ...]:
    key = signing_key().public_key()
    rules = rule(["A" * 43], "deidentify", secondary_recipients=["Board"])
    agencies = agency("WI0130000", purpose("C", rules))
    return tuple(
        policy_file(submitter("metro-pd", key, agencies, san=SAN, signing_key=signing))
        for signing in (pem_of(key), public_jwk(key))
    )


def _policy_fair(data: bytes, value: Any) -> bool:
    return bool(value.sha384 == hashlib.sha384(data).digest() and value.purpose_codes and value.ori_prefixes)


_SIGNED_AT: Final = datetime(2026, 11, 24, tzinfo=UTC)


@functools.cache
def _signatures() -> tuple[bytes, ...]:
    lines = [sign_policy(_policies()[0], key, now=_SIGNED_AT) for key in (signing_key(), _second_signer())]
    return ("\n".join(lines).encode(), lines[0].encode() + b"\n")


@functools.cache
def _second_signer() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def _verify_signatures(data: bytes) -> tuple[str, ...]:
    jwks = [public_jwk(key.public_key()) for key in (signing_key(), _second_signer())]
    return verify_policy(_policies()[0], data, jwks=jwks, needed=2, now=_SIGNED_AT)


def _signatures_fair(data: bytes, value: Any) -> bool:
    """Nobody but the two signers, whose lines stand in the file as they wrote them."""
    return len(value) == 2 and set(_signatures()[0].splitlines()) <= set(data.splitlines())


@functools.cache
def _authority() -> Credential:
    return authority("Fuzzed CA", ec.generate_private_key(ec.SECP256R1()))


@functools.cache
def _caller() -> Credential:
    return leaf("caller", ec.generate_private_key(ec.SECP256R1()), _authority(), uris=[SAN])


@functools.cache
def _server_key() -> Path:
    path = folder() / "server.key"
    path.write_bytes(private_pem(_caller().key))
    return path


def _check_server_certificate(path: Path) -> object:
    files = ListenSection(certificate=str(path), private_key=str(_server_key()), client_roots="none")
    return check_server_files(files, now=datetime.now(UTC))


@functools.cache
def _clients() -> ClientCertificates:
    return _load_clients(pem(_authority().certificate), crl(_authority(), [3]))


def _load_clients(roots: bytes, lists: bytes | None = None) -> ClientCertificates:
    return ClientCertificates.load(ClientFiles(client_roots=roots, client_crl=lists), now=datetime.now(UTC))


PROFILE: Final = """target = "h:1"
cloud = "azure-us"
maa_url = "https://m"
ca = "ca.pem"
certificate = "c.pem"
private_key = "k.pem"
signing_key = "s.pem"
[reference]
products = ["Genoa"]
"""


def _config_fair(data: bytes, value: Any) -> bool:
    names = (value.policy_file, value.audit_file, value.listen.certificate, value.listen.client_roots)
    return value.sha384 == hashlib.sha384(data).hexdigest() and bool(value.keys) and all(map(_is_absolute, names))


def _shipped_table(name: str) -> tuple[bytes, ...]:
    return ((files("cji_core.operations.tables") / f"{name}.toml").read_bytes(),)


def _tables(name: str, data: bytes) -> object:
    """An operator's file in place of the shipped one of this name."""
    place = folder() / f"tables-{name}"
    place.mkdir(exist_ok=True)
    (place / f"{name}.toml").write_bytes(data)
    return tables.load(place)


def _rules() -> tuple[bytes, ...]:
    return tuple((files("cji_core.operations.clear") / f"{name}.toml").read_bytes() for name in SHIPPED)


def _read_rules(data: bytes) -> Rules:
    rules = read_rules(data)
    assert "\n".join(in_words(rules))
    return rules


def _rules_fair(_: bytes, value: Any) -> bool:
    """The table survives its way through a header."""
    parameters = Clear(table=value, as_of=date(2026, 1, 1))
    return clear_parameters.decode(clear_parameters.encode(parameters)) == parameters


def _read_extract(path: Path) -> object:
    schema, batches = ca_doj.open_extract(path)
    return pa.Table.from_batches(list(batches), schema=schema).num_rows


def _is_absolute(name: str) -> bool:
    return name.startswith("/")


@functools.cache
def _specs() -> tuple[bytes, ...]:
    return (
        f"""{head(recipient=recipient().jwk, kek_thumbprint="A" * 43, size_class="power_of_two", valid_hours=2)}
[input]
schema = "person/1"
[[operations]]
kind = "deidentify"
project = "study-17"
[operations.columns]
record_id = "keep"
SEX = "drop"
first = {{ do = "mask", keep_first = 1, with = "x" }}
last = {{ do = "hmac_token", domain = "name", bits = 80 }}
DOB = {{ do = "age_band", width = 5, top = 90, as_of = "2026-01-01" }}
""".encode(),
    )


def _spec_fair(_: bytes, value: Any) -> bool:
    return bool(value.recipients) and 1 <= value.valid_hours <= 24 and bool(value.audience)


# ---------------------------------------------------------------- keys and names


def _rsa_fair(_: bytes, value: Any) -> bool:
    return bool(3072 <= value.key_size <= 8192 and parse_rsa(public_jwk(value)) == value)


def _ec_fair(_: bytes, value: Any) -> bool:
    return key_id(parse_p384(public_jwk(value))) == key_id(value)


def _receipt_key_fair(data: bytes, value: Any) -> bool:
    return public_jwk(value).encode() == data


def _ori_fair(data: bytes, value: Any) -> bool:
    shaped = len(data) == 9 and all(byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" for byte in data)
    return isinstance(value, bool) and (shaped or not value)


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


WORKER: Final = (
    target("job-header", _headers, parse, refusals=(Refusal,), fair=_header_fair, mutators=SIZED, weight=40),
    target(
        "column-statement",
        _statements,
        parse_statement,
        refusals=(Refusal,),
        fair=_statement_fair,
        mutators=SIZED,
        weight=20,
    ),
    target(
        "column-keys",
        _column_keys,
        _verify_keys,
        refusals=(Refusal, InvalidSignature, DecodeError),
        fair=_same_keys,
        mutators=SIZED,
        weight=8,
    ),
    target("column-type", _types, _type, refusals=(TypeInvalid, UnicodeDecodeError), fair=_type_fair, weight=10),
    target("job-signature", _signed_headers, _verify_signed, refusals=(Refusal,), fair=only(_signed_headers), weight=8),
    target("floe", _floe_streams, _open_floe, refusals=(Refusal,), fair=only(_floe_streams), weight=20),
    target(
        "arrow",
        lambda: (_people(), _row_statuses()),
        _read_arrow,
        refusals=(Refusal,),
        fair=_arrow_fair,
        mutators=(*BYTES, *IN_PLACE * 4),
        weight=20,
    ),
    target(
        "row-status",
        lambda: (_row_statuses(),),
        _open_part,
        refusals=(Unverified,),
        fair=_part_fair,
        mutators=(*BYTES, *IN_PLACE * 4),
        weight=10,
    ),
    target("run-request", _requests, read_request, refusals=(), fair=_request_fair, mutators=SIZED, weight=60),
    target(
        "result-header",
        _result_headers,
        lambda data: parse_result_header(data, _job()),
        refusals=(Unverified,),
        fair=_result_header_fair,
        mutators=SIZED,
        weight=40,
    ),
    target("rpc-details", _details, from_details, refusals=(), fair=_details_fair, mutators=SIZED, weight=30),
    target(
        "receipt",
        _receipts,
        lambda data: _verify_receipt(text(data)),
        refusals=(ReceiptError,),
        fair=only(_receipts),
        mutators=JWS,
        weight=10,
    ),
    target(
        "confirmation",
        _confirmations,
        lambda data: _verify_confirmation(text(data)),
        refusals=(ConfirmationError,),
        fair=only(_confirmations),
        mutators=JWS,
        weight=10,
    ),
    target(
        "receipt-claims",
        lambda: (msgspec.json.Encoder(order="deterministic").encode(CLAIMS),),
        _receipt_claims,
        refusals=(ReceiptError,),
        fair=_claims_fair,
        mutators=JSON,
        weight=5,
    ),
    target(
        "audit-line",
        _trail,
        lambda data: verify_next(data, head=GENESIS, number=1),
        refusals=(ChainError,),
        fair=only(_trail),
        mutators=JSON,
        weight=30,
    ),
    target(
        "audit-rehashed",
        _trail,
        _hashed_anew,
        refusals=(ChainError,),
        fair=_first_in_the_trail,
        mutators=JSON,
        weight=30,
    ),
    target(
        "trail-checkpoint",
        _checkpoints,
        _verify_checkpoint,
        refusals=(CheckpointError,),
        fair=_checkpoint_fair,
        mutators=TEXT,
        weight=10,
    ),
    target(
        "trail-proof",
        _proofs,
        _verify_proof,
        refusals=(ProofError,),
        fair=lambda data, _: _checkpoints()[0].decode().split("\n")[2].encode() in data,
        mutators=JSON,
        weight=10,
    ),
    target(
        "policy-file", _policies, Policy.load, refusals=(PolicyInvalid,), fair=_policy_fair, mutators=TEXT, weight=10
    ),
    target(
        "policy-signatures",
        _signatures,
        _verify_signatures,
        refusals=(SignaturesInvalid,),
        fair=_signatures_fair,
        mutators=TEXT,
        weight=10,
    ),
    target(
        "client-roots",
        lambda: (pem(_authority().certificate),),
        _load_clients,
        refusals=(FileRefused,),
        fair=lambda _, value: value.revoked == 0 and value.current_until is None,
        mutators=TEXT,
        weight=6,
    ),
    target(
        "client-crl",
        lambda: (crl(_authority(), [3, 5]), crl(_authority())),
        lambda data: _load_clients(pem(_authority().certificate), data),
        refusals=(FileRefused,),
        fair=lambda _, value: value.revoked in (0, 2) and value.current_until is not None,
        mutators=(*TEXT, *BYTES),
        weight=6,
    ),
    target(
        "server-certificate",
        lambda: (pem(_caller().certificate),),
        from_file(_check_server_certificate),
        refusals=(StartupError,),
        mutators=(*TEXT, *BYTES),
        weight=6,
    ),
    target(
        "client-certificate",
        lambda: (pem(_caller().certificate),),
        lambda data: _clients().require(data, now=datetime.now(UTC)),
        refusals=(Refusal,),
        mutators=(*TEXT, *BYTES),
        weight=6,
    ),
    target(
        "config",
        lambda: (WORKER_CONFIG.encode(),),
        from_file(config.load),
        refusals=(StartupError,),
        fair=_config_fair,
        mutators=TEXT,
        weight=10,
    ),
    *(
        target(
            f"tables-{name}",
            functools.partial(_shipped_table, name),
            functools.partial(_tables, name),
            refusals=(StartupError,),
            mutators=TEXT,
            weight=3,
        )
        for name in ("dissemination", "ncic", "screening")
    ),
    target("clear-rules", _rules, _read_rules, refusals=(RulesError,), fair=_rules_fair, mutators=TEXT, weight=6),
    target(
        "ca-doj",
        lambda: (",".join(ca_doj.COLUMNS).encode() + b"\n" + b"1," * 94 + b"\n", b"1," * 94 + b"END\n"),
        from_file(_read_extract),
        refusals=(SpecError, pa.ArrowException),
        mutators=(*TEXT, *BYTES),
        weight=3,
    ),
    target("job-spec", _specs, decode_spec, refusals=(SpecError,), fair=_spec_fair, mutators=TEXT, weight=20),
    target(
        "profile",
        lambda: (PROFILE.encode(),),
        from_file(load_profile),
        refusals=(SpecError,),
        mutators=TEXT,
        weight=10,
    ),
    target(
        "project-key",
        lambda: (json.dumps({"project": "study-17", "key": b64url(bytes(32))}).encode(),),
        from_file(load_project_key),
        refusals=(SpecError,),
        mutators=JSON,
        weight=10,
    ),
    target(
        "evidence-file",
        _evidence_files,
        lambda data: read_evidence(data, trust=machine().trust, reference=decided()),
        refusals=(SpecError, Unverified),
        fair=_evidence_fair,
        mutators=JSON,
        weight=4,
    ),
    target(
        "cli-evidence",
        lambda: (machine().evidence().to_json(), *_evidence_files()),
        from_file(read_file),
        refusals=(Failure,),
        fair=_bundle_fair,
        mutators=JSON,
        weight=4,
    ),
    target(
        "recipient-jwk",
        lambda: (recipient().jwk.encode(),),
        lambda data: parse_rsa(text(data)),
        refusals=(ValueError,),
        fair=_rsa_fair,
        mutators=JSON,
        weight=30,
    ),
    target(
        "signer-jwk",
        lambda: (public_jwk(signing_key().public_key()).encode(),),
        lambda data: parse_p384(text(data)),
        refusals=(ValueError,),
        fair=_ec_fair,
        mutators=JSON,
        weight=10,
    ),
    target(
        "receipt-jwk",
        lambda: (public_jwk(signing_key().public_key()).encode(),),
        lambda data: parse_canonical_verifying(text(data)),
        refusals=(ValueError,),
        fair=_receipt_key_fair,
        mutators=JSON,
        weight=10,
    ),
    target(
        "ori",
        lambda: (b"WI0130000", b"CA0190000"),
        lambda data: is_ori(text(data)),
        refusals=(),
        fair=_ori_fair,
        weight=30,
    ),
)
