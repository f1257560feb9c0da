"""The measured boot: the second quote under the same AK, and the event logs replayed against both quotes.

After that the digests of events are authentic, and each text whose hash is one of them. What a log calls an event is
not: a root user writes it. So nothing here depends on the type of an event or on a text that was not measured.
"""

import hmac
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation.appraisal.boot_state import BootState
from cji_attestation.appraisal.vtpm import PCR_BYTES, verify_signature
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Record, invalid
from cji_attestation.evidence import Event, Evidence, MeasuredBoot, TpmAttest, parse_attest, read_logs, replay
from cji_attestation.evidence.binding import RECEIPT_KEY_BYTES
from cji_attestation.evidence.event_log import (
    BUNDLE,
    IMA_PCR,
    NO_ACTION,
    START,
    START_PCR,
    AppliedBundle,
    read_bundle_event,
)
from cji_attestation.evidence.tpm_structures import PCRS, SYSTEM_PCRS, SYSTEM_SELECTION, pcr_digest
from cji_core.strict import hex_decode


def authenticate_boot(
    evidence: Evidence,
    first: TpmAttest,
    ak: rsa.RSAPublicKey,
    *,
    start: tuple[bytes, ...] | None,
    update: AppliedBundle | None,
    record: Record,
) -> BootState | None:
    """The state of a machine beyond PCR 7, or None for a bundle without a second quote.

    `first` is the authentic quote of PCRs 0 to 7; `start` and `update` are as in `appraise`.
    """
    boot = evidence.boot
    if not isinstance(boot, MeasuredBoot):
        if start is not None or update is not None:
            raise invalid("E46", found="no second quote")
        record.add(Skipped("E46", "no second quote: PCRs 8 to 15 are not shown"))
        return None
    record.add(_check_quote(boot, first, ak))
    quoted = (*evidence.pcrs, *boot.pcrs)
    events, replayed = record.take(_replayed(boot, quoted))
    record.add(_check_texts(events))
    starts = record.take(_check_start(events, start, replayed[START_PCR] == quoted[START_PCR]))
    bundle = record.take(_check_bundle(events))
    record.add(_check_update(bundle, update))
    before = tuple(event for event in events if not _is_start(event))
    return BootState(
        pcrs=(*quoted[:START_PCR], replay(before)[START_PCR]),
        events=before,
        starts=starts,
        command_line=boot.command_line,
        bundle=bundle,
        update=update,
    )


def _check_quote(boot: MeasuredBoot, first: TpmAttest, ak: rsa.RSAPublicKey) -> Check:
    verify_signature(boot.quote, boot.quote_signature, ak, check="E46")
    try:
        second = parse_attest(boot.quote)
    except AttestationError as error:
        raise invalid("E46") from error
    problems = {
        f"a {second.kind}": second.kind != "quote",
        "another signer": second.signer != first.signer,
        "other qualifying data": not hmac.compare_digest(second.extra_data, first.extra_data),
        f"selection {second.selection.hex()}": second.selection != SYSTEM_SELECTION,
        "other values than eight of 32 bytes": [len(value) for value in boot.pcrs] != [PCR_BYTES] * len(SYSTEM_PCRS),
        "values of another digest": second.digest != pcr_digest(boot.pcrs),
        "another boot": not first.clock.precedes(second.clock),
    }
    if found := [name for name, wrong in problems.items() if wrong]:
        raise invalid("E46", found="; ".join(found))
    return Check("E46", "PCRs sha256:8-15 in a second quote")


def _replayed(boot: MeasuredBoot, pcrs: tuple[bytes, ...]) -> tuple[tuple[tuple[Event, ...], tuple[bytes, ...]], Check]:
    try:
        events = read_logs(boot.firmware_log, boot.userspace_log)
        values = replay(events)
    except AttestationError as error:
        raise invalid("E47", found=error.failures[0].found or "a log that cannot be read") from error
    wrong = [pcr for pcr in (*PCRS, *SYSTEM_PCRS) if pcr not in (IMA_PCR, START_PCR) and values[pcr] != pcrs[pcr]]
    if wrong:
        raise invalid(
            "E47",
            found="; ".join(f"PCR {pcr} is {pcrs[pcr].hex()}" for pcr in wrong),
            expected="; ".join(f"PCR {pcr} is {values[pcr].hex()}" for pcr in wrong),
        )
    extensions = tuple(event for event in events if event.kind != NO_ACTION)  # anything can stand in the others
    return (extensions, values), Check("E47", f"{len(extensions)} events lead to PCRs 0 to 14, PCR {IMA_PCR} excepted")


def _is_start(event: Event) -> bool:
    return event.pcr == START_PCR and event.data.startswith(START)


def _check_texts(events: tuple[Event, ...]) -> Check:
    """Otherwise a log could call the start of another worker something else, and keep its digest."""
    unread = [event.digest.hex() for event in events if event.pcr == START_PCR and event.measured is None]
    if unread:
        raise invalid("E50", found=f"text that was not measured: {' '.join(unread)}")
    return Check("E50", f"the events of PCR {START_PCR} measured their texts")


def _check_start(
    events: tuple[Event, ...], expected: tuple[bytes, ...] | None, replayed: bool
) -> tuple[tuple[bytes, ...], Check]:
    """The keys of the starts that PCR 15 shows."""
    if not replayed:
        raise invalid("E48", found=f"PCR {START_PCR} extended by something that no log has")
    starts = tuple(_starts(events))
    if expected is not None and (starts not in [(one,) if one else () for one in expected]):
        raise invalid("E48", found=_named(starts), expected=" or ".join(_named((one,)) for one in expected))
    return starts, Check("E48", _named(starts))


def _starts(events: tuple[Event, ...]) -> Iterator[bytes]:
    for event in events:
        if _is_start(event):
            try:
                key = hex_decode(event.data.removeprefix(START).decode(), size=RECEIPT_KEY_BYTES)
            except ValueError as error:
                raise invalid("E48", found="a start without a receipt key") from error
            yield key


def _named(starts: tuple[bytes, ...]) -> str:
    return "started: " + " ".join(key.hex() for key in starts) if any(starts) else "no start of a worker"


def _check_bundle(events: tuple[Event, ...]) -> tuple[AppliedBundle | None, Check]:
    """The one bundle that was applied. After a start it would be a claim of root's: no worker reads it any more."""
    found: AppliedBundle | None = None
    started = False
    for event in events:
        started = started or _is_start(event)
        if event.pcr != START_PCR or not event.data.startswith(BUNDLE):
            continue
        if started or found is not None:
            raise invalid("E53", found="a bundle after the start of a worker" if started else "two bundles")
        try:
            found = read_bundle_event(event.data)
        except ValueError as error:
            raise invalid("E53", found="the event of a bundle that names none") from error
    return found, Check("E53", f"configuration bundle: {found or 'none was applied'}")


def _check_update(bundle: AppliedBundle | None, update: AppliedBundle | None) -> Check:
    """A hot update follows the bundle of this boot: without one, nobody verified what the worker was started with."""
    if update is not None and (bundle is None or update.serial <= bundle.serial):
        raise invalid("E59", found=f"hot update {update}", expected=f"later than {bundle or 'an applied bundle'}")
    return Check("E59", f"hot update: {update or 'none'}")
