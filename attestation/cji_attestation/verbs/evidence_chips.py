"""`cji evidence chips`: a signed list of the processors of machines that one has seen."""

from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_attestation.appraisal.chips import ChipList, sign_chips
from cji_attestation.verbs.evidence_file import golden
from cji_attestation.verbs.evidence_options import CLOUD, NEW_FILE, UNKNOWN_PARAVISOR, written
from cji_attestation.verbs.reference_values import CONFIG, PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, Failure, explained, signing_key
from cji_core.command.json_output import answers, member, print_answer

_DAY: Final = click.DateTime(formats=["%Y-%m-%d"])


class SignedChips(msgspec.Struct, frozen=True, kw_only=True):
    """`cji evidence chips`: a signed list of processors."""

    file: Annotated[str, member("file of the signed list")]
    id: Annotated[str, member("name of the list")]
    chips: Annotated[tuple[str, ...], member("CHIP_ID or PPID of each processor, hexadecimal")]
    since: Annotated[date, member("first day")]
    until: Annotated[date, member("last day")]


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--id", "name", required=True, help="Name of the list, for verdicts.")
@click.option("--since", type=_DAY, help="First day, UTC; else today.")
@click.option("--until", type=_DAY, required=True, help="Last day, UTC, at most a year later.")
@click.option("--by", "decided_by", required=True, help="Who saw the machines.")
@click.option("--key", type=FILE, required=True, help="P-384 key of the signer, `cji key new-signing`.")
@click.option("--out", type=NEW_FILE, required=True, help="New file for the signed list.")
@PROFILE
@CONFIG
@UNKNOWN_PARAVISOR
@CLOUD
@answers(SignedChips)
@click.pass_context
@explained
def chips(
    context: click.Context,
    files: tuple[Path, ...],
    *,
    name: str,
    since: datetime | None,
    until: datetime,
    decided_by: str,
    key: Path,
    out: Path,
    profile: Path | None,
    config: Path | None,
    unknown_paravisor: bool,
    cloud: str,
    as_json: bool,
) -> None:
    """Sign a list of the processors in evidence of machines that you have seen: dedicated hosts, Azure Local.

    Each FILE is appraised first, at its own time. Everyone who names the list under `chips` and pins the signer under
    `advisory_signers` refuses machines on other processors (E56). Do not use it where hosts are shared or machines are
    added by autoscale: Azure chooses the processor.

    \b
    Example:
      cji evidence chips host-1.json host-2.json --id rack-7 --until 2027-05-30 --by "CISO" \\
        --key signer.key --out chips.jws
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    values = reference_values(profile, config)
    trusted = partial(trust_named, context)
    found = golden(files, trust_of=trusted, cloud=cloud, reference=values, unknown_paravisor=unknown_paravisor).chips
    listed = ChipList(
        version=1,
        id=name,
        chips=found,
        since=since.date() if since else datetime.now(UTC).date(),
        until=until.date(),
        decided_by=decided_by,
    )
    try:
        signed = sign_chips(listed, signing_key(key))
    except ValueError as error:
        remedy = "Give evidence that shows a processor, a name, who decided, and a last day within a year of the first."
        raise Failure(str(error), remedy=remedy, status=2) from error
    written(out, signed)
    answer = SignedChips(file=str(out), id=name, chips=found, since=listed.since, until=listed.until)
    text = "\n".join((*found, f"signed {out}: {len(found)} processors, until {listed.until}"))
    print_answer(answer, text, as_json=as_json)
