"""The JSON that `cji` printed, decoded as docs/json.md describes it."""

import json
from typing import TypeVar

import msgspec
from click.testing import Result

from cji_attestation import Fault
from cji_core.command.refusals import REASONS, Refused
from cji_core.errors import Reason

__all__ = ["answered", "refusal"]

T = TypeVar("T", bound=msgspec.Struct)

_REASONS = {*REASONS.values(), *map(str, Reason), *map(str, Fault)}


def _printed(text: str, found: msgspec.Struct) -> bool:
    """Whether nothing but these members was printed, in ASCII."""
    return text.isascii() and json.loads(text) == json.loads(msgspec.json.encode(found))


def answered(result: Result, kind: type[T], *, status: int = 0) -> T:
    """The one struct on standard output, with every member that was printed and no other text."""
    assert result.exit_code == status, result.output
    found = msgspec.json.decode(result.stdout, type=kind)
    assert _printed(result.stdout, found)
    assert result.stdout.count("\n") == 1
    return found


def refusal(result: Result) -> Refused:
    """The object on the last line of standard error."""
    line = result.stderr.splitlines()[-1]
    found = msgspec.json.decode(line, type=Refused)
    assert _printed(line, found)
    assert result.exit_code == found.status != 0
    assert found.reason in _REASONS
    assert "Error: " not in result.stderr
    return found
