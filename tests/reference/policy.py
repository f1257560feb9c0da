"""The obvious twin of the policy: a set of everything that is granted, spelled out from the TOML.

It reads the file by itself and shares no code with the worker.
"""

import tomllib
from datetime import date
from typing import Any

__all__ = ["PolicyTwin"]


class PolicyTwin:
    """One file. `denies` answers with the name of the rule, None for a grant."""

    def __init__(self, text: str) -> None:
        self.submitters: dict[str, dict[str, Any]] = {each["san"]: each for each in tomllib.loads(text)["submitters"]}
        self.operations: set[tuple[str, ...]] = set()
        self.classes: set[tuple[str, ...]] = set()
        self.recipients: set[tuple[str, ...]] = set()
        self.escrow: dict[tuple[str, ...], list[list[str]]] = {}
        self.secondary: set[tuple[str, ...]] = set()
        self.purposes: set[tuple[str, ...]] = set()
        self.agencies: set[tuple[str, ...]] = set()
        self.days: dict[tuple[str, str], tuple[date, date]] = {}
        self.limits: dict[tuple[str, ...], dict[str, int]] = {}
        for san, submitter in self.submitters.items():
            for agency in submitter["agencies"]:
                ori = agency["ori"]
                self.agencies.add((san, ori))
                self.days[san, ori] = agency["agreement"]["from"], agency["agreement"]["until"]
                for purpose in agency["purposes"]:
                    code = purpose["code"]
                    self.purposes.add((san, ori, code))
                    for rule in purpose["rules"]:
                        for operation in rule["operations"]:
                            where = san, ori, code, operation
                            self.operations.add(where)
                            self.limits[where] = rule["limits"]
                            self.classes |= {(*where, each) for each in rule["data_classes"]}
                            self.recipients |= {(*where, each) for each in rule["recipients"]}
                            demanded = [*agency.get("escrow", []), *rule.get("escrow", [])]
                            self.escrow[where] = [each["one_of"] for each in demanded]
                            self.secondary |= {(*where, each) for each in rule.get("secondary_recipients", [])}

    def denies(
        self,
        san: str,
        originating: str,
        requesting: str,
        purpose: str,
        operations: tuple[str, ...],
        classes: tuple[str, ...],
        recipients: tuple[str, ...],
        secondary: str,
        rows: int,
        day: date,
    ) -> str | None:
        """The first rule that denies this job."""
        if san not in self.submitters:
            return "submitter"
        if (san, requesting) not in self.agencies:
            return "requesting_agency"
        if (san, originating) not in self.agencies:
            return "originating_agency"
        for ori in (requesting, originating):
            first, last = self.days[san, ori]
            if day < first or day > last:
                return "agreement"
        if (san, requesting, purpose) not in self.purposes:
            return "purpose"
        wheres = [(san, requesting, purpose, operation) for operation in operations]
        if not wheres or any(where not in self.operations for where in wheres):
            return "operation"
        if not classes or any((*where, each) not in self.classes for where in wheres for each in classes):
            return "data_class"
        if not recipients or any((*where, each) not in self.recipients for where in wheres for each in recipients):
            return "recipient"
        if any(not set(keys) & set(recipients) for where in wheres for keys in self.escrow[where]):
            return "escrow"
        if any(rows > self.limits[where]["rows"] for where in wheres):
            return "rows"
        if secondary and any((*where, secondary) not in self.secondary for where in wheres):
            return "secondary_recipient"
        return None
