"""Cases about a whole result (§7, §8): what the submitter of a job compares before and after it opens the outputs.

And what stands beside a receipt: statements of the tasks that it covers (§10), confirmations of its counts (§8).
"""

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa

from cji_core.wire.v1 import worker_pb2 as pb
from tools.kit import columns, plans, tasks
from tools.kit.case import Case
from tools.kit.headers import CLASSICAL, HYBRID, Job, put
from tools.kit.jobs import ROWS, Rows, arrow
from tools.kit.statements import Claims, claims_of, result_header
from tools.kit.writer import (
    Signer,
    chance,
    compact,
    ivs,
    key_id,
    output_aad,
    pieces_of,
    sha384,
    stream,
)

KEY: Final = chance("result keys/key", 32)
_ONE: Final[Rows] = {"record_id": ["r1"], "last": ["LEE"]}
_SENT: Final = [{"name": "records", "sha256": "0a" * 32, "bytes": 106}]
Result = dict[str, Any]
Plain = list[bytes]


def sealed(data: bytes, plain: Plain, name: str) -> list[list[bytes]]:
    """The segments of each output under this result header."""
    return [
        list(stream(KEY, output_aad(data, n), pieces_of(each), **ivs(f"{name}/output {n}", 1)).data)
        for n, each in enumerate(plain)
    ]


def result_of(
    job: Job,
    *,
    header: bytes | None = None,
    message: Callable[[pb.ResultHeader], object] = lambda _: None,
    plain: Plain | None = None,
    sent: list[dict[str, Any]] = _SENT,
    **claims: object,
) -> Result:
    """A result with everything that its submitter knows. `claims` stand in place of the right ones."""
    header = header or job.header()
    plain = [arrow((ROWS,)), status(2)] if plain is None else plain

    def of_header(said: pb.ResultHeader) -> None:
        said.job_header_sha384 = sha384(header)

    data = result_header(job, of_header, message).SerializeToString(deterministic=True)
    names = [part.name for part in pb.ResultHeader.FromString(data).outputs for _ in range(part.shards or 1)]
    parts = sealed(data, plain, job.name)
    outputs = [digest(name, b"".join(part)) for name, part in zip(names, parts, strict=True)]
    said = right_claims(job, header, data, sent, outputs) | claims
    signer = Signer("receipts", job.hybrid)
    return {
        "suite": job.suite,
        "recipient": "recipient",
        "header": header.hex(),
        "sent": sent,
        "result_header": data.hex(),
        "outputs": [[each.hex() for each in part] for part in parts],
        "receipt": compact("cji-receipt+jws", {name: each for name, each in said.items() if each is not None}, signer),
        "receipt_jwk": signer.jwk,
    }


def right_claims(
    job: Job, header: bytes, data: bytes, sent: list[dict[str, Any]], outputs: list[dict[str, Any]]
) -> Claims:
    """The claims of the receipt of this result; of two rows."""
    said = pb.JobHeader.FromString(header)
    volumes = {
        "rows_in": 2,
        "rows_out": 2,
        "bytes_in": sum(each["bytes"] for each in sent),
        "bytes_out": sum(each["bytes"] for each in outputs),
        "chri_rows_out": 0,
        "subjects_out": 2,
    }
    return claims_of(job) | {
        "header_sha384": sha384(header).hex(),
        "result_header_sha384": sha384(data).hex(),
        "inputs": sent,
        "outputs": outputs,
        "operations": [operation.WhichOneof("operation") for operation in said.operations],
        "volumes": volumes,
    }


def digest(name: str, data: bytes) -> dict[str, Any]:
    """A part as a receipt names it."""
    return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def status(rows: int) -> bytes:
    """The Arrow stream of `row_status` for this number of sound rows."""
    fields = [("row", pa.uint64()), ("status", pa.uint8()), ("codes", pa.list_(pa.uint16()))]
    fields.append(("columns", pa.list_(pa.int16())))
    schema = pa.schema(
        [pa.field(name, kind, nullable=False) for name, kind in fields], metadata={b"cji.schema": b"row_status/1"}
    )
    values: tuple[list[object], ...] = (list(range(rows)), [0] * rows, [[]] * rows, [[]] * rows)
    batch = pa.record_batch([pa.array(each, field.type) for each, field in zip(values, schema, strict=True)], schema)
    data: bytes = schema.serialize().to_pybytes() + batch.serialize().to_pybytes()
    return data + b"\xff\xff\xff\xff\0\0\0\0"


def padded(plain: bytes) -> bytes:
    """With zeros up to the next power of two."""
    return plain.ljust(1 << (len(plain) - 1).bit_length(), b"\0")


# ---------------------------------------------------------------- results


def results() -> Iterator[Case]:
    """Results that a client accepts and opens, and results that it refuses before or after."""
    for job in (CLASSICAL, HYBRID):
        yield Case.valid(job.suite, expected={"rows": 2, "result_key": KEY.hex()}, **result_of(job))
    twice = put(size_class=pb.POWER_OF_TWO)
    power: dict[str, Any] = {"header": CLASSICAL.header(twice), "plain": [padded(arrow((ROWS,))), padded(status(2))]}
    yield Case.valid("POWER_OF_TWO", expected={"rows": 2}, **result_of(CLASSICAL, **power))
    plain = [arrow((ROWS,)), arrow((_ONE,)), arrow(()), status(2), status(1), status(0)]
    counted = {"rows_in": 3, "rows_out": 3, "chri_rows_out": 0, "subjects_out": 3}
    shards = result_of(CLASSICAL, message=_shards(3), plain=plain)
    yield Case.valid("outputs in three shards", expected={"rows": 3}, **_recounted(shards, CLASSICAL, counted))
    ledger = _outputs(("result", "chri_response/1"), ("row_status", "row_status/1"), ("ledger", "ledger/1"))
    found = result_of(CLASSICAL, message=ledger, plain=[arrow((ROWS,)), status(2), arrow((_ONE,))])
    told = {"rows_in": 2, "rows_out": 2, "chri_rows_out": 2, "subjects_out": 1}
    yield Case.valid("criminal history with a ledger", expected={"rows": 2}, **_recounted(found, CLASSICAL, told))
    yield Case.valid("by a pair", expected={"rows": 2}, **_by_a_pair())
    yield _of_another_suite()
    yield from _unequal()
    yield from _unopened(power)
    yield from _of_columns()
    yield from _of_parts()


def _unequal() -> Iterator[Case]:
    """Claims that are not those of the job, each signed again."""
    good = claims_of(CLASSICAL)
    made = result_of(CLASSICAL)
    zeros, name = "0" * 96, "classical-1"
    result, status = _claims(made)["outputs"]
    volumes = _claims(made)["volumes"]
    wrongs: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("another job_id", "job_id", {"job_id": "1" * 32}),
        ("another header", "header_sha384", {"header_sha384": zeros}),
        ("another result header", "result_header_sha384", {"result_header_sha384": zeros}),
        ("another name of an input", "inputs[0].name", {"inputs": [_SENT[0] | {"name": "rows"}]}),
        ("another digest of an input", "inputs[0].sha256", {"inputs": [_SENT[0] | {"sha256": "0" * 64}]}),
        ("another length of an input", "inputs[0].bytes", {"inputs": [_SENT[0] | {"bytes": 107}]}),
        ("an input too many", "inputs", {"inputs": _SENT * 2}),
        ("another digest of an output", "outputs[0].sha256", {"outputs": [result | {"sha256": "0" * 64}, status]}),
        ("another length of an output", "outputs[1].bytes", {"outputs": [result, status | {"bytes": 107}]}),
        ("outputs in another order", "outputs[0].name", {"outputs": [status, result]}),
        ("an output too few", "outputs", {"outputs": [result]}),
        ("another submitter_key", "submitter_key", {"submitter_key": "A" * 43}),
        ("another originating_ori", "originating_ori", {"originating_ori": "WI0140000"}),
        ("another requesting_ori", "requesting_ori", {"requesting_ori": "WI0140000"}),
        ("another purpose_code", "purpose_code", {"purpose_code": "F"}),
        ("other operations", "operations", {"operations": ["validate", "validate"]}),
        ("other recipients", "recipients[0]", {"recipients": ["A" * 43]}),
        ("another kek_id", "kek_id", {"kek_id": good["kek_id"][:-1] + "0"}),
        ("another worker", "worker", {"worker": "worker-2"}),
        ("column_keys of a job without", "column_keys", {"column_keys": _used(CLASSICAL)}),
        ("privacy of a job without", "privacy", {"privacy": _PRIVACY}),
        ("a simulated machine", "simulated", {"simulated": True}),
        *((f"another {count}", "volumes", {"volumes": volumes | {count: volumes[count] + 1}}) for count in volumes),
    )
    for title, check, wrong in wrongs:
        again = result_of(CLASSICAL, **wrong)
        yield Case.untrue(title, f"the claim {check.partition('[')[0]}", check, made_from=name, **again)


def _by_a_pair() -> Result:
    """The receipt of a classical job by the P-384 half of a pair, under the kid of the pair."""
    found, pair = result_of(CLASSICAL), Signer("receipts", hybrid=True)
    return found | {"receipt_jwk": pair.jwk, "receipt": compact("cji-receipt+jws", _claims(found), pair)}


def _of_another_suite() -> Case:
    pair = Signer("receipts", hybrid=True)
    found = _by_a_pair()
    claims = _claims(found) | {"suite": "hybrid-1"}
    wrong = found | {"receipt": compact("cji-receipt+jws", claims, pair)}
    return Case.untrue("a receipt of the other suite", "the claim suite", "suite", made_from="by a pair", **wrong)


_PRIVACY: Final = {"project": "vectors", "epsilon_thousandths": 1, "rows_per_person": 1, "budget": "advisory"}


def _unopened(power: dict[str, Any]) -> Iterator[Case]:
    """Outputs that the receipt vouches for and that do not open, or not as they should."""
    arrows = arrow((ROWS,))
    for name, base, plain, more in (
        ("bytes behind the table", "classical-1", arrows + b"\0", {}),
        ("no end marker", "classical-1", arrows[:-8], {}),
        ("padding with EXACT", "classical-1", padded(arrows), {}),
        ("no padding with POWER_OF_TWO", "POWER_OF_TWO", arrows, power),
        ("padding that is not zero", "POWER_OF_TWO", padded(arrows)[:-1] + b"\1", power),
        ("padding to the second power of two", "POWER_OF_TWO", padded(padded(arrows) + b"\0"), power),
        ("padding to a multiple of 8", "POWER_OF_TWO", arrows + bytes(8), power),
    ):
        made = result_of(CLASSICAL, **(more | {"plain": [plain, padded(status(2)) if more else status(2)]}))
        yield Case.untrue(name, "end of an output", "result", made_from=base, **made)
    good = result_of(CLASSICAL)
    data, parts = bytes.fromhex(good["result_header"]), [[bytes.fromhex(each[0])] for each in good["outputs"]]
    flipped = parts[0][0][:-1] + bytes([parts[0][0][-1] ^ 1])
    for name, changed in {
        "a changed tag that the receipt vouches for": [[flipped], parts[1]],
        "outputs exchanged that the receipt vouches for": parts[::-1],
        "an output of another result": [sealed(data + b"x", [arrows], "other")[0], parts[1]],
    }.items():
        yield Case.untrue(
            name, "stream of an output", "result", made_from="classical-1", **_vouched(good, CLASSICAL, changed)
        )
    schemas = [arrow((ROWS,)), arrow((_ONE,), "person/2"), arrow(())]
    shards = result_of(CLASSICAL, message=_shards(3), plain=[*schemas, status(2), status(1), status(0)])
    counted = {"rows_in": 3, "rows_out": 3, "chri_rows_out": 0, "subjects_out": 3}
    again = _recounted(shards, CLASSICAL, counted)
    unnumbered = result_of(CLASSICAL, plain=[arrows, arrows])
    yield Case.untrue("row_status of other columns", "row_status", "row_status", made_from="classical-1", **unnumbered)
    yield Case.untrue(
        "shards of two schemas", "shards of an output", "result", made_from="outputs in three shards", **again
    )


def _of_columns() -> Iterator[Case]:
    """A job with sealed columns: what comes out is not counted, and the receipt names the keys."""
    job = columns.columns_job(hybrid=False)
    keys = columns.column_keys(job, columns.canonical(columns.statement(job)))
    header = columns.header(job, keys.message)
    cells = [padded(arrow(({"record_id": ["r1", "r2"], "SOC": [chance("cell 1", 65), None]},)))]
    made: dict[str, Any] = {"header": header, "plain": [*cells, padded(status(2))]}
    counts = {"rows_in": 2, "rows_out": 0, "chri_rows_out": 0, "subjects_out": 0}

    def counted(volumes: dict[str, int] = counts, **more: Any) -> Result:
        used = more.pop("used", _used(job))
        return _recounted(result_of(job, **(made | more)), job, volumes, column_keys=used)

    good, name = counted(), "sealed columns"
    yield Case.valid(name, expected={"rows": 2}, **good)
    used = _used(job)
    none = counted(used=None)
    yield Case.untrue("no column_keys", "the claim column_keys", "column_keys", made_from=name, **none)
    less = counted(used=[used[0] | {"keys": used[0]["keys"][:1]}])
    yield Case.untrue("a key less", "the claim column_keys", "column_keys[0].keys", made_from=name, **less)
    for count in ("rows_out", "subjects_out", "chri_rows_out"):
        told = counted(counts | {count: 2})
        yield Case.untrue(f"{count} of sealed columns", "the claim volumes", "volumes", made_from=name, **told)
    plain = [padded(arrow(({"record_id": ["r1", "r2"], "SOC": ["123", None]},))), made["plain"][1]]
    readable = counted(plain=plain)
    yield Case.untrue("a sealed column that is readable", "columns of an output", "result", made_from=name, **readable)


def _of_parts() -> Iterator[Case]:
    """A job in parts: digests of several shards are one, the result header names the pool, statements stand beside."""
    header, documents = plans.header(CLASSICAL), tasks.documents()
    sent = [digest("records", bytes([n])) for n in range(plans.SHARDS)]
    plain = [
        arrow((ROWS,)),
        arrow(()),
        arrow((_ONE,)),
        status(2),
        status(0),
        status(1),
        arrow((_ONE,), "finding_counts/1"),
    ]
    counted = {"rows_in": 3, "rows_out": 3, "subjects_out": 3}
    named = plans.result_changes(CLASSICAL)

    def made(
        message: Callable[[pb.ResultHeader], object] = named, said: list[str] = documents, **claims: Any
    ) -> Result:
        found = result_of(CLASSICAL, header=header, message=message, plain=plain, sent=sent)
        outputs = _claims(found)["outputs"]
        joined = [_joined(outputs[:3]), _joined(outputs[3:6]), outputs[6]]
        right = {"inputs": [_joined(sent)], "outputs": joined, "tasks": tasks.expected(documents)["tasks"]}
        more = {"statements": said, "data_key": tasks.key().hex()}
        return _recounted(found, CLASSICAL, counted, **(right | claims)) | more

    good = made()
    name, claim = "in parts", tasks.expected(documents)["tasks"]
    yield Case.valid(name, expected={"rows": 3}, **good)

    def to_worker(message: pb.ResultHeader) -> None:
        named(message)
        message.worker_id = "worker-1"

    shards = _claims(good)["inputs"][0]
    node = claim["nodes"][0]
    for title, rule, check, wrong in (
        ("a result header of a worker", "worker_id", "result_header", made(to_worker)),
        (
            "another digest of shards",
            "the claim inputs",
            "inputs[0].sha256",
            made(inputs=[shards | {"sha256": "0" * 64}]),
        ),
        ("digests of each shard", "the claim inputs", "inputs", made(inputs=sent)),
        ("a statement less", "the claim tasks", "statements", made(said=documents[:-1])),
        ("statements in another order", "the claim tasks", "statements", made(said=documents[::-1])),
        ("another root", "the claim tasks", "statements", made(tasks=claim | {"root_sha256": "0" * 64})),
        ("another number of statements", "the claim tasks", "statements", made(tasks=claim | {"statements": 9})),
        (
            "no such worker",
            "the claim tasks",
            "statements",
            made(tasks=claim | {"nodes": [node | {"receipt_key": "A" * 43}]}),
        ),
        ("other code than the tasks", "the claim tasks", "statements", made(code_sha384="1" * 96)),
    ):
        yield Case.untrue(f"{name}, {title}", rule, check, made_from=name, **wrong)


def _joined(shards: list[dict[str, Any]]) -> dict[str, Any]:
    data = b"".join(bytes.fromhex(each["sha256"]) for each in shards)
    return digest(shards[0]["name"], data) | {"bytes": sum(each["bytes"] for each in shards)}


def _used(job: Job) -> list[dict[str, Any]]:
    said = columns.statement(job)
    keys = [
        {"key_path": key.key_path, "cek_sha384": key.cek_sha384.hex(), "algorithm": "AEAD_AES_256_CBC_HMAC_SHA256"}
        for key in said.keys
    ]
    return [{"statement_sha384": sha384(columns.canonical(said)).hex(), "keys": keys}]


def _claims(result: Result) -> Claims:
    payload = result["receipt"].split(".")[1]
    found: Claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def _resigned(result: Result, job: Job, **claims: object) -> Result:
    said = {name: each for name, each in (_claims(result) | claims).items() if each is not None}
    return result | {"receipt": compact("cji-receipt+jws", said, Signer("receipts", job.hybrid))}


def _recounted(result: Result, job: Job, volumes: dict[str, int], **claims: object) -> Result:
    return _resigned(result, job, volumes=_claims(result)["volumes"] | volumes, **claims)


def _vouched(result: Result, job: Job, parts: list[list[bytes]]) -> Result:
    """With these outputs, and their digests in the receipt."""
    outputs = [
        digest(said["name"], b"".join(part)) for said, part in zip(_claims(result)["outputs"], parts, strict=True)
    ]
    again = _resigned(result, job, outputs=outputs)
    return again | {"outputs": [[each.hex() for each in part] for part in parts]}


def _shards(count: int) -> Callable[[pb.ResultHeader], object]:
    def change(message: pb.ResultHeader) -> None:
        for output in message.outputs:
            output.shards = count

    return change


def _outputs(*outputs: tuple[str, str]) -> Callable[[pb.ResultHeader], object]:
    def change(message: pb.ResultHeader) -> None:
        del message.outputs[:]
        message.outputs.extend(pb.OutputPart(name=name, schema=schema) for name, schema in outputs)

    return change


# ---------------------------------------------------------------- confirmations


def confirmations() -> Iterator[Case]:
    """Confirmations of the counts of a receipt, by a key that the policy names (§8)."""
    for job in (CLASSICAL, HYBRID):
        yield from _confirmations_of(job)


def _confirmations_of(job: Job) -> Iterator[Case]:
    found, signer = result_of(job, policy_sha384="01" * 48), Signer("confirmations", job.hybrid)
    to = key_id(job.recipient.jwk)
    outputs = [
        {"name": "result", "schema": "person/1", "rows": 2},
        {"name": "row_status", "schema": "row_status/1", "rows": 2},
    ]
    claims: Claims = {
        "version": 1,
        "receipt_sha384": sha384(found["receipt"].rpartition(".")[0].encode()).hex(),
        "suite": job.suite,
        "recipient": to,
        "outputs": outputs,
        "confirmed": "2026-11-26T13:00:00.00Z",
    }
    key = {"recipient": to, "jwk": signer.jwk, "starts": "2026-11-01", "until": "2026-11-30"}
    given = {
        "receipt": found["receipt"],
        "receipt_jwk": found["receipt_jwk"],
        "policy_sha384": "01" * 48,
        "keys": [key],
        "now": "2026-11-26T14:00:00Z",
    }

    def signed(**changed: object) -> str:
        return compact("cji-confirmation+jws", claims | changed, signer)

    def broken(title: str, check: str, document: str, **changed: object) -> Case:
        more = given | changed
        return Case.untrue(
            f"{job.suite}, {title}", f"confirmation: {check}", check, made_from=job.suite, confirmation=document, **more
        )

    yield Case.valid(job.suite, expected={"differences": []}, confirmation=signed(), **given)
    stranger = compact("cji-confirmation+jws", claims, Signer("stranger", job.hybrid))
    yield broken("by a key that the policy does not name", "key", stranger)
    head, payload, _ = signed().split(".")
    wrong = stranger.split(".")[2]
    yield broken("signed by another key", "signature", f"{head}.{payload}.{wrong}")
    if job.hybrid:
        return
    told = [outputs[0] | {"rows": 1}, outputs[1]]
    differs = ["rows_out is 2, counted 1", "chri_rows_out", "subjects_out is 2, counted 1"]
    del differs[1]
    yield Case.valid("another count", expected={"differences": differs}, confirmation=signed(outputs=told), **given)
    for title, check, document in (
        ("of another receipt", "receipt", signed(receipt_sha384="0" * 96)),
        (
            "of another suite",
            "receipt",
            compact("cji-confirmation+jws", claims | {"suite": "hybrid-1"}, Signer("confirmations", hybrid=True)),
        ),
        ("by a stranger to the job", "recipient", signed(recipient="A" * 43)),
        ("before the end of the job", "date", signed(confirmed="2026-11-26T11:00:00.00Z")),
        ("of the future", "date", signed(confirmed="2026-11-26T14:00:01.00Z")),
        ("of a day that does not exist", "form", signed(confirmed="2026-11-31T14:00:01.00Z")),
        ("of one output", "outputs", signed(outputs=outputs[:1])),
        ("of outputs in another order", "outputs", signed(outputs=outputs[::-1])),
        ("of another output too", "outputs", signed(outputs=[*outputs, outputs[0] | {"name": "counts"}])),
        ("of version 2", "form", signed(version=2)),
        ("with an unknown claim", "form", signed(note="x")),
        ("of no outputs", "form", signed(outputs=[])),
        ("with another typ", "signature", compact("cji-receipt+jws", claims, signer)),
        ("with padding", "form", signed() + "="),
    ):
        yield broken(title, check, document)
    yield broken("under another policy", "policy", signed(), policy_sha384="0" * 96)
    yield broken("by a key before its first day", "date", signed(), keys=[key | {"starts": "2026-11-27"}])
    yield broken("by a key after its last day", "date", signed(), keys=[key | {"until": "2026-11-25"}])
