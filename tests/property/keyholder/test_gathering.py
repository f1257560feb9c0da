"""Statements make a job exactly if a slow twin, which looks at all of them at once, says so."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pymerkle import InmemoryTree

from cji_core.errors import Reason, Refusal
from cji_core.format.job import InputPart, SizeClass
from cji_core.jose import public_jwk
from cji_core.operations.stages.stage import Stage
from cji_core.trail import Facts, Statement, StatementFault, TasksClaim, read_statement
from cji_worker.keyholder.gathering import MAX_ATTEMPTS, MAX_NODES, Gathering, StatementsRefusedError
from cji_worker.keyholder.witnesses import Agreed
from tests.support.column_keys import sealed
from tests.support.task_statements import DEK, KEYS, MACHINE, ROWS, Honest

HONEST = Honest()
STAGES = {stage.name: stage for stage in HONEST.job.stages.in_order}


def gather(statements: Sequence[str], honest: Honest = HONEST) -> tuple[Agreed, TasksClaim]:
    gathering = Gathering(honest.header, honest.planned, honest.job, honest.plan, key=honest.key, machine=MACHINE)
    for statement in statements:
        gathering.add(statement)
    return gathering.finish()


def fault(statements: Sequence[str]) -> StatementFault:
    with pytest.raises(StatementsRefusedError) as caught:
        gather(statements)
    return caught.value.about


def twin(statements: Sequence[str]) -> bool:
    """Everything at once, by sets."""
    said = [read_statement(each) for each in statements]
    places = [(list(STAGES).index(each.stage), each.task) for each in said]
    attempts = [(*place, each.attempt) for place, each in zip(places, said, strict=True)]
    tasks = {(list(STAGES).index(stage.name), n) for stage, n in HONEST.places}
    written = {stream for each in said for stream in each.streams_out}
    parts: dict[int, set[Any]] = {}
    for each in said:
        for part in each.parts_in:
            parts.setdefault(part.part, set()).add(part)
    return (
        places == sorted(places)
        and set(places) == tasks
        and len(set(attempts)) == len(attempts)
        and all(places.count(place) <= MAX_ATTEMPTS for place in tasks)
        and all(stream in written for each in said for stream in each.streams_in)
        and all(len(found) == 1 for found in parts.values())
    )


def test_honest_statements_make_the_job() -> None:
    statements = HONEST.statements()
    agreed, claim = gather(statements)
    tree = InmemoryTree(algorithm="sha256")
    for statement in statements:
        tree.append_entry(statement.encode())
    assert (claim.statements, claim.root_sha256) == (len(statements), tree.get_root().hex())
    assert claim.plan_sha384 == HONEST.plan.sha384.hex()
    assert [node.worker for node in claim.nodes] == ["w"]
    assert (agreed.volumes.rows_in, agreed.volumes.rows_out) == (2 * ROWS, 14)
    assert (agreed.volumes.bytes_in, agreed.volumes.bytes_out) == (2 * 500, 6 * 500)
    assert [part.name for part in agreed.inputs] == ["records"]
    assert [part.name for part in agreed.outputs] == ["result", "row_status", "seen"]


CHOICES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=2, unique_by=lambda own: own[0]
)
EDITS = st.lists(
    st.tuples(st.sampled_from(["drop", "double", "swap"]), st.integers(0, 40), st.integers(0, 40)), max_size=2
)


@settings(max_examples=30, deadline=None)
@given(st.data(), EDITS)
def test_any_mix_of_attempts_as_the_twin_says(data: st.DataObject, edits: list[tuple[str, int, int]]) -> None:
    """Every task has some attempts, each of which read some attempts of its producers; then things go missing."""
    statements = []
    for stage, number in HONEST.places:
        for attempt, read in data.draw(CHOICES):
            statements.append(HONEST.signed(HONEST.facts(stage, number, attempt=attempt, read=read)))
    for edit, one, other in edits:
        at, to = one % len(statements), other % len(statements)
        match edit:
            case "drop":
                del statements[at]
            case "double":
                statements.insert(at, statements[to])
            case "swap":
                statements[at], statements[to] = statements[to], statements[at]
        if not statements:
            break
    try:
        gather(statements)
    except StatementsRefusedError:
        assert not twin(statements)
    else:
        assert twin(statements)


def changed(of: str, number: int = 0, **changes: Any) -> list[str]:
    """Honest statements but one, which has these facts, and a proof of them."""
    return [
        HONEST.signed(HONEST.facts(each, n, **changes if (each.name, n) == (of, number) else {}))
        for each, n in HONEST.places
    ]


def facts(stage: str, number: int = 0) -> Facts:
    return HONEST.facts(STAGES[stage], number)


def first(streams: tuple[Any, ...], **changes: Any) -> tuple[Any, ...]:
    return (replace(streams[0], **changes), *streams[1:])


FALSE: dict[str, tuple[StatementFault, Callable[[], list[str]]]] = {
    "of another job": ("job", lambda: changed("split", job_id="00" * 16)),
    "of another header": ("job", lambda: changed("split", header_sha384="00" * 48)),
    "of another plan": ("job", lambda: changed("split", plan_sha384="00" * 48)),
    "a plan before there was one": ("job", lambda: changed("count", plan_sha384=HONEST.plan.sha384.hex())),
    "made another plan": ("job", lambda: changed("plan", made_plan_sha384="00" * 48)),
    "made a plan": ("job", lambda: changed("split", made_plan_sha384=HONEST.plan.sha384.hex())),
    "no such task": ("job", lambda: changed("split", task=2)),
    "no such stage": ("job", lambda: changed("split", stage="other")),
    "on a real machine": ("machine", lambda: changed("split", simulated=False)),
    "by another release": ("machine", lambda: changed("split", code_sha384="00" * 48)),
    "by other decision tables": ("machine", lambda: changed("split", tables_sha256="00" * 32)),
    "without the host profile": ("machine", lambda: changed("split", host_profile="another")),
    "without a validated module": ("machine", lambda: changed("split", fips="approved")),
    "a stream that nobody wrote": (
        "streams",
        lambda: changed("bucket", streams_in=first(facts("bucket").streams_in, tags_sha256="A" * 43)),
    ),
    "a stream of other bytes": (
        "streams",
        lambda: changed("bucket", streams_in=first(facts("bucket").streams_in, bytes=8192)),
    ),
    "another bucket's stream": ("streams", lambda: changed("bucket", streams_in=facts("bucket", 1).streams_in)),
    "a stream left out": ("streams", lambda: changed("bucket", streams_in=facts("bucket").streams_in[1:])),
    "a producer twice": (
        "streams",
        lambda: changed("bucket", streams_in=(facts("bucket").streams_in[0],) * 2),
    ),
    "an output left out": ("streams", lambda: changed("split", streams_out=facts("split").streams_out[1:])),
    "an output that nobody read so": (
        "streams",
        lambda: changed("split", streams_out=first(facts("split").streams_out, tags_sha256="A" * 43)),
    ),
    "a part too many": ("streams", lambda: changed("label", parts_out=facts("label").parts_out * 2)),
    "other bytes of a shard": (
        "parts",
        lambda: changed("label", parts_in=first(facts("label").parts_in, sha256="A" * 43)),
    ),
    "other rows of a shard": ("rows", lambda: changed("label", rows_in=ROWS + 1)),
    "a row without a status": ("rows", lambda: changed("label", rows_status=ROWS - 1)),
}


@pytest.mark.parametrize("lie", FALSE)
def test_a_false_statement_is_refused_and_named(lie: str) -> None:
    about, statements = FALSE[lie]
    assert fault(statements()) == about


def test_other_rows_than_declared() -> None:
    """All statements agree, and the header does not."""
    more = [
        HONEST.signed(
            HONEST.facts(
                stage,
                n,
                rows_in=(ROWS + 1) * stage.records,
                rows_status=(ROWS + 1) * (stage.name == "label"),
            )
        )
        for stage, n in HONEST.places
    ]
    assert fault(more) == "rows"


def test_a_proof_needs_the_data_key() -> None:
    statements = HONEST.statements()
    own = HONEST.facts(*HONEST.places[3])
    assert fault([*statements[:3], HONEST.signed(own, key=bytes(48)), *statements[4:]]) == "proof"


@pytest.mark.parametrize("at", [3, 40, 300, 900, -40, -3])
def test_an_altered_statement(at: int) -> None:
    statements = HONEST.statements()
    text = statements[2]
    other = "A" if text[at] != "A" else "B"
    statements[2] = text[:at] + other + text[at:][1:]
    assert fault(statements) in {"form", "proof"}


def test_a_statement_signed_by_another_key_than_it_names() -> None:
    statements = HONEST.statements()
    statements[2] = HONEST.signed(HONEST.facts(*HONEST.places[2]), signer=1)
    assert fault(statements) == "form"


def test_a_second_worker_is_named() -> None:
    jwk = public_jwk(KEYS[1].public_key())
    statements = HONEST.statements()
    own = HONEST.facts(*HONEST.places[2], receipt_jwk=jwk, worker="v")
    statements[2] = HONEST.signed(own, signer=1)
    _, claim = gather(statements)
    assert [node.worker for node in claim.nodes] == ["w", "v"]


def test_no_rows_out_of_sealed_columns_whatever_tasks_state() -> None:
    """A worker of the pool that states some does not get them into the receipt."""
    part = InputPart(name="records", schema="person/1", rows_declared=2 * ROWS, shards=2, sealed_columns=("DOB",))
    changes = {"inputs": [part], "column_keys": [sealed()], "size_class": SizeClass.POWER_OF_TWO}
    honest = Honest(changes=changes)
    plain, _ = gather(HONEST.statements())
    agreed, _ = gather(honest.statements(), honest)
    assert plain.volumes.rows_out > 0
    assert agreed.volumes == replace(plain.volumes, rows_out=0, chri_rows_out=0, subjects_out=0)


def test_more_workers_than_a_receipt_has_room_for() -> None:
    honest = Honest(shards=MAX_NODES)
    gathering = Gathering(honest.header, honest.planned, honest.job, honest.plan, key=honest.key, machine=MACHINE)
    for number, (stage, n) in enumerate(honest.places[:MAX_NODES]):
        gathering.add(honest.signed(honest.facts(stage, n, evidence_sha384=f"{number:096x}")))
    with pytest.raises(Refusal) as caught:
        gathering.add(honest.signed(honest.facts(*honest.places[MAX_NODES])))
    assert caught.value.reason is Reason.LIMIT_EXCEEDED


@pytest.mark.parametrize("stage", STAGES)
def test_a_task_without_a_statement_is_named(stage: str) -> None:
    places = [(each.name, n) for each, n in HONEST.places]
    at = places.index((stage, 0))
    statements = HONEST.statements()
    with pytest.raises(StatementsRefusedError) as caught:
        gather(statements[:at] + statements[at + 1 :])
    assert (caught.value.about, caught.value.stage, caught.value.task) == ("missing", stage, 0)


def test_the_last_task_without_a_statement() -> None:
    with pytest.raises(StatementsRefusedError) as caught:
        gather(HONEST.statements()[:-1])
    assert (caught.value.about, caught.value.stage, caught.value.task) == ("missing", "label", 1)


def test_too_many_attempts() -> None:
    stage, n = HONEST.places[0]
    extra = [HONEST.signed(HONEST.facts(stage, n, attempt=attempt)) for attempt in range(MAX_ATTEMPTS + 1)]
    assert fault(extra) == "order"


def test_the_first_attempt_decides_about_outputs() -> None:
    label = STAGES["label"]
    statements = HONEST.statements()
    agreed, _ = gather(statements)
    again = HONEST.signed(HONEST.facts(label, 1, attempt=1))
    assert gather([*statements, again])[0] == agreed
    assert gather([*statements[:-1], again, statements[-1]])[0].outputs != agreed.outputs


@given(st.text(max_size=40) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_anything_else_is_no_statement(text: str) -> None:
    assert fault([text]) == "form"


def test_a_statement_reads_back() -> None:
    own = HONEST.facts(*HONEST.places[1])
    said = read_statement(HONEST.signed(own))
    assert isinstance(said, Statement)
    assert said.encoded() == own.encoded()
    assert DEK not in said.encoded()
    assert isinstance(HONEST.places[1][0], Stage)
