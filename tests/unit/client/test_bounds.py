"""The most bytes of a result: from what was sent, and for each record what its operations declare."""

from typing import Any

import pytest

from cji_client.bounds import BYTES_PER_BYTE, LEAST_BYTES, check_bytes, most_result_bytes
from cji_client.errors import Unverified
from cji_core.format.job import InputPart, SizeClass, parse
from cji_core.operations.link import Link
from cji_core.operations.parameters import Parameters
from cji_core.operations.registry import OPERATIONS, SCHEMAS
from cji_core.operations.screen import Screen
from cji_core.operations.validate import Validate
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.job_headers import NOW, OPERATION, make

SENT, ROWS = 1000, 10


def most(*operations: pb.Operation, rows: int | None = ROWS, **changes: Any) -> int:
    people = InputPart(name="people", schema="person/1", rows_declared=rows)
    return most_result_bytes(parse(make(operations=list(operations), inputs=[people], **changes)), SENT)


def message(parameters: Parameters) -> pb.Operation:
    return OPERATIONS[str(parameters.__struct_config__.tag)].message(parameters)


@pytest.mark.parametrize(
    ("operation", "each"),
    [
        (OPERATION, 4 << 10),
        (message(Validate(rule_set="ncic/1", as_of=NOW.date())), 16 << 10),
        (message(Link()), 16 << 10),
        (message(Screen(preset="ncic_qw", max_hits=3)), 12 << 10),
        (message(Screen(preset="ncic_qw", max_hits=1)), 4 << 10),
    ],
)
def test_a_record_may_become_as_much_as_its_operation_declares(operation: pb.Operation, each: int) -> None:
    assert most(operation) == LEAST_BYTES + BYTES_PER_BYTE * SENT + each * ROWS


def test_operations_add_up_and_padding_doubles() -> None:
    both = LEAST_BYTES + 2 * BYTES_PER_BYTE * SENT + (20 << 10) * ROWS
    assert most(OPERATION, message(Link())) == both
    assert most(OPERATION, message(Link()), size_class=SizeClass.POWER_OF_TWO) == 2 * both


def test_undeclared_rows_are_as_short_as_can_be() -> None:
    rows = 8 * SENT // SCHEMAS["person/1"].least_row_bits
    assert most(OPERATION, rows=None) == LEAST_BYTES + BYTES_PER_BYTE * SENT + (4 << 10) * rows


def test_one_byte_more_is_unverified() -> None:
    check_bytes(100, 100)
    with pytest.raises(Unverified) as caught:
        check_bytes(101, 100)
    assert caught.value.check == "result_bytes"
