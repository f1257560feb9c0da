"""The conditions of the machine, as the keyholder requires them: from the supervisor's reports and the TPM's clock."""

from cji_core.errors import Reason, Refusal, Stage
from cji_worker.host import ConditionId, HostReport, ProfileName, TpmClockWatch, require, unmet


class HostState:
    """The conditions now; for the main thread. The custody thread takes the readings of `tpm_clock`."""

    def __init__(self, report: HostReport, *, production: bool) -> None:
        """Raises StartupError for a machine on which this worker must not obtain a key."""
        require(report.not_held, production=production)
        self._report, self._production = report, production
        self.tpm_clock = TpmClockWatch()
        self.profile: ProfileName = report.profile
        """The profile that has held since the start, for receipts."""

    @property
    def unmet(self) -> tuple[ConditionId, ...]:
        """The conditions that are required and do not hold."""
        not_held = self._report.not_held if self.tpm_clock.held else (*self._report.not_held, "tpm-clock")
        return unmet(not_held, production=self._production)

    def take(self, report: HostReport) -> None:
        """Continue with a new report."""
        self._report = report
        if report.profile != self.profile:
            self.profile = "none"

    def require(self) -> None:
        """Raise NOT_READY unless a job may be admitted on this machine."""
        if self.unmet:
            raise Refusal(Reason.NOT_READY, stage=Stage.ADMIT)
