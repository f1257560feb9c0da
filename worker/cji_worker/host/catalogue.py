"""The conditions that a machine must meet, one entry each: start, timer, `cji doctor` and documentation use the same.

Under production trust every condition is required. A simulation's machine must meet those marked `always`; the others
are reported there and the worker serves.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from cji_core.errors import StartupError

ConditionId = Literal[
    "swap",
    "secret-memory",
    "locked-memory",
    "core-pattern",
    "ptrace-scope",
    "clock-step",
    "tpm-clock",
    "host-profile",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`requires` completes "this machine must"; `remedy` helps when exactly this condition does not hold."""

    requires: str
    remedy: str
    always: bool = False


CATALOGUE: Final[Mapping[ConditionId, Condition]] = MappingProxyType(
    {
        "swap": Condition(
            requires="not swap memory to disk: thread stacks and ciphertext buffers are ordinary memory",
            remedy="Turn swap off: swapoff -a, and take it out of /etc/fstab.",
            always=True,
        ),
        "secret-memory": Condition(
            requires="offer memfd_secret",
            remedy="Use a kernel from 6.5 on, or boot an older one with secretmem.enable=1; there is no weaker mode.",
        ),
        "locked-memory": Condition(
            requires="let the worker lock the secret memory that its configuration needs",
            remedy="Raise LimitMEMLOCK in the unit file, or configure fewer or smaller cells and references.",
        ),
        "core-pattern": Condition(
            requires="not pipe core dumps to a program: the kernel runs it as root, outside the host profile",
            remedy="Set kernel.core_pattern to |/bin/false, as deploy/systemd/cji-worker.sysctl.conf does.",
        ),
        "ptrace-scope": Condition(
            requires="let nobody attach to a process, root included",
            remedy="Set kernel.yama.ptrace_scope to 3, as deploy/systemd/cji-worker.sysctl.conf does.",
        ),
        "clock-step": Condition(
            requires="not set its clock while the worker runs",
            remedy="Set the clock right. If the new time is the right one, restart the worker.",
            always=True,
        ),
        "tpm-clock": Condition(
            requires="measure time as the TPM does",
            remedy="Set the clock right, then restart the worker. Investigate which program set it.",
            always=True,
        ),
        "host-profile": Condition(
            requires="deny to every process, root included, the system calls that read secret memory",
            remedy="Boot with the host profile; see deploy/host-profile/README.md.",
        ),
    }
)


def unmet(not_held: Collection[ConditionId], *, production: bool) -> tuple[ConditionId, ...]:
    """Those of `not_held` that a machine under this trust must meet, in the order of the catalogue."""
    return tuple(name for name, condition in CATALOGUE.items() if name in not_held and (production or condition.always))


def require(not_held: Collection[ConditionId], *, production: bool) -> None:
    """Raise StartupError for the conditions that must hold and do not."""
    failed = unmet(not_held, production=production)
    if failed:
        raise StartupError(
            "; ".join(f"{name}: this machine must {CATALOGUE[name].requires}" for name in failed),
            " ".join(CATALOGUE[name].remedy for name in failed),
        )
