"""`cji evidence`: what a machine showed, and what each check makes of it. Uses no network.

FILE is the evidence.json of `cji job run`, which states its own time, nonce and receipt key, or a bare bundle
(`attestation.evidence.Evidence`), for which --qualifying says what its quote must carry.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from cryptography import x509

from attestation import AttestationError, Fault
from attestation.appraisal import CHECKS, ReferenceValues, Verdict, appraise
from attestation.certs import load_der, load_pem_chain
from attestation.evidence import (
    Evidence,
    TdCollateral,
    parse_attest,
    parse_hcl,
    parse_snp_report,
    parse_td_quote,
    parse_td_report,
)
from attestation.strict_json import parse_object
from worker.cli.common import FILE, Failure, explained, trust_named
from worker.client import Unverified, load_profile, read_evidence

__all__ = ["evidence"]

Rows = Iterator[tuple[str, str]]
_MAX_FILE_BYTES: Final = 1 << 20
_QUALIFYING_BYTES: Final = 32


@click.group()
def evidence() -> None:
    """Read and judge a machine's evidence."""


@evidence.command()
@click.argument("file", type=FILE)
@explained
def show(file: Path) -> None:
    """Show what FILE says of itself. Nothing of it is verified; `cji evidence verify` does that."""
    wrapper, bundle = _read(file)
    click.echo("not verified: this is what the file says of itself")
    for name, part in (
        ("file", lambda: _wrapper(wrapper)),
        ("bundle", lambda: _bundle(bundle)),
        ("hardware report", lambda: _hardware(bundle)),
        ("runtime claims", lambda: _claims(bundle)),
        ("certificates", lambda: _certificates(bundle)),
        ("TPM quote", lambda: _quote(bundle)),
    ):
        _section(name, part)


@evidence.command()
@click.argument("file", type=FILE)
@click.option("--at", metavar="TIME", help="Judge at this time, ISO 8601 with zone; else the file's own, or now.")
@click.option("--profile", type=FILE, help="client.toml whose [reference] values apply; else the built-in ones.")
@click.option("--qualifying", metavar="HEX", help="32 bytes that the quote of a bare bundle must carry.")
@click.option("--cloud", default="azure-us", show_default=True, help="Whose roots judge a bare bundle.")
@click.pass_context
@explained
def verify(
    context: click.Context, file: Path, *, at: str | None, profile: Path | None, qualifying: str | None, cloud: str
) -> None:
    """Judge FILE against the vendors' roots and say what each check found; exit status 3 at the first that fails.

    \b
    Examples:
      cji evidence verify out/evidence.json
      cji evidence verify out/evidence.json --profile client.toml --at 2026-03-17T00:00:00Z
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    wrapper, bundle = _read(file)
    reference = ReferenceValues() if profile is None else load_profile(profile).reference
    when = _time(at)
    trust = trust_named(context, cloud if wrapper is None else str(wrapper.get("cloud")))
    try:
        if wrapper is None:
            now = when or datetime.now(UTC)
            asked = _qualifying(qualifying)
            verdict = appraise(bundle, trust=trust, reference=reference, expected_qualifying=asked, now=now)
        else:
            if qualifying is not None:
                raise Failure("--qualifying is for a bare bundle", remedy="This file states its own nonce.", status=2)
            stated = wrapper if when is None else wrapper | {"attested_at": when.isoformat()}
            found = read_evidence(json.dumps(stated).encode(), trust=trust, reference=reference)
            verdict, now = found.verdict, found.attested_at
    except AttestationError as error:
        raise _refused(error.check, error.remedy, unusable=error.fault is Fault.CONFIG_INVALID) from error
    except Unverified as error:
        raise _refused(error.check.removeprefix("attestation "), str(error)) from error
    click.echo("\n".join(_explained(verdict, roots=trust.name, now=now)))


def _read(file: Path) -> tuple[dict[str, Any] | None, Evidence]:
    """The file of `cji job run`, if it is one, and the bundle."""
    data = file.read_bytes()
    try:
        found = parse_object(data, limit=_MAX_FILE_BYTES, fault=Fault.EVIDENCE_INVALID, check="evidence-json")
        if "hcl_report" in found:
            return None, Evidence.from_json(data.rstrip(b"\n"))
        text = found.get("evidence")
        if not isinstance(text, str):
            raise AttestationError(Fault.EVIDENCE_INVALID, check="evidence-json")
        return found, Evidence.from_json(_base64(text))
    except AttestationError as error:
        remedy = "Give the evidence.json of `cji job run`, or a bundle as the worker's Attest call returns it."
        raise Failure(f"{file.name} holds no evidence", remedy=remedy, status=2) from error


def _base64(text: str) -> bytes:
    try:
        return msgspec.convert(text, bytes)
    except msgspec.ValidationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="evidence-json") from error


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise Failure(f"--at {text} is no time", remedy="Write it like 2026-03-17T00:00:00Z.", status=2)
    return when


def _qualifying(text: str | None) -> bytes:
    remedy = "Give --qualifying: 64 hexadecimal digits, SHA-256 of what the quote was asked for (docs/format.md)."
    try:
        value = bytes.fromhex(text or "")
    except ValueError:
        value = b""
    if len(value) != _QUALIFYING_BYTES:
        raise Failure("a bare bundle does not say what its quote must carry", remedy=remedy, status=2)
    return value


def _refused(check: str, remedy: str, *, unusable: bool = False) -> Failure:
    demand = CHECKS.get(check)
    return Failure(
        f"refused at {check}: {demand}" if demand else f"refused at {check}", remedy=remedy, status=2 if unusable else 3
    )


def _explained(verdict: Verdict, *, roots: str, now: datetime) -> Iterator[str]:
    yield f"accepted: {verdict.tee} {verdict.product}, roots of {roots}, at {now.isoformat(timespec='seconds')}"
    for check, found in verdict.checks:
        yield f"  {check}  {CHECKS[check]}"
        yield f"       {found}"


def _section(name: str, part: Callable[[], Rows]) -> None:
    try:
        rows = list(part())
    except AttestationError as error:
        rows = [("unreadable", error.check)]
    if rows:
        click.echo(name)
    for label, value in rows:
        click.echo(f"  {label:18} {json.dumps(value)[1:-1]}")  # what a stranger wrote must not move the cursor


def _wrapper(wrapper: dict[str, Any] | None) -> Rows:
    for name in ("cloud", "attested_at", "nonce"):
        if wrapper is not None:
            yield name, str(wrapper.get(name))


def _bundle(bundle: Evidence) -> Rows:
    yield "version, kind", f"{bundle.version}, {bundle.tee}"
    yield "SHA-384", bundle.sha384.hex()


def _hardware(bundle: Evidence) -> Rows:
    raw = parse_hcl(bundle.hcl_report)
    if raw.tee == "snp":
        snp = parse_snp_report(raw.hardware)
        yield "SNP report", f"version {snp.version}, VMPL {snp.vmpl}, policy {snp.policy:#x}"
        yield "debug, migration", f"{'on' if snp.debug else 'off'}, {'on' if snp.migratable else 'off'}"
        yield "measurement", snp.measurement.hex()
        yield "chip", snp.chip_id.hex()
        yield "TCB reported", snp.reported_tcb.hex()
    else:
        td = parse_td_report(raw.hardware)
        yield "attributes", f"{td.attributes:#x}, debug {'on' if td.attributes & 1 else 'off'}"
        yield "MRTD", td.mrtd.hex()
        yield "TCB SVN, CPU SVN", f"{td.tcb_svn.hex()}, {td.cpu_svn.hex()}"
    yield "report data", raw.report_data.hex()


def _claims(bundle: Evidence) -> Rows:
    raw = parse_hcl(bundle.hcl_report)
    for name, value in raw.claims["vm-configuration"].items():
        yield str(name), str(value)
    yield "user-data", raw.user_data


def _certificates(bundle: Evidence) -> Rows:
    chains: dict[str, tuple[x509.Certificate, ...]] = {}
    chains["AK"] = (load_der(bundle.ak_cert, fault=Fault.EVIDENCE_INVALID, check="AK certificate"),)
    if bundle.tee == "snp":
        chains["AMD"] = load_pem_chain(bundle.certs, fault=Fault.EVIDENCE_INVALID, check="AMD chain")
    elif bundle.td_quote:
        quote = parse_td_quote(bundle.td_quote)
        yield "TD quote", f"version {quote.version}"
        chains["Intel"] = load_pem_chain(quote.pck_chain, fault=Fault.EVIDENCE_INVALID, check="PCK chain")
    for name, chain in chains.items():
        for one in chain:
            yield name, _named(one)
    if isinstance(bundle.collateral, TdCollateral):
        for name, text in (("TCB info", bundle.collateral.tcb_info), ("QE identity", bundle.collateral.qe_identity)):
            told = parse_object(text.encode(), limit=_MAX_FILE_BYTES, fault=Fault.EVIDENCE_INVALID, check=name)
            yield name, f"{told.get('issueDate')} to {told.get('nextUpdate')}"
    elif bundle.tee == "tdx":
        yield "collateral", "none"


def _named(certificate: x509.Certificate) -> str:
    return f"{certificate.subject.rfc4514_string()}, until {certificate.not_valid_after_utc:%Y-%m-%d}"


def _quote(bundle: Evidence) -> Rows:
    attest = parse_attest(bundle.quote)
    yield "carries", attest.extra_data.hex()
    clock = attest.clock
    yield "clock", f"{clock.clock} ms, {clock.reset_count} resets, {clock.restart_count} restarts"
    for pcr, value in enumerate(bundle.pcrs):
        yield f"PCR {pcr}", value.hex()
