"""Attachments of a packet: files that its maker gives and the packet passes on, by kind, and the facts that they hold.

worker.toml, the policy file and the manifest are not passed on: the packet has their digests. Everything here can be
read again by anyone who has the packet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

from cji_audit.packet.controls import controls
from cji_audit.packet.disposal import read_retention
from cji_audit.packet.errors import PacketError
from cji_audit.packet.inputs import Lint, read_agency, read_deployment, read_key, read_policy, read_sbom, read_tests
from cji_audit.packet.keys import keys_in
from cji_audit.packet.logged import read_entry
from cji_audit.packet.material import Machine
from cji_audit.packet.reviews import read_reviews
from cji_audit.packet.signed import confirmed, read_checkpoint, read_receipts
from cji_core.jose import VerifyingKey, key_id

Kind = Literal[
    "keys",
    "maa_policy",
    "sbom",
    "tests",
    "receipts",
    "confirmations",
    "reviews",
    "checkpoints",
    "log",
    "machines",
    "receipt_keys",
    "confirmation_keys",
    "reviewer_keys",
    "retention",
    "retention_keys",
    "deployment",
    "agency",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Files: TypeAlias = Mapping[str, bytes]
"""Contents by name, without folders."""
FOLDERS: Final[tuple[Kind, ...]] = ("receipts", "reviews", "checkpoints", "log")
"""Kinds that are folders: None if the folder was not given."""
MAX_FILES: Final = 1024
"""Of one kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The part of attestation in a packet. `appraise` returns the facts and, if accepted, the key of receipts."""

    lint_release_policy: Lint
    lint_maa_policy: Lint
    maa_policy_hash: Callable[[bytes], str]
    appraise: Callable[[str, bytes], tuple[Machine, VerifyingKey | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachments:
    """The files by kind; a kind that is left out was not given."""

    files: Mapping[Kind, Files] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for kind, files in self.files.items():
            if len(files) > MAX_FILES:
                raise PacketError(f"There are more than {MAX_FILES} {kind}", "Give those of the period.")

    def of(self, kind: Kind) -> Files:
        """The files of a kind, in the order of their names."""
        return dict(sorted(self.files.get(kind, {}).items()))

    def facts(self, tools: Tools) -> dict[str, Any]:
        """The members of `Material` that follow from these files. Raises PacketError."""
        machines = [tools.appraise(name, data) for name, data in self.of("machines").items()]
        receipt_keys = {key_id(key): key for _, key in machines if key is not None}
        receipt_keys |= keys_in(self.of("receipt_keys"))
        reviewers = keys_in(self.of("reviewer_keys"))
        named = tuple(each.test for each in controls().tests.values())
        found: dict[str, Any] = {
            "machines": tuple(machine for machine, _ in machines),
            "keys": tuple(read_key(n, d, tools.lint_release_policy) for n, d in self.of("keys").items()),
        }
        for name, data in self.of("maa_policy").items():
            found["maa_policy"] = read_policy(name, data, tools.lint_maa_policy, tools.maa_policy_hash)
        for name, data in self.of("sbom").items():
            found["sbom"] = read_sbom(name, data)
        for name, data in self.of("tests").items():
            found["tests"] = read_tests(name, data, named)
        for name, data in self.of("agency").items():
            found["agency"] = read_agency(name, data)
        if self.of("deployment"):
            found["deployment"] = read_deployment(self.of("deployment"))
        if "receipts" in self.files:
            read = (read_receipts(n, d, receipt_keys) for n, d in self.of("receipts").items())
            found["receipts"] = tuple(each for of_file in read for each in of_file)
        if confirmations := self.of("confirmations"):
            keys = keys_in(self.of("confirmation_keys"))
            found["receipts"] = confirmed(found.get("receipts", ()), self.of("receipts"), confirmations, keys)
        if "reviews" in self.files:
            found["reviews"] = read_reviews(self.of("reviews"), reviewers)
        for name, data in self.of("retention").items():
            keys = keys_in(self.of("retention_keys"))
            found["retention"] = read_retention(name, data, keys, self.of("receipts"))
        if "checkpoints" in self.files:
            found["checkpoints"] = tuple(read_checkpoint(n, d, receipt_keys) for n, d in self.of("checkpoints").items())
        if "log" in self.files:
            found["log"] = tuple(read_entry(n, d, receipt_keys) for n, d in self.of("log").items())
        return found
