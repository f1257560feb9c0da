"""`clear`: the convictions that the law of a state relieves, by a table of rules; never by a fact that is missing."""

from cji_operations.clear.parameters import Clear
from cji_operations.clear.rules import Problem, Rule, Rules, RulesError, When, read_rules
from cji_operations.clear.words import in_words

__all__ = ["Clear", "Problem", "Rule", "Rules", "RulesError", "When", "in_words", "read_rules"]
