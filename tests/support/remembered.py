"""A part of an appraisal that is not done again where every byte that it reads is the same: for walks over bytes."""

from collections.abc import Callable
from typing import Any

from cji_attestation.checks import Check
from cji_attestation.errors import Record

__all__ = ["remembered"]


def remembered(authenticate: Callable[..., Any]) -> Callable[..., Any]:
    """What it returned and recorded for equal arguments, all of them but the record. What it refuses, it does again."""
    known: dict[tuple[Any, ...], tuple[Any, tuple[Check, ...]]] = {}

    def found(*arguments: Any, record: Record, **named: Any) -> Any:
        key = (*arguments, *sorted(named.items()))
        if key not in known:
            own = Record()
            with own:
                known[key] = authenticate(*arguments, record=own, **named), own.checks
        value, checks = known[key]
        for check in checks:
            record.add(check)
        return value

    return found
