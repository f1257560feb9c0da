"""The result of an examination: what each witness saw, and each fault by its name.

    rewritten   a line does not continue the chain, or a witnessed root is another one and no key of the worker signed
                the lines as they are
    cut         the trail ends before a witnessed checkpoint: its end was cut off, or an older copy was restored
    rollback    lines after an older state: a later start of the worker signed them, and a witness saw others
    fork        one start of the worker signed two histories
    forged      a checkpoint has a wrong signature
    unknown_key a checkpoint is signed by a key that the examiner does not have
    mixed       a checkpoint or line of another trail
    receipt     a receipt is not that of this witness for this checkpoint
    witness     a record of a witness that the configuration does not have
    gap         a record is missing: a checkpoint continues one that is not there
    unreadable  a file is not a record

Only checkpoints with a good signature, origin and receipt count against the trail.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from cji_core.trail.checkpoint import Checkpoint

Fault = Literal[
    "rewritten", "cut", "rollback", "fork", "forged", "unknown_key", "mixed", "receipt", "witness", "gap", "unreadable"
]
MAX_FINDINGS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault. `after` is the last line that is known to be good, `line` the first wrong one if it is known."""

    fault: Fault
    text: str
    witness: str | None = None
    size: int | None = None
    after: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A checkpoint that a witness saw; `at` is None for a copy without the deliverer's record."""

    witness: str
    checkpoint: Checkpoint
    at: str | None
    clock: Literal["witness", "deliverer"] | None


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
