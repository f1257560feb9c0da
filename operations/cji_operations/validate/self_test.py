"""A NIBRS segment, a report in XML and a record of a hot file, all full of findings."""

import datetime
from typing import Final

from cji_core.operations.validate import NCIC, Validate
from cji_operations.operation import Case

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
