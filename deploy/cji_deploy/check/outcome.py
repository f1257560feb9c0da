"""The outcome of one check on one subject.

Contract: a check ends in exactly one of ok, failed and not run. "Not run" always carries its reason, and the caller
counts it, so that a missing tool cannot look like a clean result.
"""

import difflib
import enum
from collections.abc import Iterable
from dataclasses import dataclass

from cji_deploy.errors import DeploymentError

__all__ = ["DeployError", "Outcome", "Status", "judged", "not_run", "resembling"]


class DeployError(DeploymentError):
    """An input that cannot be checked because it cannot be read; each argument is one problem with its line."""

    code = "deploy-input-unreadable"
    remedy = "Correct the file at the line that each problem names."

    @property
    def problems(self) -> tuple[str, ...]:
        """One text per problem, never empty."""
        return tuple(str(problem) for problem in self.args) or ("unreadable",)


class Status(enum.StrEnum):
    """The result of a check."""

    OK = "ok"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One check of one subject; `reasons` is empty only when the status is OK."""

    check: str
    subject: str
    status: Status
    reasons: tuple[str, ...] = ()


def judged(check: str, subject: str, problems: Iterable[str]) -> Outcome:
    """OK without problems, FAILED with them."""
    reasons = tuple(problems)
    return Outcome(check=check, subject=subject, status=Status.FAILED if reasons else Status.OK, reasons=reasons)


def resembling(word: str, known: Iterable[str]) -> str:
    """The end of a problem about an unknown word: the known one that it resembles, if there is one."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def not_run(check: str, subject: str, reason: str) -> Outcome:
    """The check lacked the means to examine the subject."""
    return Outcome(check=check, subject=subject, status=Status.NOT_RUN, reasons=(reason,))
