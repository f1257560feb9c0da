"""`validate`: the FBI's edits of NIBRS flat files, from data files that read like the specification."""

from worker.compute.validate.eds import EDS, EDS_BYTES, eds
from worker.compute.validate.findings import Findings, Rates, Reports
from worker.compute.validate.judge import Options, validate
from worker.compute.validate.sides import ON_FILE, ON_FILE_SCHEMA, ORI_TABLE, ORI_TABLE_SCHEMA
from worker.compute.validate.specification import RuleSet, load_rule_set

__all__ = [
    "EDS",
    "EDS_BYTES",
    "ON_FILE",
    "ON_FILE_SCHEMA",
    "ORI_TABLE",
    "ORI_TABLE_SCHEMA",
    "Findings",
    "Options",
    "Rates",
    "Reports",
    "RuleSet",
    "eds",
    "load_rule_set",
    "validate",
]
