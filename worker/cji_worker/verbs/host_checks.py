"""The checks of `cji doctor` on the machine: the conditions of `cji_worker.host`, as a worker would read them now."""

import time
from typing import Final

from cji_attestation import AttestationError, Trust, is_production
from cji_core.command.findings import Finding, NotOk, run_check
from cji_core.format.configuration.worker import Config
from cji_worker.host import CATALOGUE, Host, TpmClockWatch, secret_mib, unmet

_PAUSE_S: Final = 1.0
_ALLOWED_S: Final = 0.5


def host_checks(config: Config | None, trust: Trust | None) -> list[Finding]:
    """The findings on this machine. A condition that the trust does not require, or no trust, makes it a warning."""
    host = Host(secret_mib=secret_mib(config) if config else 0)
    readings = host.read()
    host.close()
    production = trust is not None and is_production(trust)
    failed = unmet([each.id for each in readings if not each.held], production=production)
    findings = [
        Finding(
            name=each.id,
            state="ok" if each.held else "failed" if each.id in failed else "warning",
            found=each.found,
            remedy="" if each.held else CATALOGUE[each.id].remedy,
        )
        for each in readings
    ]
    if trust is not None:
        findings.append(run_check("tpm-clock", lambda: _tpm_clock(trust)))
    return findings


def _tpm_clock(trust: Trust) -> str:
    """A second of what a running worker does from one attestation to the next."""
    watch = TpmClockWatch(allowed_s=_ALLOWED_S)
    try:
        from cji_attestation.evidence.tpm import Tpm  # noqa: PLC0415 - its C libraries may be what is missing

        for pause in (0, _PAUSE_S):
            time.sleep(pause)
            with Tpm(trust.tcti) as tpm:
                watch.note(utc=time.time(), tpm=tpm.clock())
    except (ImportError, AttestationError) as error:
        raise NotOk("not read", "Correct the vTPM first.", state="not run") from error
    if not watch.held:
        raise NotOk("the clock and the TPM's differ in speed", CATALOGUE["tpm-clock"].remedy)
    return "the clock keeps pace with the TPM's"
