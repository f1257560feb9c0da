"""`validate`: the FBI's edits of NIBRS flat files, from data files that read like the specification."""

from worker.compute.nibrs.records import Records
from worker.compute.nibrs.side_tables import ON_FILE, ON_FILE_SCHEMA, ORI_TABLE, ORI_TABLE_SCHEMA
from worker.compute.nibrs.specification import RuleSet, load_rule_set
from worker.compute.nibrs.xml_reports import read_reports
from worker.compute.operations.validate.edits import Options, validate
from worker.compute.operations.validate.error_data_set import EDS_BYTES, eds
from worker.compute.operations.validate.findings import Findings, Rates, Reports
from worker.compute.operations.validate.parameters import Validate

__all__ = [
    "EDS_BYTES",
    "ON_FILE",
    "ON_FILE_SCHEMA",
    "ORI_TABLE",
    "ORI_TABLE_SCHEMA",
    "Findings",
    "Options",
    "Rates",
    "Records",
    "Reports",
    "RuleSet",
    "Validate",
    "eds",
    "load_rule_set",
    "read_reports",
    "validate",
]
