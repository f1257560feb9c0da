"""The functions of one field that a condition may use.

* how it is written: blank filled valid invalid digits
* flaws of an identifier: indented gapped unclean, zeros (all of it)
* the form of an age: newborn unknown range indented bad_range bad_exact
* unlisted: an ORI that the ORI table lacks
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools
from cji_core.format.records.nibrs.code_tables import BLANK_VALUE
from cji_core.format.records.nibrs.fields import OUT_OF_RANGE, UNKNOWN_AGE, AgeForm
from cji_operations.nibrs.identifiers import Flaw
from cji_operations.nibrs.scope import Condition, Number
from cji_operations.nibrs.specification import Field

Array = npt.NDArray[Any]

WRITTEN: Final[Mapping[str, tuple[Callable[[Array], Bools], int, bool]]] = MappingProxyType(
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


def written(name: str, values: Number, column: str | None) -> Condition:
    """The function `name` of WRITTEN for these values; `column`: the field that they are, None for a join's field."""
    holds, bound, otherwise = WRITTEN[name]
    if column is None:
        return lambda scope: holds(values(scope))
    # most columns of most submissions are without a blank or a fault: one look at the lowest value settles those
    return lambda scope: np.full(scope.n, otherwise) if scope.lowest(column) >= bound else holds(scope.column(column))


def of_field(name: str, field: str, spec: Field | None) -> Condition | None:
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
