"""Cases about the statements of all tasks of a job (§10), which one receipt gathers."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from tools.kit import plans
from tools.kit.case import Case
from tools.kit.headers import CLASSICAL
from tools.kit.statements import Claims, planning, proven, statement_secret, task_facts, task_statement
from tools.kit.writer import Signer, b64url, chance, data_key, key_id, sha384

ROWS: Final = (2, 0, 1)
"""Records of each shard."""
Said = list[Claims]
Task = tuple[str, int]
Change = Callable[[Claims], object]


def _stream(edge: int, producer: int) -> list[object]:
    return [edge, producer, plans.TO_ALL, 1, 4096, b64url(chance(f"tags of {edge} from {producer}", 32))]


def _part(kind: str, number: int) -> list[object]:
    return [number, 1, 106, *(b64url(chance(f"{what} of {kind} {number}", 32)) for what in ("tags", "digest"))]


def statements() -> dict[Task, Claims]:
    """The statements of an honest job: `count` and `apply` read a shard each, `merge` what both hand on."""
    header, worker = plans.header(CLASSICAL), Signer("receipts", hybrid=False)
    plan = sha384(plans.plan(CLASSICAL)).hex()
    none: Claims = {name: [] for name in ("parts_in", "streams_in", "streams_out", "parts_out")}
    none |= {"plan_sha384": plan, "rows_in": 0, "rows_out": 0, "rows_status": 0, "subjects_out": 0}
    base = task_facts(CLASSICAL, header, worker) | none
    found: dict[Task, Claims] = {}
    found["plan", 0] = planning(base | {"plan_sha384": "0" * 96, "stage": "plan", "task": 0}, plan)
    for n, rows in enumerate(ROWS):
        mine = {"task": n, "rows_in": rows, "parts_in": [_part("input", n)]}
        found["count", n] = base | mine | {"stage": "count", "streams_out": [_stream(0, n)]}
    for n, rows in enumerate(ROWS):
        mine = {"task": n, "rows_in": rows, "parts_in": [_part("input", n)]}
        counted = {"rows_out": rows, "rows_status": rows, "subjects_out": rows}
        streams = {"streams_in": [_stream(0, m) for m in range(3)], "streams_out": [_stream(1, n), _stream(2, n)]}
        parts = {"parts_out": [_part("output", n), _part("output", 3 + n)]}
        found["apply", n] = base | mine | counted | streams | parts | {"stage": "apply"}
    merged = {"streams_in": [_stream(edge, n) for edge in (1, 2) for n in range(3)], "parts_out": [_part("output", 6)]}
    found["merge", 0] = base | merged | {"stage": "merge", "task": 0}
    return {task: said | {"attempt": chance(f"attempt of {task}", 16).hex()} for task, said in found.items()}


def root(documents: list[str]) -> bytes:
    """RFC 9162 §2.1 with SHA-256."""

    def of(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        half = 1 << (len(leaves) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + of(leaves[:half]) + of(leaves[half:])).digest()

    return of([each.encode() for each in documents])


def _signed(said: list[Claims]) -> list[str]:
    worker, secret = Signer("receipts", hybrid=False), statement_secret(key(), plans.header(CLASSICAL))
    return [task_statement(proven(each, secret), worker) for each in said]


def documents() -> list[str]:
    """The statements of an honest job, signed."""
    return _signed(list(statements().values()))


def key() -> bytes:
    """The data key of the job."""
    return data_key(CLASSICAL.name, hybrid=False).key


def _given(documents: list[str]) -> dict[str, Any]:
    return {
        "header": plans.header(CLASSICAL).hex(),
        "plan": plans.plan(CLASSICAL).hex(),
        "data_key": key().hex(),
        "statements": documents,
    }


def expected(documents: list[str]) -> dict[str, Any]:
    """The members of the receipt that follow from the statements of an honest job."""
    shards = [chance(f"digest of input {n}", 32) for n in range(3)]
    outputs = [chance(f"digest of output {n}", 32) for n in range(7)]
    worker = Signer("receipts", hybrid=False)
    node = {
        "worker": "worker-2", "receipt_key": key_id(worker.jwk), "evidence_sha384": "0b" * 48, "region": "eastus",
        "tee": "snp",
    }  # fmt: skip
    tasks = {
        "plan_sha384": sha384(plans.plan(CLASSICAL)).hex(),
        "statements": len(documents),
        "root_sha256": root(documents).hex(),
        "nodes": [node],
    }
    return {
        "tasks": tasks,
        "inputs": [_joined("records", shards)],
        "outputs": [
            _joined("result", outputs[:3]),
            _joined("row_status", outputs[3:6]),
            _joined("counts", outputs[6:]),
        ],
    }


def _joined(name: str, shards: list[bytes]) -> dict[str, Any]:
    digest = shards[0] if len(shards) == 1 else hashlib.sha256(b"".join(shards)).digest()
    return {"name": name, "sha256": digest.hex(), "bytes": 106 * len(shards)}


def gathered() -> Iterator[Case]:
    """Statements that make a job, and statements that do not, with what is wrong."""
    honest = statements()
    good = documents()
    yield Case.valid("eight tasks", expected=expected(good), **_given(good))
    again = honest["apply", 1] | {"attempt": "07" * 16}
    twice = _signed([*list(honest.values())[:6], again, *list(honest.values())[6:]])
    yield Case.valid("a task of two attempts", expected=expected(twice), **_given(twice))

    def broken(name: str, check: str, documents: list[str]) -> Case:
        return Case.untrue(name, f"statements: {check}", check, made_from="eight tasks", **_given(documents))

    for name, check, order in (
        ("no statement", "missing", []),
        ("the task that plans left out", "missing", [1, 2, 3, 4, 5, 6, 7]),
        ("a task left out", "missing", [0, 1, 3, 4, 5, 6, 7]),
        ("the last task left out", "missing", [0, 1, 2, 3, 4, 5, 6]),
        ("two tasks exchanged", "missing", [0, 2, 1, 3, 4, 5, 6, 7]),
        ("an attempt twice", "order", [0, 1, 1, 2, 3, 4, 5, 6, 7]),
        ("a task again behind another", "order", [0, 1, 2, 1, 3, 4, 5, 6, 7]),
    ):
        yield broken(name, check, [good[at] for at in order])
    attempts = [honest["count", 0] | {"attempt": f"{n:02}" * 16} for n in range(5)]
    five = [honest["plan", 0], *attempts, *list(honest.values())[2:]]
    yield broken("a fifth attempt of a task", "order", _signed(five))
    for name, check, task, change in _WRONG:
        said = {each: dict(facts) for each, facts in honest.items()}
        change(said[task])
        yield broken(name, check, _signed(list(said.values())))
    yield broken("a changed statement", "form", [good[0][:-1] + ("A" if good[0][-1] != "A" else "B"), *good[1:]])
    unproven = task_statement(proven(honest["plan", 0], bytes(48)), Signer("receipts", hybrid=False))
    yield broken("a statement proven under another key", "proof", [unproven, *good[1:]])


def _set(**claims: object) -> Change:
    return lambda said: said.update(claims)


def _stream_of(name: str, at: int, member: int, value: object) -> Change:
    def change(said: Claims) -> None:
        said[name] = [list(each) for each in said[name]]
        said[name][at][member] = value

    return change


_COUNT: Final = ("count", 1)
_APPLY: Final = ("apply", 1)
_WRONG: Final[tuple[tuple[str, str, Task, Change], ...]] = (
    ("another job", "job", _COUNT, _set(job_id="1" * 32)),
    ("another header", "job", _COUNT, _set(header_sha384="1" * 96)),
    ("another plan", "job", _COUNT, _set(plan_sha384="1" * 96)),
    ("a plan before there is one", "job", ("plan", 0), _set(plan_sha384="1" * 96)),
    ("another plan made", "job", ("plan", 0), _set(made_plan_sha384="1" * 96)),
    ("no plan made", "job", ("plan", 0), lambda said: said.pop("made_plan_sha384")),
    ("another stage", "job", _COUNT, _set(stage="counts")),
    ("a fourth task", "job", _COUNT, _set(task=3)),
    ("other code", "machine", _COUNT, _set(code_sha384="1" * 96)),
    ("other tables", "machine", _COUNT, _set(tables_sha256="1" * 64)),
    ("another host profile", "machine", _COUNT, _set(host_profile="cji-host-1")),
    ("another mode of the module", "machine", _COUNT, _set(fips="approved")),
    ("a simulated machine among others", "machine", _COUNT, _set(simulated=True)),
    ("a stream less", "streams", _APPLY, _set(streams_in=[_stream(0, n) for n in range(2)])),
    ("streams in another order", "streams", _APPLY, _set(streams_in=[_stream(0, n) for n in (1, 0, 2)])),
    ("a stream of another edge", "streams", _APPLY, _stream_of("streams_out", 0, 0, 2)),
    ("a stream that nobody wrote", "streams", _APPLY, _stream_of("streams_in", 0, 5, b64url(bytes(32)))),
    ("other bytes of a stream", "streams", _APPLY, _stream_of("streams_in", 0, 4, 8192)),
    ("another part", "streams", _APPLY, _stream_of("parts_in", 0, 0, 2)),
    ("other bytes of a part", "parts", _APPLY, _stream_of("parts_in", 0, 4, b64url(bytes(32)))),
    ("other rows of a shard", "rows", _APPLY, _set(rows_in=1)),
    ("a row without a status", "rows", ("apply", 0), _set(rows_status=1)),
)
