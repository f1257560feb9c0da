"""The policy in force, shared by everything that decides by it, and its replacement by a reload.

With a bundle, the files of reference values are replaced with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from cji_attestation.appraisal import ReferenceValues
from cji_attestation.bundle.head import Head
from cji_core.documents import msgpack
from cji_core.errors import Refusal, StartupError
from cji_core.format.configuration.operator_files import MAX_BYTES, MAX_VALUE_BYTES, FileRefused, PolicyFiles
from cji_core.format.configuration.policy_files import checked
from cji_core.format.configuration.worker import Config
from cji_core.format.job import Policy
from cji_core.log import log
from cji_core.trail import FileDigests, FilesReloaded, ReloadRefused
from cji_worker.ipc import ChannelClosed, take_over
from cji_worker.ipc.messages import (
    AbandonReload,
    ClientDigests,
    CommitPolicy,
    Committed,
    Prepared,
    PreparePolicy,
    reload_fault,
)
from cji_worker.keyholder.bundle_in_force import BundleInForce, name_of
from cji_worker.keyholder.custody import reference_values
from cji_worker.trail.file import AuditFile

_MOST_BYTES: Final = 3 * MAX_BYTES + MAX_VALUE_BYTES + (64 << 10)


class PolicyInForce:
    """The one reference to the policy; `now` changes between two messages, never during one."""

    __slots__ = ("now",)

    def __init__(self, policy: Policy) -> None:
        self.now = policy


def require_serial(policy: Policy, audit: AuditFile) -> None:
    """Raise FileRefused for a policy that is older than one that was in force: somebody put it back."""
    if policy.serial < audit.policy_serial:
        raise FileRefused(
            "policy_file",
            f"its serial is {policy.serial}, but a policy with serial {audit.policy_serial} was in force here",
            "Use the newest policy; to return to earlier rules, give them a higher serial and have them signed again.",
        )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The files that a reload would put in force; `reference` is None if `values` are in force."""

    number: int
    policy: Policy
    head: Head | None
    values: Mapping[str, bytes]
    reference: ReferenceValues | None


class PolicyReload:
    """The keyholder's part in a reload (`cji_worker.ipc.messages.reload`): checks, records, then changes the policy."""

    def __init__(
        self,
        config: Config,
        in_force: PolicyInForce,
        bundle: BundleInForce,
        audit: AuditFile,
        *,
        changed: Callable[[Policy], None],
        required: Callable[[ReferenceValues], None],
    ) -> None:
        """`changed` is called with the former policy, once another one is in force.

        `required` is called with other reference values, once the trail has their bundle.
        """
        self._config, self._bundle = config, bundle
        self._in_force, self._audit, self._changed, self._required = in_force, audit, changed, required
        self._values: Mapping[str, bytes] = config.attestation.value_files
        self._prepared: _Prepared | None = None

    def prepare(self, message: PreparePolicy, fd: int) -> Prepared:
        """Check the policy behind this descriptor, and keep it if it can be used."""
        self._prepared = None
        try:
            files = msgpack(take_over(fd, most=_MOST_BYTES), PolicyFiles)
            policy = checked(files, self._config)
            require_serial(policy, self._audit)
            head = self._bundle.checked(files)
            reference = None if head is None else self._reference(files.values)
        except FileRefused as error:
            return Prepared(number=message.number, fault=reload_fault(error.file, error.what, error.remedy))
        except ValueError as error:  # msgspec's errors are ValueErrors; no control process of ours sends this
            raise ChannelClosed from error
        self._prepared = _Prepared(message.number, policy, head, files.values, reference)
        return Prepared(number=message.number)

    def _reference(self, values: Mapping[str, bytes]) -> ReferenceValues | None:
        """The reference values with other files, None if these are in force. Raises FileRefused."""
        if values == self._values:
            return None
        try:
            return reference_values(msgspec.structs.replace(self._config.attestation, value_files=values))
        except StartupError as error:
            raise FileRefused("bundle", error.what, error.remedy) from error

    def commit(self, message: CommitPolicy) -> Committed:
        """Record the reload, then use the policy that was prepared."""
        prepared = self._prepared
        if prepared is None or prepared.number != message.number:
            fault = reload_fault("reload", "The keyholder prepared no such reload", "Restart the worker.")
            return Committed(number=message.number, fault=fault)
        after, head, before = prepared.policy, prepared.head, self._in_force.now
        self._prepared = None
        try:
            self._bundle.check_clients(head, message.clients.after)
            self._audit.append(
                FilesReloaded(
                    by=message.by,
                    uid=message.uid,
                    before=_digests(before, message.clients.before),
                    after=_digests(after, message.clients.after),
                    policy_signers=after.signers,
                    policy_serial=after.serial,
                    bundle=None if head is None else name_of(head),
                )
            )
        except FileRefused as error:
            fault = reload_fault(error.file, error.what, error.remedy)
            return Committed(number=message.number, fault=fault)
        except Refusal:
            fault = reload_fault(
                "reload", "The audit trail cannot be written", "Restore it, then run cji reload again."
            )
            return Committed(number=message.number, fault=fault)
        self._in_force.now = after
        self._bundle.take(head)
        if prepared.reference is not None:
            self._values = prepared.values
            self._required(prepared.reference)
        self._changed(before)
        return Committed(number=message.number)

    def abandon(self, message: AbandonReload) -> None:
        """Forget what was prepared, and record it."""
        self._prepared = None
        if not self._audit.record(ReloadRefused(by=message.by, uid=message.uid, file=message.fault.file)):
            log("audit unavailable")


def _digests(policy: Policy, clients: ClientDigests) -> FileDigests:
    return FileDigests(
        policy_file=policy.sha384.hex(),
        client_roots=clients.client_roots.hex(),
        client_crl=None if clients.client_crl is None else clients.client_crl.hex(),
    )
