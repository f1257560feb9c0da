"""Parameters of every operation, none as by default, return from a header as they were; a header has bounds."""

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cji_core.errors import Reason, Stage
from cji_core.operations.aggregate import Aggregate, Dominance, Privacy
from cji_core.operations.clear import Clear
from cji_core.operations.deidentify import Deidentify, HmacToken
from cji_core.operations.deidentify.declaration import SmallClasses
from cji_core.operations.disseminate import Disseminate
from cji_core.operations.link import LINK, Link
from cji_core.operations.link.person_model import model_for
from cji_core.operations.match_orders import MatchOrders
from cji_core.operations.parameters import Parameters, ParametersError, Sealing
from cji_core.operations.redact import Redaction
from cji_core.operations.registry import OPERATIONS, operation_of
from cji_core.operations.screen import SCREEN, Screen
from cji_core.operations.standardize import Standardize
from cji_core.operations.tables.screening import Rules
from cji_core.operations.validate import Validate
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.clear_tools import table
from tests.support.refusals import refused

DAY, SHA256 = date(2026, 2, 1), "ab" * 32
NAMES = frozenset({"last", "first", "DOB", "SOC"})
SEARCH = Rules(
    identifiers=("SOC",), identifiers_alone=True, years=3, month_day_exchanged=True, names_exchanged=True,
    sex={"U": "U"}, race={"U": "U"},
)  # fmt: skip
FILLED: list[Parameters] = [
    Validate(rule_set="nibrs/3.1", as_of=DAY, without=("404",), also=(), tables_sha256=SHA256),
    Validate(rule_set="nibrs/3.1", as_of=DAY, without=(), also=("404",)),
    Link(
        model=model_for(NAMES), match=0.9, clerical_review_threshold=0.8, linkage="components", cluster_stop=1.5,
        oversized="leave_out", record="SID", source="agency", separators={"last": ";", "first": "/"},
        duplicates_in_source=False, never_differ=("FBI", "SOC"), placeholders={"OLN": ("0", "X")}, block_rows=7,
        pairs=8, random_pairs=9_000, training_pairs=10_000, seed=11,
    ),
    Screen(
        rules=SEARCH, max_hits=7, min_score=1.5, include_restricted=True, status_only=True, retain_seconds=9,
        tables_sha256=SHA256,
    ),
    Screen(preset="ncic_name", resident_reference=SHA256, min_score=0.0),
    Deidentify(
        columns={"SID": HmacToken(domain="sid"), "SEX": "keep", "AGE": "keep"}, project="p",
        wrapped_project_key=b"wrapped", token_map=True,
        small_classes=SmallClasses(quasi_identifiers=("SEX",), k=7, sensitive=("AGE",)),
    ),
    Aggregate(
        keys={"SEX": ("M", "F")}, person="SID", sums=("AGE",), threshold=7, base=5,
        dominance=Dominance(top=2, percent=80),
    ),
    Aggregate(
        keys={"SEX": ("M", "F")}, person="SID",
        privacy=Privacy(epsilon_thousandths=500, rows_per_person=3, project="p", wrapped_project_key=b"wrapped"),
    ),
    Aggregate(preset="srs_return_a", reports="accepted", months=("2026-01",)),
    Disseminate(recipient_class="agency", as_of=DAY, tables_sha256=SHA256),
    Clear(table=table({}), as_of=DAY, county="SOMEWHERE"),
    MatchOrders(
        match=0.98, clerical_review_threshold=0.3, remove=True, project="p", wrapped_project_key=b"wrapped", seed=4
    ),
    Standardize(columns={"NAM": "name", "DOB": "date", "x": "offense"}),
    Redaction(columns=("a", "b"), classes=("name",), marks="project", project="p", wrapped_project_key=b"wrapped"),
]  # fmt: skip


@pytest.mark.parametrize("parameters", FILLED, ids=lambda each: type(each).__name__)
def test_parameters_return_from_a_header(parameters: Parameters) -> None:
    operation = operation_of(parameters)
    message = pb.Operation.FromString(operation.message(parameters).SerializeToString())
    assert message.WhichOneof("operation") == operation.name
    assert operation.decode(getattr(message, operation.name)) == parameters


def test_every_operation_is_tried() -> None:
    assert {operation_of(each).name for each in FILLED} == OPERATIONS.keys()


def sealing(schema: str = "person/1") -> Sealing:
    return Sealing(today=DAY, schema=schema, read=lambda _: b"", wrap_project_key=lambda *_: b"")


def test_the_day_of_sealing_is_taken_where_there_is_no_other() -> None:
    other = date(2025, 1, 2)
    given: list[Any] = [
        Validate(rule_set="ncic/1"), Disseminate(recipient_class="agency"), Clear(table=table({})),
    ]  # fmt: skip
    for parameters in given:
        complete = operation_of(parameters).complete
        assert complete(parameters, sealing()).as_of == DAY
        assert complete(msgspec.structs.replace(parameters, as_of=other), sealing()).as_of == other


def test_the_rule_set_is_that_of_the_records() -> None:
    complete: Any = OPERATIONS["validate"].complete
    assert complete(Validate(), sealing("person/1")).rule_set == "ncic/1"
    assert complete(Validate(), sealing("nibrs.flat/3.1")).rule_set == complete(
        Validate(), sealing("nibrs.xml/2019.1")
    ).rule_set != "ncic/1"  # fmt: skip
    assert complete(Validate(rule_set="nibrs/3.1"), sealing("person/1")).rule_set == "nibrs/3.1"


def test_a_search_is_the_default_one_where_there_is_no_other() -> None:
    assert SCREEN.complete(Screen(), sealing()).preset is not None
    for parameters in (Screen(preset="other"), Screen(rules=SEARCH)):
        assert SCREEN.complete(parameters, sealing()) == parameters


def test_columns_that_records_to_link_need() -> None:
    assert LINK.columns(Link(), NAMES) == NAMES | {"cluster"}
    with pytest.raises(ParametersError, match="have a column cluster already"):
        LINK.columns(Link(), NAMES | {"cluster"})
    with pytest.raises(ParametersError, match="no rule for these columns"):
        LINK.columns(Link(), frozenset({"SEX"}))
    for own in (Link(model=model_for(NAMES)), Link(splink=Path("model.json"))):
        assert LINK.columns(own, frozenset({"SEX"})) == {"SEX", "cluster"}


def test_a_model_in_a_header_has_a_limit() -> None:
    encoded = msgspec.json.encode(model_for(NAMES))
    good = LINK.encode(Link(model=model_for(NAMES)))
    for model in (b"{", b"[" * 100_000, b"{}", encoded.ljust(1 << 20)):
        message = pb.Link.FromString(good.SerializeToString())
        message.model = model
        with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
            LINK.decode(message)


@pytest.mark.parametrize(("clerical", "match"), [(0.0, 0.5), (-0.1, 0.5), (0.6, 0.5), (0.5, 1.0), (0.5, 1.1)])
def test_thresholds_of_a_link(clerical: float, match: float) -> None:
    assert Link(clerical_review_threshold=0.5, match=0.5)
    with pytest.raises(ValueError, match="clerical_review_threshold"):
        Link(clerical_review_threshold=clerical, match=match)
