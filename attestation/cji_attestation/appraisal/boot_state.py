"""`BootState`: the measured boot of a machine, as `cji_attestation.appraisal.boot` found it authentic."""

from dataclasses import dataclass

from cji_attestation.evidence import Event
from cji_attestation.evidence.event_log import AppliedBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class BootState:
    """An authentic boot. `pcrs` are PCRs 0 to 15 as they were before a worker started.

    `events` are the extensions that lead to them, those of IMA in PCR 10 excepted. `starts` are the receipt keys of
    workers that started in this boot, by their thumbprints. `command_line` is the kernel's own report of it, which only
    `cji_attestation.appraisal.boot_image` compares with what was measured. `bundle` is the
    configuration bundle that was applied, `update` a later one whose policy, client authorities and revocation lists
    the worker took since.
    """

    pcrs: tuple[bytes, ...]
    events: tuple[Event, ...]
    starts: tuple[bytes, ...]
    command_line: str
    bundle: AppliedBundle | None = None
    update: AppliedBundle | None = None

    @property
    def in_force(self) -> AppliedBundle | None:
        """The bundle whose configuration the worker uses."""
        return self.update or self.bundle
