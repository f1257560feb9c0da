"""The registry and the plan of a job: declarations are consistent, side tables have a role, an order makes sense."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.records import SCHEMAS as INPUT_SCHEMAS
from cji_core.operations.aggregate import Aggregate
from cji_core.operations.declaration import Operation
from cji_core.operations.deidentify import Deidentify, HmacToken
from cji_core.operations.disseminate import Disseminate
from cji_core.operations.link import Link
from cji_core.operations.parameters import Parameters, Sealing, decoded
from cji_core.operations.registry import CODES, OPERATIONS, SCHEMAS, AnyParameters, meaning_of, operation_of, plan
from cji_core.operations.screen import Screen
from cji_core.operations.status_codes import CellCode, ValueCode
from cji_core.operations.validate import Validate
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.operation import Case
from cji_operations.registry import IMPLEMENTATIONS
from tests.support.contexts import TABLES
from tests.support.refusals import refused

DAY = date(2026, 2, 1)
ALL = [pytest.param(operation, id=name) for name, operation in OPERATIONS.items()]
CASES = [(operation, case) for name, operation in OPERATIONS.items() for case in IMPLEMENTATIONS[name].self_test]


def messages(*parameters: Parameters, schema: str = "person/1") -> list[pb.Operation]:
    """Operations as a client seals them."""
    sealing = Sealing(today=DAY, schema=schema, read=Path.read_bytes, wrap_project_key=lambda *_: bytes(384))
    return [operation_of(each).message(operation_of(each).complete(each, sealing)) for each in parameters]


def test_the_registry_has_every_member_of_the_oneof() -> None:
    assert list(OPERATIONS) == [field.name for field in pb.Operation.DESCRIPTOR.oneofs_by_name["operation"].fields]


def test_no_schema_and_no_code_is_declared_twice() -> None:
    schemas = Counter([*INPUT_SCHEMAS, *(s.schema_id for each in OPERATIONS.values() for s in each.schemas)])
    codes = Counter([*ValueCode, *CellCode, *(code for each in OPERATIONS.values() for code in each.codes)])
    assert set(schemas.values()) == set(codes.values()) == {1}
    assert schemas.keys() == SCHEMAS.keys()
    assert codes.keys() == CODES.keys()
    assert all(code.meaning.endswith(".") for code in CODES.values())


@pytest.mark.parametrize(("operation", "case"), CASES)
def test_parameters_survive_their_encoding(operation: Operation[Any], case: Case) -> None:
    again = operation.decode(operation.encode(case.parameters))
    assert again == case.parameters
    assert operation.encode(again) == operation.encode(case.parameters)


@pytest.mark.parametrize(("operation", "case"), CASES)
def test_a_self_test_case_is_a_job_of_its_own(operation: Operation[Any], case: Case) -> None:
    inputs = {name: schema for name, (schema, _) in case.sides.items()} | {"records": case.schema}
    planned = plan([operation.message(case.parameters)], inputs, TABLES)
    assert planned.operations[0].parameters == case.parameters
    names = [part.name for part in planned.outputs]
    assert names[:2] == ["result", "row_status"]
    assert {part.schema.schema_id for part in planned.outputs} <= SCHEMAS.keys()


@pytest.mark.parametrize("operation", ALL)
def test_the_kind_in_a_job_spec_is_the_name(operation: Operation[Any]) -> None:
    case = IMPLEMENTATIONS[operation.name].self_test[0]
    fields = msgspec.to_builtins(case.parameters)
    assert fields["kind"] == operation.name
    assert msgspec.convert(fields, AnyParameters) == case.parameters
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        decoded(operation.parameters, {"no such field": 1})


RESIDENT = Screen(resident_reference="0" * 64)


@pytest.mark.parametrize(
    ("parameters", "sides"),
    [
        (Link(), {"link_to": "person/1"}),
        (Link(), {}),
        (Screen(), {"reference": "hotfile/1"}),
        (RESIDENT, {}),
    ],
)
def test_a_side_table_has_the_name_of_its_role(parameters: Parameters, sides: dict[str, str]) -> None:
    plan(messages(parameters), {**sides, "records": "person/1"})


@pytest.mark.parametrize(
    ("parameters", "sides"),
    [
        (Link(), {"another": "person/1"}),
        (Link(), {"link_to": "hotfile/1"}),
        (Link(), {"link_to": "person/1", "on_file": "nibrs_on_file/1"}),
        (Screen(), {}),
        (Screen(), {"hot": "hotfile/1"}),
        (Screen(), {"reference": "person/1"}),
        (RESIDENT, {"reference": "hotfile/1"}),
    ],
)
def test_any_other_side_table_is_refused(parameters: Parameters, sides: dict[str, str]) -> None:
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        plan(messages(parameters), {**sides, "records": "person/1"})


def test_a_side_table_follows_the_schema_of_the_records() -> None:
    plan(messages(Link()), {"link_to": "hotfile/1", "records": "hotfile/1"})
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        plan(messages(Link()), {"link_to": "person/1", "records": "hotfile/1"})


def test_optional_side_tables_may_be_absent() -> None:
    (operation,) = messages(Validate(), schema="nibrs.flat/3.1")
    for sides in ({}, {"on_file": "nibrs_on_file/1"}, {"ori_table": "nibrs_ori/1", "on_file": "nibrs_on_file/1"}):
        plan([operation], {**sides, "records": "nibrs.flat/3.1"})
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        plan(messages(Validate()), {"ori_table": "nibrs_ori/1", "records": "person/1"})


@pytest.mark.parametrize("first", [Validate(), RESIDENT, Aggregate(keys={"SEX": ()})])
def test_nothing_follows_a_terminal_operation(first: Parameters) -> None:
    plan(messages(first), {"records": "person/1"})
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        plan(messages(first, Link()), {"records": "person/1"})


def test_a_plan_has_outputs_projects_and_reference_in_order() -> None:
    keyed = [Deidentify(project=name, columns={"NIC": HmacToken(domain="d")}) for name in ("one", "two")]
    planned = plan(messages(*keyed, Disseminate(recipient_class="criminal_justice")), {"records": "hotfile/1"})
    assert [project.name for project in planned.projects] == ["one", "two"]
    assert [part.name for part in planned.outputs] == ["result", "row_status", "ledger", "withheld"]
    assert planned.outputs[0].schema is SCHEMAS["hotfile/1"]
    counted = plan(messages(Aggregate(keys={"SEX": ()})), {"records": "person/1"})
    assert counted.outputs[0].schema is SCHEMAS["aggregate_cells/1"]
    assert planned.reference is None
    (screen,) = messages(Screen(retain_seconds=5))
    kept = plan([screen], {"reference": "hotfile/1", "records": "person/1"}).reference
    assert kept is not None
    assert (kept.side, kept.seconds, kept.sha256) == ("reference", 5, b"")
    used = plan(messages(Screen(resident_reference="ab" * 32)), {"records": "person/1"}).reference
    assert used is not None
    assert (used.side, used.seconds, used.sha256) == ("reference", 0, b"\xab" * 32)


def test_two_operations_cannot_make_a_part_of_one_name() -> None:
    twice = Deidentify(project="p", columns={"SOC": HmacToken(domain="d")}, token_map=True)
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        plan(messages(twice, twice), {"records": "person/1"})


def test_a_job_without_operations_or_inputs_is_refused() -> None:
    for operations, inputs in (([], {"records": "person/1"}), (messages(Link()), {}), ([pb.Operation()], {"r": "x/1"})):
        with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
            plan(operations, inputs)


def test_what_is_left_out_is_filled_when_the_job_is_sealed() -> None:
    (validate,) = plan(messages(Validate()), {"records": "person/1"}).operations
    assert validate.parameters == Validate(rule_set="ncic/1", as_of=DAY)
    (nibrs,) = plan(messages(Validate(), schema="nibrs.flat/3.1"), {"records": "nibrs.flat/3.1"}).operations
    assert nibrs.parameters == Validate(rule_set="nibrs/period", as_of=DAY)
    (release,) = plan(messages(Disseminate(recipient_class="a")), {"records": "hotfile/1"}).operations
    assert release.parameters == Disseminate(recipient_class="a", as_of=DAY)
    (screen,) = plan(messages(Screen()), {"reference": "hotfile/1", "records": "person/1"}).operations
    assert screen.parameters == Screen(preset="ncic_qw")
    given = Validate(rule_set="ncic/1", as_of=date(2020, 1, 1))
    assert plan(messages(given), {"records": "person/1"}).operations[0].parameters == given


@pytest.mark.parametrize("parameters", [Validate(), Disseminate(recipient_class="a"), Link(splink=Path("model.json"))])
def test_incomplete_parameters_reach_no_header(parameters: Parameters) -> None:
    with pytest.raises(TypeError, match="not complete"):
        operation_of(parameters).message(parameters)


def test_what_is_declared_is_computed() -> None:
    """Every operation has its implementation, and every one of its stages has its function."""
    assert list(IMPLEMENTATIONS) == list(OPERATIONS)
    for name, operation in OPERATIONS.items():
        implementation = IMPLEMENTATIONS[name]
        assert implementation.operation is operation
        for parameters in (case.parameters for case in implementation.self_test):
            stages = operation.stages(parameters)
            declared = [] if stages is None else [stage.name for stage in stages.in_order]
            assert list(implementation.stages(parameters)) == declared


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (20_000, "A code of a later version."),
        (20_404, "NIBRS rule 404"),
        (20_999, "NIBRS rule 999"),
        (21_000, "The report is rejected as a whole."),
        (21_001, "The row has only blanks."),
        (21_002, "A code of a later version."),
        (701, "The row names no subject, so it is in nobody's history."),
    ],
)
def test_a_code_in_words(code: int, words: str) -> None:
    assert meaning_of(code) == words
