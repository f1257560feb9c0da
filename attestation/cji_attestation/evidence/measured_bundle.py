"""The one event of a configuration bundle in a boot: measured into PCR 15 before its files are handed out.

It is written as systemd writes its own: under the lock of the userspace log, with a record of what was measured. So
a verifier of evidence of this boot sees which configuration the machine applied (E53), and a second bundle is
refused here as it would be there.
"""

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.boot_logs import append_measured, whole_userspace_log, writing
from cji_attestation.evidence.event_log import (
    BUNDLE,
    START_PCR,
    AppliedBundle,
    bundle_event,
    bundle_record,
    read_bundle_event,
    read_logs,
)
from cji_attestation.evidence.tpm import Tpm
from cji_attestation.trust import Trust


def measure_bundle(trust: Trust, bundle: AppliedBundle) -> bool:
    """Measure this bundle, unless this boot shows it already; whether it was measured now.

    CONFIG_INVALID "bundle-applied" if this boot shows another bundle.
    EVIDENCE_UNAVAILABLE: "event-log", "tpm-open", "pcr-extend". EVIDENCE_INVALID "event-log": the log is not one.
    """
    with writing(trust.userspace_log) as log:
        events = [event for event in read_logs(b"", whole_userspace_log(log)) if event.pcr == START_PCR]
        shown = [event.data for event in events if event.data.startswith(BUNDLE)]
        if shown:
            if [_read(one) for one in shown] != [bundle]:
                raise AttestationError(Fault.CONFIG_INVALID, check="bundle-applied")
            return False
        with Tpm(trust.tcti) as tpm:
            append_measured(log, lambda: tpm.measure(START_PCR, bundle_event(bundle)), bundle_record(bundle))
    return True


def _read(text: bytes) -> AppliedBundle | None:
    try:
        return read_bundle_event(text)
    except ValueError:
        return None
