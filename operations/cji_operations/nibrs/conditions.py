"""Conditions of rules: a small part of Python's expression syntax, over columns.

    loss == '5'                  a code; a comparison with a missing or invalid value is false
    loss in DESCRIBED            a set of sets.csv;  (offense, loss) in COMPLETED_LOSS  a relation of pairs.csv
    arrest_date < admin.date     numbers, dates, periods and ages; `admin` is a join of views.csv
    offense in connections.connected       some row of that table in the same report has this value
    any(items, description == '10')        some row of that table; `count` and `total(items, value, ...)` likewise
    other.offense                in a cross: the field of the second table
    and, or, not                 the right side may be evaluated even where the left side decides

Further numbers are low and high (the ends of an age), month_of (of a date) and kind (the class of a code). Further
conditions are repeated and repeated_across (an earlier row of the same `within`, or of the same report, has the same
values), and of one field:

    blank filled valid invalid digits                     how it is written
    indented gapped unclean, zeros (all of it)            flaws of an identifier
    newborn unknown range indented bad_range bad_exact    the form of an age
    unlisted                                              an ORI that the ORI table lacks

A condition is compiled once, when its rule is read; anything else is a ValueError then.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools
from cji_core.format.records.nibrs.code_tables import BLANK_VALUE
from cji_core.format.records.nibrs.fields import OUT_OF_RANGE, UNKNOWN_AGE, AgeForm
from cji_operations.nibrs.identifiers import Flaw
from cji_operations.nibrs.scope import Condition, Number, Scope
from cji_operations.nibrs.specification import Field, RuleSet

Array = npt.NDArray[Any]

_WRITTEN: Final[Mapping[str, tuple[Callable[[Array], Bools], int, bool]]] = MappingProxyType(
    {
        "blank": (lambda values: values == BLANK_VALUE, 0, False),
        "filled": (lambda values: values != BLANK_VALUE, 0, True),
        "valid": (lambda values: (values >= 0) | (values == UNKNOWN_AGE), 0, True),
        "invalid": (lambda values: (values < BLANK_VALUE) & (values != UNKNOWN_AGE), BLANK_VALUE, False),
        "digits": (lambda values: (values >= 0) | (values == OUT_OF_RANGE), 0, True),
    }
)
"""How a value is written; and what the answer is for all of a column whose lowest value is not below a bound."""

_FLAWS: Final = MappingProxyType({"indented": Flaw.INDENTED, "gapped": Flaw.GAPPED, "unclean": Flaw.UNCLEAN})
_FORMS: Final = MappingProxyType(
    {
        "newborn": AgeForm.NEWBORN,
        "unknown": AgeForm.UNKNOWN,
        "range": AgeForm.RANGE,
        "indented": AgeForm.INDENTED,
        "bad_range": AgeForm.BAD_RANGE,
        "bad_exact": AgeForm.BAD_EXACT,
    }
)

_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
    }
)
_CONSTANTS: Final = ("today", "this_month")
_MANY: Final = 0.25  # of the rows: beyond this share, evaluating all rows costs less than gathering some


def _unknown(node: ast.AST) -> ValueError:
    return ValueError(f"not a condition: {ast.unparse(node)}")


class Compiler:
    """Compiles the conditions of one rule set. `facts` names the columns that no file describes, by table."""

    def __init__(self, rule_set: RuleSet, facts: Mapping[str, tuple[str, ...]]) -> None:
        self._rules = rule_set
        self._facts = facts

    def parts(self) -> Mapping[str, Condition]:
        """The condition of each view that is a part of another table."""
        return {
            view.name: self.condition(ast.parse(view.by, mode="eval").body, view.of)
            for view in self._rules.views.values()
            if view.kind == "view"
        }

    def condition(self, node: ast.expr, table: str) -> Condition:
        """The condition `node` for rows of `table`. Raises: ValueError."""
        match node:
            case ast.BoolOp(op=op, values=values):
                compiled = [self.condition(value, table) for value in values]
                return _combined(compiled, conjunction=isinstance(op, ast.And))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.condition(operand, table)
                return lambda scope: ~inner(scope)
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn() as op], comparators=[right]):
                return self._membership(left, isinstance(op, ast.In), right, table)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._comparison(left, _COMPARE[type(op)], right, table)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._question(node, name, args, table)
            case ast.Name(id=name):
                self._field(node, table)
                return lambda scope: scope.column(name) > 0
        raise _unknown(node)

    # names

    def _field(self, node: ast.expr, table: str) -> Field | None:
        """The field that `node` names for rows of `table`; None for a fact. Raises: ValueError."""
        views = self._rules.views
        match node:
            case ast.Attribute(value=ast.Name(id="other"), attr=name):
                return self._field(ast.Name(id=name), views[table].by)
            case ast.Attribute(value=ast.Name(id=join), attr=name) if join in views:
                return self._field(ast.Name(id=name), views[join].by)
            case ast.Name(id=name):
                of: str | None = table
                while of is not None:
                    for spec in self._rules.fields.get(of, ()):
                        if spec.name == name:
                            return spec
                    if name in self._facts.get(of, ()):
                        return None
                    of = self._rules.owner(of)
        raise _unknown(node)

    def _codes(self, node: ast.expr, table: str) -> str:
        spec = self._field(node, table)
        if spec is None or spec.type != "code":
            raise _unknown(node)
        return spec.of

    # numbers

    def _number(self, node: ast.expr, table: str) -> Number:
        match node:
            case ast.Constant(value=int(value)):
                return lambda _: np.array(value)
            case ast.Name(id=name) if name in _CONSTANTS:
                return lambda scope: np.array(scope.run.constants[name])
            case ast.Name(id=name):
                self._field(node, table)
                return lambda scope: scope.column(name)
            case ast.Attribute(value=ast.Name(id=join), attr=name):
                self._field(node, table)
                if join == "other":
                    return lambda scope: scope.of_other(name)
                return lambda scope: scope.of_partner(join, name)
            case ast.Call(func=ast.Name(id=function), args=args):
                return self._function(node, function, args, table)
        raise _unknown(node)

    def _function(self, node: ast.expr, function: str, args: list[ast.expr], table: str) -> Number:
        match function, args:
            case "count", [ast.Name(id=of), *condition]:
                return self._gathered(of, condition, "")
            case "total", [ast.Name(id=of), ast.Name(id=value), *condition]:
                self._field(ast.Name(id=value), of)
                return self._gathered(of, condition, value)
            case "month_of", [date]:
                inner = self._number(date, table)
                return lambda scope: inner(scope) // 100
            case "kind", [code]:
                classes = np.append(self._rules.classes[self._codes(code, table)], (-2, -1))
                inner = self._number(code, table)
                return lambda scope: classes[inner(scope)]
            case "low" | "high", [ast.Name(id=name)]:
                return lambda scope: scope.derived(name, function)
        raise _unknown(node)

    def _gathered(self, of: str, condition: list[ast.expr], value: str) -> Number:
        if self._rules.owner(of) is None or len(condition) > 1:
            raise ValueError(f"not a table to count: {of}")
        meant = self.condition(condition[0], of) if condition else None
        source = ast.unparse(condition[0]) if condition else ""
        return lambda scope: scope.gathered(of, meant, source, value)

    # comparisons

    def _comparison(self, left: ast.expr, compare: Callable[[Any, Any], Any], right: ast.expr, table: str) -> Condition:
        mine = self._number(left, table)
        if isinstance(right, ast.Constant) and isinstance(right.value, str):
            codes = self._rules.codes[self._codes(left, table)].codes
            position = codes.index(right.value) if right.value in codes else len(codes)
            if compare is operator.eq:
                return lambda scope: mine(scope) == position
            return lambda scope: compare(values := mine(scope), position) & (values >= 0)
        theirs = self._number(right, table)
        return lambda scope: compare(values := mine(scope), others := theirs(scope)) & (values >= 0) & (others >= 0)

    def _membership(self, left: ast.expr, wanted: bool, right: ast.expr, table: str) -> Condition:
        match left, right:
            case ast.Tuple(elts=[first, second]), ast.Name(id=name) if name in self._rules.pairs and wanted:
                related = self._relation(name, self._codes(first, table), self._codes(second, table))
                one, two = self._number(first, table), self._number(second, table)
                return lambda scope: related[one(scope), two(scope)]
            case _, ast.Name(id=name) if name in self._rules.sets:
                codes = self._rules.codes[self._codes(left, table)].codes
                inside = np.zeros(len(codes) + 2, np.bool_)  # two more, for the negative numbers of no code
                inside[: len(codes)] = [(code in self._rules.sets[name]) == wanted for code in codes]
                values = self._number(left, table)
                return lambda scope: inside[values(scope)]
            case _, ast.Attribute(value=ast.Name(id=of), attr=name):
                self._field(ast.Name(id=name), of)
                number = self._number(left, table)
                if wanted:
                    return lambda scope: scope.occurs(number(scope), of, name)
                return lambda scope: ~scope.occurs(found := number(scope), of, name) & (found >= 0)
        raise _unknown(right)

    def _relation(self, name: str, left: str, right: str) -> npt.NDArray[np.bool_]:
        lefts, rights = self._rules.codes[left].codes, self._rules.codes[right].codes
        related = np.zeros((len(lefts) + 2, len(rights) + 2), np.bool_)
        for one, two in self._rules.pairs[name]:
            if one in lefts and two in rights:
                related[lefts.index(one), rights.index(two)] = True
        return related

    # questions

    def _question(self, node: ast.expr, name: str, args: list[ast.expr], table: str) -> Condition:
        match name, args:
            case "any", [ast.Name(id=of), *condition]:
                counted = self._gathered(of, condition, "")
                return lambda scope: counted(scope) > 0
            case "repeated" | "repeated_across", [_, *_]:
                keys = [self._number(arg, table) for arg in args]
                return lambda scope: scope.repeated(keys, across=name == "repeated_across")
            case _, [field] if name in _WRITTEN:
                column = field.id if isinstance(field, ast.Name) else None
                return _written(name, self._number(field, table), column)
            case _, [ast.Name(id=field_name) as field]:
                found = _of_field(name, field_name, self._field(field, table))
                if found is not None:
                    return found
        raise _unknown(node)


def _combined(parts: list[Condition], *, conjunction: bool) -> Condition:
    """All of the parts, or any of them. A further part is evaluated only where those before it do not decide."""
    first, *others = parts
    combine = np.logical_and if conjunction else np.logical_or

    def condition(scope: Scope) -> Bools:
        meant = first(scope)
        for part in others:
            open_ = meant if conjunction else ~meant
            left = np.count_nonzero(open_)
            if left > _MANY * len(meant):
                combine(meant, part(scope), out=meant)
            elif left:
                rows = open_.nonzero()[0]
                meant[rows] = part(scope.narrowed(rows))
        return meant

    return condition


def _written(name: str, values: Number, column: str | None) -> Condition:
    """The function `name` of _WRITTEN for these values; `column`: the field that they are, None for a join's field."""
    holds, bound, otherwise = _WRITTEN[name]
    if column is None:
        return lambda scope: holds(values(scope))
    # most columns of most submissions are without a blank or a fault: one look at the lowest value settles those
    return lambda scope: np.full(scope.n, otherwise) if scope.lowest(column) >= bound else holds(scope.column(column))


def _of_field(name: str, field: str, spec: Field | None) -> Condition | None:
    """The function `name` of a field of this specification; None where fields of its type have no such function."""
    match name, spec and spec.type:
        case "unlisted", "name":
            return lambda scope: scope.run.unlisted(scope.text(field))
        case "zeros", "identifier":
            return lambda scope: scope.column(field) == 0
        case _, "identifier" if name in _FLAWS:
            flaw = _FLAWS[name]
            return lambda scope: (
                (np.maximum(scope.column(field), 0) & flaw) > 0
                if scope.flaws(field) & flaw
                else np.zeros(scope.n, np.bool_)
            )
        case _, "age" if name in _FORMS:
            form = _FORMS[name]
            return lambda scope: scope.derived(field, "form") == form
    return None
