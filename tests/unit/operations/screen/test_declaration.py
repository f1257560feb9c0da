"""What a search needs before any record is read: one kind of search, and the tables that the job expects."""

from collections.abc import Callable

import msgspec
import pytest

from cji_core.errors import Reason, Stage
from cji_core.operations.disseminate import DISSEMINATE, Disseminate
from cji_core.operations.parameters import Parameters
from cji_core.operations.registry import operation_of
from cji_core.operations.screen import HITS, SCREEN, SHOWN, Screen
from cji_core.operations.tables.screening import Rules
from cji_core.operations.validate import Validate
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.contexts import TABLES
from tests.support.refusals import refused

SEARCH = Rules(
    identifiers=("SOC",), identifiers_alone=True, years=3, month_day_exchanged=True, names_exchanged=True,
    sex={"U": "U"}, race={"U": "U"},
)  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "x", "rules": SEARCH},
        {"retain_seconds": 1, "resident_reference": "ab" * 32},
        {"min_score": float("nan")},
        {"min_score": float("inf")},
    ],
)
def test_searches_that_make_no_sense(fields: dict[str, object]) -> None:
    make: Callable[..., Screen] = Screen
    with pytest.raises(ValueError, match=next(iter(fields))):
        make(**fields)


def test_a_header_has_one_kind_of_search_that_can_be_read() -> None:
    message = SCREEN.message(Screen(rules=SEARCH)).screen
    assert SCREEN.decode(message) == Screen(rules=SEARCH)
    for changes in (
        {"preset": "ncic_name"}, {"rules": b""}, {"rules": b"{"}, {"rules": b"[" * 100_000}, {"rules": b"{}"},
    ):  # fmt: skip
        wrong = pb.Screen.FromString(message.SerializeToString())
        for name, value in changes.items():
            setattr(wrong, name, value)
        with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
            SCREEN.decode(wrong)


def test_the_rules_in_a_header_have_a_limit() -> None:
    encoded = msgspec.json.encode(SEARCH)
    assert SCREEN.decode(pb.Screen(rules=encoded.ljust(64 << 10), max_hits=1)).rules == SEARCH
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        SCREEN.decode(pb.Screen(rules=encoded.ljust((64 << 10) + 1), max_hits=1))


def test_a_preset_is_one_of_the_tables() -> None:
    SCREEN.check_tables(Screen(rules=SEARCH), TABLES)
    for preset in TABLES.screening.presets:
        SCREEN.check_tables(Screen(preset=preset), TABLES)
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        SCREEN.check_tables(Screen(preset="unknown"), TABLES)


@pytest.mark.parametrize(
    "parameters",
    [Screen(preset=next(iter(TABLES.screening.presets))), Disseminate(recipient_class="criminal_justice"), Validate()],
    ids=["screen", "disseminate", "validate"],
)
def test_the_tables_are_those_that_the_job_expects(parameters: Parameters) -> None:
    check = operation_of(parameters).check_tables
    for digest in (None, TABLES.sha256.hex()):
        check(msgspec.structs.replace(parameters, tables_sha256=digest), TABLES)
    with refused(stage=Stage.ADMIT):
        check(msgspec.structs.replace(parameters, tables_sha256="ab" * 32), TABLES)


def test_recipients_are_those_of_the_tables() -> None:
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        DISSEMINATE.check_tables(Disseminate(recipient_class="unknown"), TABLES)


def test_columns_of_the_reference_that_hits_show() -> None:
    assert SHOWN == ("NIC", "ORI", "OCA", "MKE", "file_code", "EXL", "CMC")
    assert set(SHOWN) <= set(HITS.schema.arrow.names)
