"""`validate`: the FBI's edits of NIBRS flat files, from data files that read like the specification."""

from cji_operations.nibrs.side_tables import ON_FILE_SCHEMA, ORI_TABLE_SCHEMA
from cji_operations.nibrs.specification import RuleSet, load_rule_set
from cji_operations.validate.edits import Options, validate
from cji_operations.validate.error_data_set import EDS_BYTES, eds
from cji_operations.validate.findings import Findings

__all__ = [
    "EDS_BYTES",
    "ON_FILE_SCHEMA",
    "ORI_TABLE_SCHEMA",
    "Findings",
    "Options",
    "RuleSet",
    "eds",
    "load_rule_set",
    "validate",
]
