"""`cji job open` and `cji result open`: a sealed result in a folder, verified and then opened, without a network."""

from pathlib import Path

import click
from rich.console import Console

from cji_attestation.attested import evidence_cloud
from cji_attestation.verbs.evidence_options import AT, time_of
from cji_attestation.verbs.reference_values import PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_client.profile import load_profile
from cji_client.profile_keys import decrypter_named
from cji_client.result import Result, count_rows
from cji_client.result_folder import read_result_folder
from cji_client.shard_counts import require_shards
from cji_client.signers import Decrypter, KeyDecrypter
from cji_client.statements import verify_statements
from cji_client.verbs.answers import Received
from cji_client.verbs.compact_file import compact_lines
from cji_client.verbs.job.outputs import Destination, introduce
from cji_client.verbs.job.prepare import QUIET, SAFE_CSV
from cji_client.verbs.progress import shown
from cji_core.command.common import FILE, Failure, explained, prompt
from cji_core.command.json_output import answers
from cji_core.format.keys import load_recipient_key
from cji_core.format.passphrases import passphrase_of

FOLDER = click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.command("open")
@FOLDER
@click.option("--recipient-key", type=FILE, help="The PEM file of a recipient's private key.")
@PROFILE
@AT
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A new folder, or a new .csv, .xlsx, .parquet or .arrow file; other outputs are written next to it.",
)
@click.option(
    "--statements",
    type=FILE,
    help="All statements of the tasks of a job in parts: the rows of each shard are compared.",
)
@SAFE_CSV
@QUIET
@answers(Received)
@click.pass_context
@explained
def open_(
    context: click.Context,
    folder: Path,
    *,
    recipient_key: Path | None,
    profile: Path | None,
    at: str | None,
    out: Path,
    statements: Path | None,
    safe_csv: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Verify the result in FOLDER, then open it with a recipient's key: of --recipient-key, or of the profile.

    The files are those of `cji job run`. Uses no network. The machine needs no key but the recipient's. Nothing is
    written if the receipt states other numbers of rows than the outputs have.

    \b
    Examples:
      cji result open people.result --recipient-key recipient.key --out result/
      cji job open people.result --profile client.toml --out tokens.parquet
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    destination = Destination(out, None, safe_csv=safe_csv)
    recipient = recipient_of(recipient_key, profile)
    console = Console(stderr=True, quiet=quiet or as_json)
    with verified(context, folder, profile, at) as sealed, destination.ready():
        introduce(console, sealed.attested)
        if statements is not None:
            said = verify_statements(sealed.receipt, compact_lines(statements, "statement"))
            rows = count_rows(sealed, recipient)
            require_shards(sealed.header, said, rows, withheld=sealed.receipt.claims.withheld)
        with shown(console) as steps:
            opened = destination.receive(console, sealed, recipient, progress=steps)
    destination.conclude(sealed, opened, quiet=quiet, as_json=as_json)


def verified(context: click.Context, folder: Path, profile: Path | None, at: str | None) -> Result:
    """The verified result in a folder; the reference values are those of `profile`, or the built-in ones."""
    found = read_result_folder(folder)
    trust = trust_named(context, evidence_cloud(found.evidence))
    return found.verified(trust=trust, reference=reference_values(profile, None), at=time_of(at))


def recipient_of(file: Path | None, profile: Path | None) -> Decrypter:
    """The key in a file, or that of the profile. Failure without either."""
    if file is not None:
        return KeyDecrypter(load_recipient_key(file, passphrase=passphrase_of(file, prompt)))
    found = None if profile is None else decrypter_named(load_profile(profile), prompt)
    if found is None:
        raise Failure(
            "no key opens the result", remedy="Give --recipient-key, or a --profile with a recipient_key.", status=2
        )
    return found
