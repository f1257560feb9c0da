"""The result of an examination: what the log has, and each fault by its name.

    rewritten   a line does not continue the chain, or a root in the log is another one and no key of the worker signed
                the lines as they are
    cut         the trail ends before a checkpoint in the log: its end was cut off, or an older copy was restored
    rollback    lines after an older state: a later start of the worker signed them, and the log has others
    fork        one start of the worker signed two histories
    forged      a checkpoint has a wrong signature
    unknown_key a checkpoint is signed by a key that the examiner does not have
    mixed       a checkpoint or line of another trail
    receipt     the proof does not show that a quorum of the policy cosigned an entry of this checkpoint
    frozen      the log has a conflict of this trail that waits for a person's decision
    gap         a record is missing: a checkpoint continues one that is not there
    late        lines were under a cosigned checkpoint later than the policy allows, or are under none
    unreadable  a file is not a record

Only checkpoints with a good signature, origin and receipt count against the trail.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from cji_core.trail.checkpoint import Checkpoint

Fault = Literal[
    "rewritten",
    "cut",
    "rollback",
    "fork",
    "forged",
    "unknown_key",
    "mixed",
    "receipt",
    "frozen",
    "gap",
    "late",
    "unreadable",
]
Source = Literal["log", "monitor"]
MAX_FINDINGS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault. `after` is the last line that is known to be good, `line` the first wrong one if it is known."""

    fault: Fault
    text: str
    source: Source | None = None
    size: int | None = None
    after: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A checkpoint in the log. `at` is when a quorum had cosigned it, None for a monitor's entry."""

    source: Source
    checkpoint: Checkpoint
    at: str | None


@dataclass(slots=True, kw_only=True)
class Examination:
    """The result. The trail is good if there is no finding."""

    lines: int = 0
    root: bytes = b""
    sightings: list[Sighting] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    last_agreed: int = 0
    pruned: int = 0
    """Lines that were removed: sightings of fewer are not compared."""

    def add(self, finding: Finding) -> None:
        """Add a finding, of at most a thousand."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
