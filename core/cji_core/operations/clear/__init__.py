"""`clear`, declared: the convictions that the law of a state relieves, by a table of rules."""

from cji_core.operations.clear.declaration import CLEAR, Clear
from cji_core.operations.clear.rules import Rule, Rules, RulesError, When, read_rules
from cji_core.operations.clear.words import in_words

__all__ = ["CLEAR", "Clear", "Rule", "Rules", "RulesError", "When", "in_words", "read_rules"]
