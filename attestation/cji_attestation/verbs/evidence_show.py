"""`cji evidence show`: the contents of evidence in a file, or a page with the verdict on it."""

import json
from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_attestation.evidence import IMPORTED
from cji_attestation.verbs.evidence_file import read_file
from cji_attestation.verbs.evidence_options import (
    AT,
    CLOUD,
    NEW_FILE,
    UNKNOWN_PARAVISOR,
    qualifying_of,
    time_of,
    written,
)
from cji_attestation.verbs.evidence_proof import evidence_proof
from cji_attestation.verbs.evidence_rows import sections
from cji_attestation.verbs.proof_page import proof_page
from cji_attestation.verbs.reference_values import CONFIG, PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, member, print_document


class ShownEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """`cji evidence show`: what evidence states, of which nothing was verified."""

    verified: Annotated[bool, member("always false")]
    sections: Annotated[dict[str, tuple[tuple[str, ...], ...]], member("by section, pairs of name and value")]


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--html", type=NEW_FILE, help="Appraise FILE and write a page to this new file: what was proven, what not."
)
@PROFILE
@CONFIG
@click.option("--qualifying", metavar="HEX", help="With --html: 64 digits that the quote of a bare bundle must carry.")
@AT
@UNKNOWN_PARAVISOR
@CLOUD
@answers(ShownEvidence)
@click.pass_context
@explained
def show(
    context: click.Context,
    file: Path,
    *,
    html: Path | None,
    profile: Path | None,
    config: Path | None,
    qualifying: str | None,
    at: str | None,
    unknown_paravisor: bool,
    cloud: str,
    as_json: bool,
) -> None:
    """Show the contents of FILE. Nothing in it is verified, except on a page (--html).

    A page has the verdict first: FILE is appraised as by `cji evidence verify`. One that is refused gets its page too,
    which shows why; the exit status is 3. The page is one file without scripts or links to a network.

    \b
    Examples:
      cji evidence show out/evidence.json
      cji evidence show out/evidence.json --profile client.toml --html evidence.html
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    read = read_file(file)
    found = sections(read.wrapper, read.bundle)
    if html is not None:
        trust, reference = trust_named(context, read.cloud(cloud)), reference_values(profile, config)
        proof = evidence_proof(
            read,
            found,
            trust=trust,
            reference=reference,
            expected=lambda: qualifying_of(qualifying, imported=read.bundle.version == IMPORTED),
            at=time_of(at),
            unknown_paravisor=unknown_paravisor,
        )
        written(html, "".join(proof_page(proof)).encode())
        click.echo(f"{html}: {proof.outcome}")
        context.exit(0 if proof.accepted else 3)
    if as_json:
        print_document({"verified": False, "sections": found}, indent=2)
        return
    click.echo("not verified: these are the file's own claims")
    for name, rows in found.items():
        click.echo(name)
        for label, value in rows:
            click.echo(f"  {label:18} {json.dumps(value)[1:-1]}")  # what a stranger wrote must not move the cursor
