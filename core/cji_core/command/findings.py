"""The findings of `cji doctor`: `run_check` makes one of a function that returns or raises."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cji_core.errors import CoreError, StartupError

State = Literal["ok", "warning", "failed", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check. `remedy` is empty if there is nothing to do."""

    name: str
    state: State
    found: str
    remedy: str


class NotOk(CoreError):  # noqa: N818 - an outcome, not an error of this program
    """A check did not pass, or could not run. Both texts are for the operator."""

    code = "findings"
    remedy = "Read the findings; each has a remedy."

    def __init__(self, found: str, remedy: str, *, state: State = "failed") -> None:
        super().__init__(found)
        self.found, self.remedy, self.state = found, remedy, state


def run_check(name: str, run: Callable[[], str]) -> Finding:
    """The finding of `run`, which returns what it found or raises NotOk or StartupError."""
    try:
        return Finding(name=name, state="ok", found=run(), remedy="")
    except NotOk as outcome:
        return Finding(name=name, state=outcome.state, found=outcome.found, remedy=outcome.remedy)
    except StartupError as error:
        return Finding(name=name, state="failed", found=error.what, remedy=error.remedy)
