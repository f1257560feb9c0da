"""Declarations: what they refuse before anything is sealed, and the inputs, outputs and stages that they state."""

from datetime import date

import pytest

from cji_core.operations.aggregate import AGGREGATE, Aggregate, Dominance
from cji_core.operations.clear import Clear
from cji_core.operations.deidentify import Deidentify, HmacToken
from cji_core.operations.disseminate import Disseminate
from cji_core.operations.link import Link
from cji_core.operations.parameters import Parameters, ParametersError
from cji_core.operations.redact import Redaction
from cji_core.operations.registry import OPERATIONS, STEPS, operation_of
from cji_core.operations.screen import Screen
from cji_core.operations.stages.stage import Stage
from cji_core.operations.standardize import Standardize
from cji_core.operations.validate import Validate
from tests.support.clear_tools import table


def test_columns_that_an_aggregate_reads_must_be_there() -> None:
    there = frozenset({"SEX", "RAC", "AGE", "NAM"})
    parameters = Aggregate(keys={"SEX": ()}, sums=("AGE",), person="NAM")
    assert AGGREGATE.columns(parameters, there) == there
    for missing in ("SEX", "AGE", "NAM"):
        with pytest.raises(ParametersError, match=f"^no column {missing}$"):
            AGGREGATE.columns(parameters, there - {missing})


def test_steps_of_progress() -> None:
    """Consoles and front ends name them; a worker reports no other."""
    steps = {
        "validate": ("check",),
        "link": ("count", "train", "compare", "cluster"),
        "screen": (),
        "deidentify": ("count",),
        "aggregate": ("count", "group"),
        "disseminate": (),
        "clear": ("facts", "decide"),
        "match_orders": (),
        "redact": (),
        "standardize": (),
    }
    assert {name: operation.steps for name, operation in OPERATIONS.items()} == steps
    assert set(STEPS) == {"rows", *(step for each in steps.values() for step in each)}


def test_operations_whose_result_no_other_one_takes() -> None:
    assert {name for name, operation in OPERATIONS.items() if operation.terminal} == {"validate", "screen", "aggregate"}


def test_codes_of_rows() -> None:
    """The first, the last and the number of each operation's."""
    codes = {
        "validate": (301, 313, 7),
        "link": (401, 402, 2),
        "screen": (501, 504, 4),
        "deidentify": (102, 115, 14),
        "aggregate": (601, 614, 7),
        "disseminate": (201, 208, 8),
        "clear": (701, 707, 7),
        "match_orders": (801, 802, 2),
        "redact": (901, 904, 4),
        "standardize": (911, 916, 6),
    }
    found = {name: sorted(operation.codes) for name, operation in OPERATIONS.items()}
    assert {name: (each[0].value, each[-1].value, len(each)) for name, each in found.items()} == codes


def test_records_that_only_one_operation_makes() -> None:
    schemas = {
        "validate": [
            "findings/1",
            "finding_counts/1",
            "nibrs_eds/3.1",
            "nibrs_findings/1",
            "nibrs_incidents/1",
            "nibrs_rates/1",
        ],
        "link": [
            "blocks/1",
            "bridges/1",
            "clusters/1",
            "completeness/1",
            "levels/1",
            "pairs/1",
            "patterns/1",
            "thresholds/1",
            "weights/1",
        ],
        "screen": ["hits/1", "outcomes/1"],
        "deidentify": ["disclosure_risk/1", "k_anonymity/1", "token_map/1"],
        "aggregate": ["aggregate_cells/1", "return_a/1", "return_a_accounting/1", "shr/1"],
        "disseminate": ["ledger/1", "withheld/1"],
        "clear": ["determinations/1", "not_decided/1"],
        "match_orders": ["applied/1", "work_list/1"],
        "redact": ["redacted_spans/1"],
        "standardize": ["changes/1"],
    }
    found = {name: {one.schema_id for one in operation.schemas} for name, operation in OPERATIONS.items()}
    assert found == {name: set(each) for name, each in schemas.items()}


def written(parameters: Parameters) -> list[str]:
    """The inputs and outputs of an operation, and its stages, a line each."""
    operation = operation_of(parameters)
    signature, stages = operation.signature(parameters), operation.stages(parameters)
    parts = [f"{part.name} {part.schema.schema_id}" for part in signature.parts]
    sides = [f"{side.name} {side.schema}{' required' if side.required else ''}" for side in signature.sides]
    lines = [f"{', '.join(sorted(signature.accepts))} -> {signature.result or 'the same'}"]
    lines += [f"also {', '.join(parts)}"] if parts else []
    lines += [f"with {', '.join(sides)}"] if sides else []
    return lines + [_stage(stage) for stage in (stages.in_order if stages else ())]


def _stage(stage: Stage) -> str:
    edges = [f"{edge.name}{' each' if edge.each else ''}{' aligned' if edge.aligned else ''}" for edge in stage.writes]
    facts = {
        "records": "records" if stage.records else "",
        "sides": " ".join(stage.sides),
        "reads": " ".join(stage.reads),
        "writes": ", ".join(edges),
        "plans": "plans" if stage.plans else "",
        "outputs": " ".join(stage.outputs),
    }
    return "; ".join(
        [f"{stage.name} of {stage.width.value}", *(f"{name} {text}" for name, text in facts.items() if text)]
    )


DAY = date(2026, 2, 1)
DECLARED: list[tuple[Parameters, list[str]]] = [
    (
        Validate(rule_set="nibrs/3.1", as_of=DAY),
        [
            "nibrs.flat/3.1, nibrs.xml/2019.1 -> nibrs_findings/1",
            "also incidents nibrs_incidents/1, rates nibrs_rates/1, eds nibrs_eds/3.1",
            "with ori_table nibrs_ori/1, on_file nibrs_on_file/1",
            "survey of shards; records records; writes surveys, standards, heads",
            "cut of shards; records records; reads surveys standards heads; writes reports each",
            "relate of shards; sides on_file; reads reports; writes related each",
            "check of shards; records records; sides ori_table on_file; reads surveys standards heads "
            "related; writes statuses each, rates; outputs result incidents eds",
            "status of shards; reads statuses; outputs row_status",
            "merge of one; reads rates; outputs rates",
        ],
    ),
    (
        Validate(rule_set="ncic/1", as_of=DAY),
        [
            "chri_event/1, chri_event/2, hotfile/1, person/1 -> findings/1",
            "also counts finding_counts/1",
            "count of shards; records records; writes rows",
            "apply of shards; records records; reads rows; writes columns, counts; outputs result",
            "merge of one; reads columns counts; outputs counts",
        ],
    ),
    (
        Link(),
        [
            "hotfile/1, person/1 -> the same",
            "also pairs pairs/1, patterns patterns/1, levels levels/1, clusters clusters/1, bridges "
            "bridges/1, blocks blocks/1, weights weights/1, completeness completeness/1, "
            "thresholds thresholds/1",
            "with link_to None",
            "count of shards; records records; sides link_to; writes shards, read each, facts aligned",
            "unite of shards; reads shards read; writes counts, firsts, tallies, slots, values each, sample, "
            "columns aligned, members aligned, named aligned",
            "plan of one; reads shards counts firsts tallies slots sample; writes plan, ranks each; plans plans",
            "frequencies of shards; reads plan values; writes frequencies each, squares",
            "split of shards; reads columns members named plan ranks frequencies; writes table each, random each, "
            "own, filled, rows each, marked each, twins, together",
            "observe of planned; reads plan table random; writes bound aligned, counted, patterns",
            "train of one; reads plan squares filled counted patterns; writes model",
            "pairs of planned; reads plan model bound; writes weighed each, forest, new_pairs",
            "components of one; reads plan twins together forest; writes homes each, same",
            "gather of planned; reads plan rows homes weighed; writes paired each, beside each",
            "list of planned; reads plan rows homes marked paired beside; writes inside each, marks each, "
            "linked each, apart aligned, across aligned, alone each, tallied, summed",
            "report of one; reads model own new_pairs tallied summed; writes reported, codes; "
            "outputs patterns levels blocks weights completeness thresholds",
            "cluster of planned; reads plan same inside marks linked apart across reported codes; "
            "writes of_pairs each, of_clusters each, of_bridges each, labels each",
            "order of planned; reads of_pairs of_clusters of_bridges; outputs pairs clusters bridges",
            "label of shards; records records; reads facts alone labels plan; outputs result row_status",
        ],
    ),
    (
        Screen(),
        [
            "hotfile/1, person/1 -> outcomes/1",
            "also hits hits/1, reference_status row_status/1",
            "with reference hotfile/1 required",
            "count of shards; records records; writes rows",
            "apply of shards; records records; sides reference; reads rows; outputs result hits reference_status",
        ],
    ),
    (
        Screen(retain_seconds=5),
        [
            "hotfile/1, person/1 -> outcomes/1",
            "also hits hits/1, reference_status row_status/1",
            "with reference hotfile/1 required",
        ],
    ),
    (
        Screen(resident_reference="0" * 64),
        [
            "hotfile/1, person/1 -> outcomes/1",
            "also hits hits/1",
        ],
    ),
    (
        Aggregate(preset="srs_return_a", reports="accepted"),
        [
            "nibrs.flat/3.1 -> return_a/1",
            "also accounting return_a_accounting/1",
            "with incidents nibrs_verdicts/1 required",
        ],
    ),
    (
        Aggregate(preset="srs_return_a", reports="all"),
        [
            "nibrs.flat/3.1 -> return_a/1",
            "also accounting return_a_accounting/1",
        ],
    ),
    (
        Aggregate(keys={"SEX": ()}),
        [
            "chri_event/1, chri_event/2, hotfile/1, person/1 -> aggregate_cells/1",
            "group of shards; records records; writes cells",
            "merge of one; reads cells; outputs result",
        ],
    ),
    (
        Aggregate(keys={"SEX": ()}, person="SID"),
        [
            "chri_event/1, chri_event/2, hotfile/1, person/1 -> aggregate_cells/1",
            "group of shards; records records; writes cells, persons each",
            "values of one; reads cells; writes values",
            "count of shards; reads values persons; writes counted",
            "merge of one; reads cells counted; outputs result",
        ],
    ),
    (
        Aggregate(keys={"SEX": ()}, sums=("AGE",), dominance=Dominance(percent=80)),
        [
            "chri_event/1, chri_event/2, hotfile/1, person/1 -> aggregate_cells/1",
            "group of shards; records records; writes cells, persons each",
            "values of one; reads cells; writes values",
            "count of shards; reads values persons; writes leaders",
            "merge of one; reads cells leaders; outputs result",
        ],
    ),
    (
        Aggregate(keys={"SEX": ()}, person="SID", sums=("AGE",), dominance=Dominance(percent=80)),
        [
            "chri_event/1, chri_event/2, hotfile/1, person/1 -> aggregate_cells/1",
            "group of shards; records records; writes cells, persons each",
            "values of one; reads cells; writes values",
            "count of shards; reads values persons; writes counted, leaders",
            "merge of one; reads cells counted leaders; outputs result",
        ],
    ),
    (
        Disseminate(recipient_class="a", as_of=DAY),
        [
            "chri_event/1, chri_event/2, hotfile/1 -> the same",
            "also ledger ledger/1, withheld withheld/1",
            "apply of shards; records records; writes columns, ledger, withheld; outputs result",
            "merge of one; reads columns ledger withheld; outputs ledger withheld",
        ],
    ),
    (
        Clear(table=table({})),
        [
            "chri_event/2 -> the same",
            "also determinations determinations/1, not_decided not_decided/1",
            "count of shards; records records; writes rows",
            "deal of shards; records records; writes histories each",
            "decide of shards; reads histories; writes reliefs each, statuses each, determinations each, "
            "not_decided each",
            "relieve of shards; records records; reads rows reliefs statuses determinations not_decided; "
            "outputs result determinations not_decided",
        ],
    ),
    (
        Standardize(columns={"NAM": "name", "DOB": "date"}),
        [
            "hotfile/1, person/1 -> the same",
            "also changes changes/1",
            "count of shards; records records; writes rows",
            "apply of shards; records records; sides offense_codes; reads rows; outputs result changes",
        ],
    ),
    (
        Standardize(columns={"offense_code": "offense"}),
        [
            "chri_event/1, chri_event/2, hotfile/1, person/1 -> the same",
            "also changes changes/1",
            "with offense_codes offense_codes/1",
            "count of shards; records records; writes rows",
            "apply of shards; records records; sides offense_codes; reads rows; outputs result changes",
        ],
    ),
    (
        Redaction(columns=("narrative",)),
        [
            "chri_event/1, chri_event/2, hotfile/1, narrative/1, person/1 -> the same",
            "also spans redacted_spans/1",
            "with persons person/1, words words/1",
            "count of shards; records records; writes rows",
            "apply of shards; records records; sides persons words; reads rows; outputs result spans",
        ],
    ),
    (
        Deidentify(columns={"SEX": "keep"}),
        [
            "chri_event/1, chri_event/2, hotfile/1, person/1 -> the same",
            "apply of shards; records records; outputs result",
        ],
    ),
    (
        Deidentify(project="p", wrapped_project_key=bytes(60), columns={"NIC": HmacToken(domain="d")}, token_map=True),
        [
            "chri_event/1, chri_event/2, hotfile/1, person/1 -> the same",
            "also token_map token_map/1",
            "apply of shards; records records; writes columns, token_map; outputs result",
            "merge of one; reads columns token_map; outputs token_map",
        ],
    ),
]


@pytest.mark.parametrize(("parameters", "lines"), DECLARED)
def test_inputs_outputs_and_stages_are_as_declared(parameters: Parameters, lines: list[str]) -> None:
    """Submitters, auditors and the fleet know an operation by these: they change with a format only."""
    assert written(parameters) == lines
