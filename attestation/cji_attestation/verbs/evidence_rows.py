"""The unverified contents of a bundle, section by section, as (label, text)."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, TypeAlias

from cryptography import x509

from cji_attestation import AttestationError, Fault
from cji_attestation.appraisal.advisories import read_review
from cji_attestation.appraisal.ak_certificate import certificates_in
from cji_attestation.evidence import (
    Event,
    Evidence,
    MeasuredBoot,
    TdCollateral,
    parse_attest,
    parse_hcl,
    parse_snp_report,
    parse_td_quote,
    parse_td_report,
    read_logs,
)
from cji_attestation.evidence.event_log import BUNDLE, NO_ACTION, START_PCR, read_bundle_event
from cji_attestation.evidence.tpm_structures import SYSTEM_PCRS, selected_pcrs
from cji_attestation.evidence_file import EvidenceFile
from cji_attestation.maa import parse_jwks
from cji_attestation.strict import load_pem_chain, parse_object
from cji_attestation.verbs.advisory_rows import machine_findings
from cji_core.certs import spki_sha256
from cji_core.command.common import Failure

Rows: TypeAlias = Iterator[tuple[str, str]]
_MAX_STATEMENT_BYTES: Final = 1 << 20
_MOST_TEXT: Final = 100  # characters of an event


def sections(wrapper: EvidenceFile | None, bundle: Evidence) -> dict[str, list[tuple[str, str]]]:
    """Rows by section, empty ones left out. A section that cannot be read has the one row ("unreadable", check)."""
    parts: dict[str, Callable[[], Rows]] = {
        "file": lambda: _wrapper(wrapper),
        "bundle": lambda: _bundle(bundle),
        "hardware report": lambda: _hardware(bundle),
        "advisories": lambda: _advisories(bundle),
        "runtime claims": lambda: _claims(bundle),
        "certificates": lambda: _certificates(bundle),
        "TPM quote": lambda: _quote(bundle),
        "boot": lambda: _boot(bundle),
    }
    found = {name: _rows(part) for name, part in parts.items()}
    return {name: rows for name, rows in found.items() if rows}


def _rows(part: Callable[[], Rows]) -> list[tuple[str, str]]:
    try:
        return list(part())
    except AttestationError as error:
        return [("unreadable", error.check)]
    except Failure as error:
        return [("unreadable", error.message.partition("\n")[0])]


def _wrapper(wrapper: EvidenceFile | None) -> Rows:
    if wrapper is None:
        return
    for name in ("cloud", "attested_at", "nonce", "maa_url"):
        value = getattr(wrapper, name)
        yield name, value.hex() if isinstance(value, bytes) else str(value)
    carried = [name for name in ("amd_crl", "timestamp") if getattr(wrapper, name)]
    yield "carries", ", ".join(carried) or "no CRL, no timestamp"
    for kid, found in parse_jwks(wrapper.jwks).items():
        yield "signing key", f"{kid}, SHA-256 {spki_sha256(found.key)}"


def _bundle(bundle: Evidence) -> Rows:
    yield "version, kind", f"{bundle.version}, {bundle.tee}"
    yield "SHA-384", bundle.sha384.hex()


def _hardware(bundle: Evidence) -> Rows:
    raw = parse_hcl(bundle.hcl_report)
    if raw.tee == "snp":
        snp = parse_snp_report(raw.hardware)
        yield "SNP report", f"version {snp.version}, VMPL {snp.vmpl}, policy {snp.policy:#x}, guest SVN {snp.guest_svn}"
        yield "policy bits", " ".join(snp.policy_flags)
        yield "platform bits", " ".join(snp.platform_flags)
        yield "family, image", f"{snp.family_id.hex()}, {snp.image_id.hex()}"
        yield "measurement", snp.measurement.hex()
        yield "host data", snp.host_data.hex()
        yield "id key digest", snp.id_key_digest.hex()
        yield "chip", snp.chip_id.hex()
        for name in ("reported", "committed", "launch", "current"):
            yield f"TCB {name}", getattr(snp, f"{name}_tcb").hex()
        yield "mitigations", f"launch {snp.launch_mitigations:#x}, current {snp.current_mitigations:#x}"
    else:
        td = parse_td_report(raw.hardware)
        yield "attributes", f"{td.attributes:#x}, debug {'on' if td.attributes & 1 else 'off'}"
        yield "MRTD", td.mrtd.hex()
        yield "TCB SVN, CPU SVN", f"{td.tcb_svn.hex()}, {td.cpu_svn.hex()}"
    yield "report data", raw.report_data.hex()


def _advisories(bundle: Evidence) -> Rows:
    """The state of each by the shipped table, as the report claims; an acceptance is for `verify`."""
    for one in machine_findings(bundle, read_review(None, (), ()), datetime.now(UTC)):
        yield one.id, f"{one.state}: {one.detail}"


def _claims(bundle: Evidence) -> Rows:
    raw = parse_hcl(bundle.hcl_report)
    for name, value in raw.claims["vm-configuration"].items():
        yield str(name), str(value)
    yield "user-data", raw.user_data


def _certificates(bundle: Evidence) -> Rows:
    chains: dict[str, tuple[x509.Certificate, ...]] = {}
    chains["AK"] = certificates_in(bundle.ak_cert)
    if bundle.tee == "snp":
        chains["AMD"] = load_pem_chain(bundle.certs, fault=Fault.EVIDENCE_INVALID, check="AMD chain")
    elif bundle.td_quote:
        quote = parse_td_quote(bundle.td_quote)
        yield "TD quote", f"version {quote.version}"
        chains["Intel"] = load_pem_chain(quote.pck_chain, fault=Fault.EVIDENCE_INVALID, check="PCK chain")
    for name, chain in chains.items():
        for one in chain:
            yield name, f"{one.subject.rfc4514_string()}, until {one.not_valid_after_utc:%Y-%m-%d}"
    if isinstance(bundle.collateral, TdCollateral):
        for name, text in (("TCB info", bundle.collateral.tcb_info), ("QE identity", bundle.collateral.qe_identity)):
            told = parse_object(text.encode(), limit=_MAX_STATEMENT_BYTES, fault=Fault.EVIDENCE_INVALID, check=name)
            yield name, f"{told.get('issueDate')} to {told.get('nextUpdate')}"
    elif bundle.tee == "tdx":
        yield "collateral", "none"


def _quote(bundle: Evidence) -> Rows:
    attest = parse_attest(bundle.quote)
    yield "carries", attest.extra_data.hex()
    yield "vTPM firmware", f"{attest.firmware:#018x}"
    clock = attest.clock
    yield "clock", f"{clock.clock} ms, {clock.reset_count} resets, {clock.restart_count} restarts"
    for pcr, value in zip(selected_pcrs(attest.selection), bundle.pcrs, strict=False):
        yield f"PCR {pcr}", value.hex()


def _boot(bundle: Evidence) -> Rows:
    if not isinstance(bundle.boot, MeasuredBoot):
        return
    clock = parse_attest(bundle.boot.quote).clock
    yield "second quote", f"{clock.clock} ms, {clock.reset_count} resets, {clock.restart_count} restarts"
    for pcr, value in zip(SYSTEM_PCRS, bundle.boot.pcrs, strict=False):
        yield f"PCR {pcr}", value.hex()
    yield "command line", bundle.boot.command_line
    events = read_logs(bundle.boot.firmware_log, bundle.boot.userspace_log)
    for event in events:
        if event.pcr == START_PCR and event.data.startswith(BUNDLE):
            try:
                yield "configuration bundle", str(read_bundle_event(event.data))
            except ValueError:
                yield "configuration bundle", "unreadable"
    yield from event_rows(events)


def event_rows(events: Iterable[Event]) -> Rows:
    """("PCR n", digest and text) of each event, in the order of the log. Text that was not measured is in brackets."""
    for event in events:
        encoding = "utf-16-le" if event.data[1:2] == b"\0" else "utf-8"
        text = event.data.decode(encoding, "replace").strip("\0")
        shown = "".join(one if one.isprintable() else "." for one in text[:_MOST_TEXT])
        if event.kind != NO_ACTION:
            yield f"PCR {event.pcr}", f"{event.digest.hex()} {shown if event.measured else f'({shown})'}"
