"""`validate` as an operation: a rule set for NIBRS submissions or for columns, `NAME/VERSION`, decides which it is."""

import datetime
from typing import Final

import pyarrow as pa

from cji_core.operations.validate import COLUMNS_BY_SHARD, COUNTS, NCIC, VALIDATE, Validate
from cji_operations.operation import Case, Context, Implementation, TableOperation
from cji_operations.stages.by_shard import by_shard
from cji_operations.stages.task import StageFunctions
from cji_operations.validate import ncic, nibrs
from cji_operations.validate.nibrs_parts import NIBRS_FUNCTIONS


def _prepare(parameters: Validate, schema_id: str, schema: pa.Schema, context: Context) -> TableOperation:
    if parameters.is_nibrs:
        return nibrs.prepare(parameters, schema_id, context)
    return ncic.prepare(parameters, schema, context)


def _functions(parameters: Validate) -> StageFunctions:
    if parameters.is_nibrs:
        return NIBRS_FUNCTIONS
    return by_shard(COLUMNS_BY_SHARD, _prepare, {COUNTS.name: ncic.merge_counts})


_DAY: Final = datetime.date(2026, 1, 1)

_REPORT: Final = (
    "<nibrs:Report><nibrs:ReportHeader><nibrs:NIBRSReportCategoryCode>GROUP A INCIDENT REPORT"
    "</nibrs:NIBRSReportCategoryCode></nibrs:ReportHeader><nc:Incident><!-- none --></nc:Incident>"
    '<j:Offense s:id="a"><j:OffenseAttemptedIndicator>?</j:OffenseAttemptedIndicator></j:Offense>'
    '<j:Victim s:id="b"><nc:RoleOfPerson s:ref="c"/></j:Victim></nibrs:Report>'
)

CASES: Final = (
    Case(
        schema="nibrs.flat/3.1",
        row={"segment": "00431I012026    GA0600000" + "X" * 18},
        parameters=Validate(rule_set="nibrs/3.1", as_of=_DAY),
    ),
    Case(
        schema="hotfile/1",
        row={"NIC": "W", "NAM": "DOE", "SEX": "Q", "SOC": "1", "MNU": "AF-1", "HGT": "1", "VIN": "1", "entered": "1"},
        parameters=Validate(rule_set=NCIC, as_of=_DAY),
    ),
    Case(schema="nibrs.xml/2019.1", row={"report": _REPORT}, parameters=Validate(rule_set="nibrs/period", as_of=_DAY)),
)
"""A NIBRS segment, a report in XML and a record of a hot file, all full of findings."""

IMPLEMENTATION: Final = Implementation(operation=VALIDATE, prepare=_prepare, self_test=CASES, stages=_functions)
