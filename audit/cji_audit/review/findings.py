"""Findings while the trails are read: for each rule and subject a count, its times, and its first lines."""

from collections.abc import Iterator
from typing import Final

from cji_audit.review.model import Check, Finding, Place
from cji_core.trail.rules import RULES

MOST_PLACES: Final = 20
"""Lines named in one finding."""
MOST_SUBJECTS: Final = 500
"""Findings of one rule."""


class Gathered:
    """The lines of one subject of one rule. Findings without a line have no times."""

    __slots__ = ("amount", "count", "detail", "first", "last", "places")

    def __init__(self, detail: str) -> None:
        self.detail, self.count, self.amount = detail, 0, 0
        self.first: str | None = None
        self.last: str | None = None
        self.places: list[Place] = []

    def at(self, place: Place, time: str, count: int = 1) -> None:
        """Add a line, which counts `count` times."""
        self.count += count
        if len(self.places) < MOST_PLACES:
            self.places.append(place)
        if self.first is None or time < self.first:
            self.first = time
        if self.last is None or time > self.last:
            self.last = time


class Findings:
    """All of them. Subjects of a rule beyond MOST_SUBJECTS are counted, and not kept."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Gathered]] = {rule: {} for rule in RULES}
        self._more: dict[str, int] = dict.fromkeys(RULES, 0)
        self._thresholds: dict[str, float] = {}
        self._below: dict[str, float] = {}
        self._not_checked: dict[str, str] = {}

    def see(self, rule: str, subject: str, place: Place, time: str, *, detail: str = "", count: int = 1) -> None:
        """A line that `rule` is about. The detail of the first one stays."""
        found = self._of(rule, subject, detail)
        if found is not None:
            found.at(place, time, count)

    def state(self, rule: str, subject: str, *, detail: str = "", count: int = 1) -> None:
        """A finding without a line."""
        found = self._of(rule, subject, detail)
        if found is not None:
            found.count += count

    def keep(self, rule: str, subject: str, gathered: Gathered) -> None:
        """A finding whose lines were gathered before it was known to be one."""
        if self._of(rule, subject, gathered.detail) is not None:
            self._found[rule][subject] = gathered

    def limit(self, rule: str, threshold: float) -> None:
        """`rule` has a threshold."""
        self._thresholds[rule] = float(threshold)
        self._below.setdefault(rule, 0.0)

    def exceeds(self, rule: str, amount: float) -> bool:
        """Whether an amount reaches the rule's threshold; remembers the largest that does not."""
        if amount >= self._thresholds[rule]:
            return True
        self._below[rule] = max(self._below[rule], float(amount))
        return False

    def not_checked(self, rule: str, why: str) -> None:
        """`rule` was not applied, or not to everything."""
        self._not_checked.setdefault(rule, why)

    def findings(self) -> tuple[Finding, ...]:
        """The findings by severity, then in the order of the rules, then by count; numbered F1, F2, ..."""
        return tuple(
            Finding(
                id=f"F{number}",
                rule=rule,
                severity=RULES[rule].severity,
                subject=subject,
                detail=found.detail,
                count=found.count,
                first=found.first,
                last=found.last,
                places=tuple(found.places),
            )
            for number, (rule, subject, found) in enumerate(self._ranked(), 1)
        )

    def checks(self) -> tuple[Check, ...]:
        """Every rule in its order, with the number of its findings."""
        return tuple(
            Check(
                rule=rule,
                findings=len(self._found[rule]),
                more=self._more[rule],
                threshold=self._thresholds.get(rule),
                below=self._below.get(rule),
                not_checked=self._not_checked.get(rule),
            )
            for rule in RULES
        )

    def _of(self, rule: str, subject: str, detail: str) -> Gathered | None:
        subjects = self._found[rule]
        found = subjects.get(subject)
        if found is None:
            if len(subjects) >= MOST_SUBJECTS:
                self._more[rule] += 1
                return None
            found = subjects[subject] = Gathered(detail)
        return found

    def _ranked(self) -> Iterator[tuple[str, str, Gathered]]:
        for severity in ("alert", "warning", "notice"):
            for rule, about in RULES.items():
                if about.severity == severity:
                    order = sorted(self._found[rule].items(), key=lambda item: (-item[1].count, item[0]))
                    yield from ((rule, subject, found) for subject, found in order)
