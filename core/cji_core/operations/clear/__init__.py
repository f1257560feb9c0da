"""`clear`, declared: the charges that the law of a state relieves, by a table of rules."""

from cji_core.operations.clear.declaration import CLEAR, Clear
from cji_core.operations.clear.reading import RulesError, read_rules
from cji_core.operations.clear.rules import Level, Rule, Rules, WholeCase
from cji_core.operations.clear.when import Count, Punishable, Waited, When, Which
from cji_core.operations.clear.words import in_words

SHIPPED = ("california", "california_automatic", "michigan", "pennsylvania")
"""The names of the tables that are shipped: `NAME.toml` in this folder."""

__all__ = [
    "CLEAR",
    "SHIPPED",
    "Clear",
    "Count",
    "Level",
    "Punishable",
    "Rule",
    "Rules",
    "RulesError",
    "Waited",
    "When",
    "Which",
    "WholeCase",
    "in_words",
    "read_rules",
]
