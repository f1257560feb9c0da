"""The JSON that `cji` printed, decoded as docs/json.md describes it."""

from typing import TypeVar

import msgspec
from click.testing import Result

from attestation import Fault
from worker.cli.refusals import REASONS, Refused
from worker.errors import Reason

__all__ = ["answered", "refusal"]

T = TypeVar("T", bound=msgspec.Struct)

_REASONS = {*REASONS.values(), *map(str, Reason), *map(str, Fault)}


def answered(result: Result, kind: type[T], *, status: int = 0) -> T:
    """The one struct on standard output, with every member that was printed and no other text."""
    assert result.exit_code == status, result.output
    found = msgspec.json.decode(result.stdout, type=kind)
    assert result.stdout == f"{msgspec.json.encode(found).decode()}\n"
    return found


def refusal(result: Result) -> Refused:
    """The object on the last line of standard error."""
    found = msgspec.json.decode(result.stderr.splitlines()[-1], type=Refused)
    assert result.exit_code == found.status != 0
    assert found.reason in _REASONS
    assert "Error: " not in result.stderr
    return found
