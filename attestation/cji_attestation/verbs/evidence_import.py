"""`cji evidence import`: evidence that another program collected on an Azure machine, as a bundle in a file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cji_attestation import AttestationError, Fault
from cji_attestation.appraisal.shortcomings import shortcomings
from cji_attestation.evidence import Evidence, parse_attest
from cji_attestation.evidence.foreign import looks_like
from cji_attestation.evidence.imds import read_thim
from cji_attestation.evidence.imported import bundle_of, chain_of, read_collateral, read_quote, read_trustee
from cji_attestation.verbs.evidence_options import written
from cji_attestation.verbs.evidence_written import WrittenEvidence, print_written
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers

_RAW = ("hcl_report", "quote", "signature", "pcrs")


@click.command("import")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="New file for the bundle.")
@click.option("--trustee", type=FILE, help="JSON of an attester az-snp-vtpm or az-tdx-vtpm, in place of the next four.")
@click.option("--hcl-report", type=FILE, help="Contents of NV index 0x01400001.")
@click.option("--quote", type=FILE, help="Message of tpm2_quote by the key at 0x81000003, with SHA-256 PCRs 0 to 7.")
@click.option("--signature", type=FILE, help="Its signature.")
@click.option("--pcrs", type=FILE, help="Its PCR values, as tpm2_quote or tpm2_pcrread writes them.")
@click.option(
    "--thim", type=FILE, help="JSON of the metadata service with AMD's certificates: /THIM/amd/certification."
)
@click.option("--amd-chain", type=FILE, help="PEM of ASK and ARK, for --trustee, which has the VCEK alone.")
@click.option("--td-quote", type=FILE, help="The quote of a trust domain, raw.")
@click.option("--collateral", type=FILE, help="Intel's collateral for it, in the JSON of dcap-qvl.")
@answers(WrittenEvidence)
@explained
def import_(out: Path, *, as_json: bool, **files: Path | None) -> None:
    """Write a bundle from the parts that another collector took. Nothing in it is appraised.

    No key is ever released to imported evidence: it has no ephemeral key. `cji evidence verify` states that.

    \b
    Examples:
      cji evidence import --hcl-report hcl --quote msg --signature sig --pcrs pcrs --thim thim.json --out b.json
      cji evidence import --trustee evidence.json --amd-chain ask_ark.pem --out b.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    contents = {name: path.read_bytes() for name, path in files.items() if path is not None}
    try:
        evidence = _bundle(contents)
    except AttestationError as error:
        raise _refused(contents, error) from error
    written(out, evidence.to_json())
    for note in shortcomings(evidence, datetime.now(UTC)):
        click.echo(f"note: {note}", err=True)
    print_written(out, evidence, parse_attest(evidence.quote).extra_data, as_json=as_json)


def _refused(contents: dict[str, bytes], error: AttestationError) -> Failure:
    """The refusal with what was found: a part that cannot be read, or evidence of another cloud."""
    found = [one.found for one in error.failures if one.found]
    named = "hcl_report" if "hcl_report" in contents else "trustee"
    if not found and error.check in {"hcl", "import"} and (looks := looks_like(contents.get(named, b""))):
        found = [f"{looks} where Azure's HCL report belongs"]
    said = json.dumps("; ".join(found))[1:-1]  # what a stranger wrote must not move the cursor
    return Failure(f"refused at {error.check}" + (f": {said}" if said else ""), remedy=error.remedy, status=1)


def _bundle(contents: dict[str, bytes]) -> Evidence:
    """The bundle of these files; Failure 2 for files that do not go together."""
    missing = [name for name in _RAW if name not in contents]
    if ("trustee" in contents) == (not missing) or ("trustee" in contents and len(missing) < len(_RAW)):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in _RAW)
        raise Failure("the parts are incomplete", remedy=f"Give --trustee, or all of {names}.", status=2)
    parts: dict[str, Any] = {}
    if "collateral" in contents:
        parts["collateral"] = read_collateral(contents["collateral"])
    if "trustee" in contents:
        found = read_trustee(contents["trustee"])
        if found.vcek:
            parts["certs"] = chain_of(found.vcek, _issuers(contents))
        return bundle_of(found.hcl_report, found.quote, td_quote=found.td_quote, **parts)
    if "thim" in contents:
        parts["certs"] = read_thim(contents["thim"], fault=Fault.EVIDENCE_INVALID).pem
    quote = read_quote(contents["quote"], contents["signature"], contents["pcrs"])
    return bundle_of(contents["hcl_report"], quote, td_quote=contents.get("td_quote", b""), **parts)


def _issuers(contents: dict[str, bytes]) -> bytes:
    """ASK and ARK, which trustee's evidence does not have."""
    if "amd_chain" in contents:
        return contents["amd_chain"]
    if "thim" in contents:
        return read_thim(contents["thim"], fault=Fault.EVIDENCE_INVALID).chain
    remedy = "Give --amd-chain, AMD's /vcek/v1/PRODUCT/cert_chain, or --thim of a machine with the same product."
    raise Failure("AMD's certificates above the VCEK are missing", remedy=remedy, status=2)
