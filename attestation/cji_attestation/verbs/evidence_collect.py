"""`cji evidence collect`: this machine's evidence as a bundle in a file.

It uses the vTPM, the metadata service and, on TDX, Intel's service; no Azure Attestation, no vault. It extends no
PCR.
"""

import secrets
from pathlib import Path

import click
import msgspec
from cryptography import x509

from cji_attestation import Fault
from cji_attestation.evidence import Evidence
from cji_attestation.evidence.pcs import IntelPcs
from cji_attestation.strict import load_pem_chain
from cji_attestation.verbs.evidence_options import CLOUD, QUALIFYING_BYTES, qualifying_of, written
from cji_attestation.verbs.evidence_written import WrittenEvidence, print_written
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers
from cji_core.metadata import SERVICE, socket_of


@click.command()
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write; not overwritten."
)
@click.option("--qualifying", metavar="HEX", help="64 digits that the quotes carry, from the verifier; else random.")
@click.option(
    "--ak-issuers", type=FILE, help="PEM file: `ak_issuers` of worker.toml. Without it, expect E44 to refuse."
)
@CLOUD
@answers(WrittenEvidence)
@click.pass_context
@explained
def collect(
    context: click.Context, out: Path, *, qualifying: str | None, ak_issuers: Path | None, cloud: str, as_json: bool
) -> None:
    """Collect evidence of this machine, as root. Nothing in it is appraised; `cji evidence verify` does that.

    \b
    Examples:
      cji evidence collect --out golden.json --ak-issuers /etc/cji/ak-issuers.pem
      cji evidence collect --out answer.json --ak-issuers ak-issuers.pem --qualifying 64_HEX_DIGITS
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    carried = secrets.token_bytes(QUALIFYING_BYTES) if qualifying is None else qualifying_of(qualifying)
    evidence = _collected(context, cloud, carried, ak_issuers)
    written(out, evidence.to_json())
    print_written(out, evidence, carried, as_json=as_json)


def _collected(context: click.Context, cloud: str, carried: bytes, issuers: Path | None) -> Evidence:
    from cji_attestation.evidence.collect import collect as from_machine  # noqa: PLC0415 - needs the TPM's libraries

    trust = trust_named(context, cloud)
    broker = socket_of(trust.imds)
    if broker is not None and not Path(broker).exists():  # a machine that is not a worker's yet
        trust = msgspec.structs.replace(trust, imds=SERVICE)
    known: tuple[x509.Certificate, ...] = ()
    if issuers is not None:
        known = load_pem_chain(issuers.read_bytes(), fault=Fault.CONFIG_INVALID, check="ak-issuers")
    return from_machine(trust=trust, qualifying_data=carried, pcs=IntelPcs(trust), ak_issuers=known)
