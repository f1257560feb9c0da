"""`clear`: the convictions that the law of a state relieves, by a table of rules; never by a fact that is missing."""

from worker.compute.operations.clear.parameters import Clear
from worker.compute.operations.clear.rules import Problem, Rule, Rules, RulesError, When, read_rules
from worker.compute.operations.clear.words import in_words

__all__ = ["Clear", "Problem", "Rule", "Rules", "RulesError", "When", "in_words", "read_rules"]
