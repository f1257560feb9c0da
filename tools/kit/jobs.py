"""Whole jobs: everything that a submitter sends and gets back, with the keys that open it and values on the way.

`classical-1.json` and `hybrid-1.json` have one job of each suite, `kit/jobs.json` further ones with what a first
implementation forgets: no rows, shards, side tables, padding, recipients.
"""

import hashlib
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb
from tools.kit import columns
from tools.kit.case import Case
from tools.kit.headers import KEK_ID, Job, put, recipient
from tools.kit.statements import claims_of
from tools.kit.writer import (
    Recipient,
    Signer,
    b64url,
    box,
    chance,
    compact,
    data_key,
    ivs,
    key_id,
    ml_kem_jwk,
    ml_kem_seed,
    oaep,
    output_aad,
    part_aad,
    pieces_of,
    result_key,
    rsa_jwk,
    rsa_key,
    sha384,
    stream,
    thumbprint,
)

Rows = Mapping[str, Sequence[bytes | str | None]]
ROWS: Final[Rows] = {"record_id": ["r1", "r2"], "last": ["MUÑOZ", None]}
_NONE: Final[Rows] = {"record_id": [], "last": []}
_PERSONAL: Final = {
    "operator_id": "jdoe",
    "requestor": "Det. Muñoz",
    "secondary_recipient": "",
    "case_number": "2026-000123",
    "reason": "Extract for study 17",
}


@dataclass(frozen=True)
class Whole:
    """A job: its suite, and for each part of its records the batches; other inputs and recipients if it has them."""

    name: str
    hybrid: bool
    records: tuple[tuple[Rows, ...], ...] = ((ROWS,),)
    side: tuple[Rows, ...] = ()
    recipients: tuple[str, ...] = ("recipient",)
    padded: bool = False

    @property
    def job(self) -> Job:
        """The makings of its header."""
        return Job(self.name, self.hybrid)

    @property
    def people(self) -> list[Recipient]:
        """Its recipients."""
        return [Recipient(name, self.hybrid) for name in self.recipients]

    def plaintexts(self) -> list[bytes]:
        """The Arrow stream of each part."""
        return [arrow((rows,)) for rows in self.side] + [arrow(batches) for batches in self.records]


def arrow(batches: tuple[Rows, ...], named: str = "person/1") -> bytes:
    """The stream of a table with the columns of its rows, `record_id` and `last` if there are none; cells are bytes."""
    first = batches[0] if batches else _NONE
    fields = [
        (name, pa.binary() if any(isinstance(each, bytes) for each in first[name]) else pa.utf8()) for name in first
    ]
    schema = pa.schema(fields, metadata={b"cji.schema": named.encode()})
    made = [schema.serialize().to_pybytes()]
    for rows in batches:
        arrays = [pa.array(rows[field.name], field.type) for field in schema]
        made.append(pa.record_batch(arrays, schema=schema).serialize().to_pybytes())
    return b"".join(made) + b"\xff\xff\xff\xff\0\0\0\0"


def vector(whole: Whole) -> dict[str, Any]:
    """Every member of a vector file, as docs/format.md lists them."""
    job, key = whole.job, data_key(whole.name, hybrid=whole.hybrid)
    project = chance("project key", 32)
    purpose = b"project\0" + hashlib.sha256(b"vectors").digest()
    wrapped_project = box(key.key, purpose, project, chance(f"{whole.name}/project", 12))
    send = Signer("send key", whole.hybrid)
    shards = len(whole.records)
    inputs = [pb.InputPart(name="link_to", schema="person/1") for _ in whole.side]
    inputs.append(pb.InputPart(name="records", schema="person/1", shards=shards if shards > 1 else 0))
    header = job.header(
        put(
            inputs=inputs,
            operations=[_operation(whole, wrapped_project)],
            recipients=[recipient(to) for to in whole.people],
            size_class=pb.POWER_OF_TWO if whole.padded else pb.EXACT,
            send_key=thumbprint(send.jwk),
        )
    )
    message = b"cji-job-sig/1\0" + sha384(header)
    plain = whole.plaintexts()
    parts = [
        stream(key.key, part_aad(header, n), pieces_of(each), **ivs(f"{whole.name}/part {n}", 1))
        for n, each in enumerate(plain)
    ]
    found: dict[str, Any] = {
        "suite": job.suite,
        "worker_key": _worker_key(whole.hybrid),
        "submitter": {"private": _private(job.signer), "jwk": job.signer.jwk},
        "recipient": {"private": _private(whole.people[0]), "jwk": whole.people[0].jwk},
        "header": header.hex(),
        "signature": job.signer.sign(message).hex(),
        "admission": _admission(send, header, Signer("receipts", whole.hybrid)),
        "wrapped_dek": key.wrapped.hex(),
        "dek": key.key.hex(),
        "dek_steps": key.steps,
        "attribution": _PERSONAL,
        "project_key": project.hex(),
        "input": [data.hex() for data in parts[-shards].data],
        "plaintext": plain[-shards].hex(),
        "floe_steps": parts[-shards].steps,
    }
    if whole.hybrid:
        found["prepared"] = job.signer.prepared(message).hex()
    if len(parts) > 1:
        found["inputs"] = [[data.hex() for data in part.data] for part in parts]
        found["plaintexts"] = [each.hex() for each in plain]
    return found | _result(whole, header, [b"".join(part.data) for part in parts], plain[-shards:])


def _operation(whole: Whole, wrapped_project: bytes) -> pb.Operation:
    if whole.side:
        link = pb.Link(
            match=0.95,
            clerical_review_threshold=0.5,
            block_rows=5000,
            pairs=1 << 20,
            random_pairs=1 << 16,
            training_pairs=1 << 16,
            cluster_stop=-3.0,
            seed=1,
        )
        return pb.Operation(link=link)
    rules = [
        pb.ColumnRule(column="record_id", keep=pb.Keep()),
        pb.ColumnRule(column="last", hmac_token=pb.HmacToken(domain="name", bits=128)),
    ]
    made = pb.Deidentify(project="vectors", wrapped_project_key=wrapped_project, columns=rules)
    return pb.Operation(deidentify=made)


def _result(whole: Whole, header: bytes, sent: list[bytes], plain: list[bytes]) -> dict[str, Any]:
    """A result in the form in which a worker makes it; for brevity, each output is the records again."""
    key, shards = chance(f"{whole.name}/result key", 32), len(plain)
    wrapped = [result_key(to, key, header, f"{whole.name}/{to.name}") for to in whole.people]
    data = pb.ResultHeader(
        version=1,
        job_id=pb.JobHeader.FromString(header).job_id,
        job_header_sha384=sha384(header),
        worker_id="worker-1",
        outputs=[
            pb.OutputPart(name="result", schema="person/1", shards=shards if shards > 1 else 0),
            pb.OutputPart(name="row_status", schema="row_status/1", shards=shards if shards > 1 else 0),
        ],
        recipients=[
            pb.WrappedKey(key_id=key_id(to.jwk), wrapped_dek=each)
            for to, (each, _) in zip(whole.people, wrapped, strict=True)
        ],
    ).SerializeToString(deterministic=True)
    if whole.padded:
        plain = [each.ljust(1 << (len(each) - 1).bit_length(), b"\0") for each in plain]
    parts = [
        stream(key, output_aad(data, n), pieces_of(each), **ivs(f"{whole.name}/output {n}", 1)).data
        for n, each in enumerate(plain * 2)
    ]
    signer = Signer("receipts", whole.hybrid)
    receipt = compact("cji-receipt+jws", _claims(whole, header, data, sent, [b"".join(part) for part in parts]), signer)
    confirming = Signer("confirmations", whole.hybrid)
    confirmed = {
        "version": 1,
        "receipt_sha384": sha384(receipt.rpartition(".")[0].encode()).hex(),
        "suite": whole.job.suite,
        "recipient": key_id(whole.people[0].jwk),
        "outputs": [
            {"name": name, "schema": schema, "rows": _count(whole.records)}
            for name, schema in (("result", "person/1"), ("row_status", "row_status/1"))
        ],
        "confirmed": "2026-11-26T13:00:00.00Z",
    }
    return {
        "result_header": data.hex(),
        "result_key": key.hex(),
        "result_key_steps": wrapped[0][1],
        "output": [each.hex() for each in parts[0]],
        "outputs": [[each.hex() for each in part] for part in parts],
        "receipt_jwk": signer.jwk,
        "receipt": receipt,
        "confirmation_jwk": confirming.jwk,
        "confirmation": compact("cji-confirmation+jws", confirmed, confirming),
    }


def _claims(whole: Whole, header: bytes, result: bytes, sent: list[bytes], outputs: list[bytes]) -> dict[str, Any]:
    rows = _count(whole.records)
    names = ["link_to"] * len(whole.side) + ["records"] * len(whole.records)
    half = len(outputs) // 2
    return claims_of(whole.job) | {
        "header_sha384": sha384(header).hex(),
        "result_header_sha384": sha384(result).hex(),
        "inputs": [_digest(name, data) for name, data in zip(names, sent, strict=True)],
        "outputs": [_digest("row_status" if n >= half else "result", data) for n, data in enumerate(outputs)],
        "operations": ["link" if whole.side else "deidentify"],
        "recipients": [key_id(to.jwk) for to in whole.people],
        "volumes": {
            "rows_in": rows,
            "rows_out": rows,
            "bytes_in": sum(map(len, sent)),
            "bytes_out": sum(map(len, outputs)),
            "chri_rows_out": 0,
            "subjects_out": rows,
        },
        "policy_sha384": "0" * 96,
        "simulated": True,
    }


def _count(parts: tuple[tuple[Rows, ...], ...]) -> int:
    return sum(len(rows["record_id"]) for batches in parts for rows in batches)


def _digest(name: str, data: bytes) -> dict[str, object]:
    return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _admission(send: Signer, header: bytes, worker: Signer) -> dict[str, Any]:
    """The proof of the second attempt at the worker with this receipt key."""
    nonce, attempt = chance("nonce of an admission", 32), 2
    message = b"cji-admit/1\0" + nonce + thumbprint(worker.jwk) + sha384(header) + struct.pack(">I", attempt)
    return {
        "send_private": _private(send),
        "send_jwk": send.jwk,
        "nonce": nonce.hex(),
        "attempt": attempt,
        "signature": send.sign(message).hex(),
    }


def _worker_key(hybrid: bool) -> dict[str, str]:
    cmk = rsa_key("cmk")
    found = {"kek_id": KEK_ID, "cmk_private": _pkcs8(cmk), "cmk_jwk": rsa_jwk(cmk.public_key())}
    if not hybrid:
        return found
    seed, prefix = ml_kem_seed("cmk"), b"cji-ml-kem-seed/1\0" + hashlib.sha256(KEK_ID.encode()).digest()
    wrapped = oaep(cmk.public_key(), prefix + seed, chance("wrapped seed", 32))
    return found | {
        "ml_kem_seed": seed.hex(),
        "ml_kem_jwk": ml_kem_jwk("cmk"),
        "wrapped_ml_kem_seed": b64url(wrapped),
    }


def _private(key: Signer | Recipient) -> list[str]:
    """PKCS#8 in base64, of a pair the post-quantum key first."""
    if isinstance(key, Signer):
        return [_pkcs8(key.ml_dsa), _pkcs8(key.p384)] if key.hybrid else [_pkcs8(key.p384)]
    return [_pkcs8(key.ml_kem), _pkcs8(key.p384)] if key.hybrid else [_pkcs8(rsa_key(key.name))]


def _pkcs8(key: PrivateKeyTypes) -> str:
    return b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()


# ---------------------------------------------------------------- column keys


def column_keys(*, hybrid: bool) -> dict[str, Any]:
    """A header with column keys, the keys that open them, and the agency's that signed them (§13)."""
    job, agency = columns.columns_job(hybrid=hybrid), columns.agency(hybrid=hybrid)
    keys = columns.column_keys(job, columns.canonical(columns.statement(job))).message
    return {
        "worker_key": {name: text for name, text in _worker_key(hybrid).items() if name != "wrapped_ml_kem_seed"},
        "agency": {"private": _private(agency), "jwk": agency.jwk},
        "ceks": [cek.hex() for cek in columns.CEKS],
        "statement": keys.statement.hex(),
        "wrapped_key": keys.wrapped_key.hex(),
        "sealed_keys": keys.sealed_keys.hex(),
        "signature": keys.signature.hex(),
        "header": columns.header(job, keys).hex(),
    }


# ---------------------------------------------------------------- the cases


def files() -> dict[str, dict[str, Any]]:
    """The whole jobs, and the headers with column keys, by the names of their files."""
    return {
        "classical-1.json": vector(Whole("whole classical", hybrid=False)),
        "hybrid-1.json": vector(Whole("whole hybrid", hybrid=True)),
        "column-keys.json": {str(suite): column_keys(hybrid=suite is Suite.HYBRID_1) for suite in Suite},
    }


def jobs() -> Iterator[Case]:
    """Jobs that an implementation opens from end to end."""
    one: Rows = {"record_id": ["r1"], "last": ["LEE"]}
    eight = ("recipient", *(f"recipient {n}" for n in range(2, 9)))
    plain = Whole("", hybrid=False)
    for name, whole in {
        "no batch": replace(plain, records=((),)),
        "a batch of no rows": replace(plain, records=((_NONE,),)),
        "one row": replace(plain, records=((one,),)),
        "two batches": replace(plain, records=((ROWS, one),)),
        "three shards, one of them empty": replace(plain, records=((ROWS,), (), (one,))),
        "a side table": replace(plain, side=(one,)),
        "POWER_OF_TWO": replace(plain, padded=True),
        "eight recipients": replace(plain, recipients=eight),
        "a recipient of 4096 bits": replace(plain, recipients=("recipient 4096",)),
        "a recipient of 8192 bits": replace(plain, recipients=("recipient 8192",)),
        "hybrid-1, padded, in two shards": replace(plain, hybrid=True, padded=True, records=((ROWS,), (one,))),
    }.items():
        made = vector(replace(whole, name=f"jobs/{name}"))
        yield Case.valid(name, expected={"rows": _count(whole.records)}, **made)
