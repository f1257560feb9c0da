"""The policy in force, shared by everything that decides by it, and its replacement by a reload."""

from collections.abc import Callable

from worker.audit import AuditFile, FileDigests, FilesReloaded, ReloadRefused
from worker.config import Config
from worker.errors import Refusal
from worker.ipc import ChannelClosed, take_over
from worker.ipc.messages import (
    AbandonReload,
    ClientDigests,
    CommitPolicy,
    Committed,
    Prepared,
    PreparePolicy,
    reload_fault,
)
from worker.job import LIMITS, Policy
from worker.job.policy import PolicyInvalid
from worker.keyholder.entra import require_audience
from worker.log import log
from worker.operator_files import FileRefused, read_file

_REMEDY = "Compare the file with docs/policy.md; `cji doctor` checks it before a reload."


class PolicyInForce:
    """The one reference to the policy; `now` changes between two messages, never during one."""

    __slots__ = ("now",)

    def __init__(self, policy: Policy) -> None:
        self.now = policy


class PolicyReload:
    """The keyholder's part in a reload (`worker.ipc.messages.reload`): checks, records, then changes the policy."""

    def __init__(
        self,
        in_force: PolicyInForce,
        audit: AuditFile,
        changed: Callable[[Policy], None],
        *,
        entra_audience: str | None = None,
    ) -> None:
        """`changed` is called with the former policy, once another one is in force.

        Without an `entra_audience`, a policy that requires tokens is refused.
        """
        self._in_force, self._audit, self._changed = in_force, audit, changed
        self._entra_audience = entra_audience
        self._prepared: tuple[int, Policy] | None = None

    def prepare(self, message: PreparePolicy, fd: int) -> Prepared:
        """Check the policy behind this descriptor, and keep it if it can be used."""
        self._prepared = None
        try:
            policy = checked(take_over(fd, most=LIMITS.policy_bytes), entra_audience=self._entra_audience)
        except FileRefused as error:
            return Prepared(number=message.number, fault=reload_fault(error.file, error.what, error.remedy))
        except ValueError as error:  # no control process of ours sends this
            raise ChannelClosed from error
        self._prepared = message.number, policy
        return Prepared(number=message.number)

    def commit(self, message: CommitPolicy) -> Committed:
        """Record the reload, then use the policy that was prepared."""
        if self._prepared is None or self._prepared[0] != message.number:
            fault = reload_fault("reload", "The keyholder prepared no such reload", "Restart the worker.")
            return Committed(number=message.number, fault=fault)
        (_, after), before = self._prepared, self._in_force.now
        self._prepared = None
        try:
            self._audit.append(
                FilesReloaded(
                    by=message.by,
                    uid=message.uid,
                    before=_digests(before, message.clients.before),
                    after=_digests(after, message.clients.after),
                )
            )
        except Refusal:
            fault = reload_fault(
                "reload", "The audit trail cannot be written", "Restore it, then run cji reload again."
            )
            return Committed(number=message.number, fault=fault)
        self._in_force.now = after
        self._changed(before)
        return Committed(number=message.number)

    def abandon(self, message: AbandonReload) -> None:
        """Forget what was prepared, and record it."""
        self._prepared = None
        if not self._audit.record(ReloadRefused(by=message.by, uid=message.uid, file=message.fault.file)):
            log("audit unavailable")


def read_policy(config: Config) -> Policy:
    """The policy of this configuration. Raises FileRefused."""
    return checked(read_file("policy_file", config.policy_file), entra_audience=entra_audience(config))


def checked(data: bytes, *, entra_audience: str | None) -> Policy:
    """The policy in these bytes. Raises FileRefused."""
    try:
        policy = Policy.load(data)
    except PolicyInvalid as error:
        raise FileRefused("policy_file", error.where, _REMEDY) from error
    require_audience(policy, entra_audience)
    return policy


def entra_audience(config: Config) -> str | None:
    """The audience of access tokens for this worker."""
    return None if config.entra is None else config.entra.audience


def _digests(policy: Policy, clients: ClientDigests) -> FileDigests:
    return FileDigests(
        policy_file=policy.sha384.hex(),
        client_roots=clients.client_roots.hex(),
        client_crl=None if clients.client_crl is None else clients.client_crl.hex(),
    )
