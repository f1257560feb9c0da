"""`cji audit packet stamp`: an RFC 3161 timestamp over the signature of a packet."""

import os
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_attestation import AttestationError
from cji_attestation.appraisal import check_timestamp, timestamp_request
from cji_attestation.archive import stamp as ask_authority
from cji_attestation.verbs.evidence_options import NEW_FILE, written
from cji_attestation.verbs.trusts import trust_named
from cji_audit.packet.archive import packed
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import read
from cji_audit.verbs.packet_pins import TSA_ROOT, stamp_roots
from cji_audit.verbs.packet_tools import CLOUD, packet_refusals
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.trail.packets import SIGNATURE, STAMP, stamped

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)

_REMEDY: Final = "Compare --tsa-root with the authority's root, or ask another one."


class StampedPacket(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit packet stamp`: a request for a timestamp, or a packet that has one."""

    file: Annotated[str, member("the file that was written")]
    time: Annotated[str | None, member("the time that the authority states; null for a request")]


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--authority", metavar="URL", help="Ask this timestamp authority, by http or https.")
@click.option("--request", type=NEW_FILE, help="Write the request into this new file, to be sent from elsewhere.")
@click.option("--response", type=FILE, help="The authority's answer to such a request.")
@TSA_ROOT
@CLOUD
@answers(StampedPacket)
@click.pass_context
@explained
@packet_refusals
def stamp(
    context: click.Context,
    folder: Path,
    *,
    authority: str | None,
    request: Path | None,
    response: Path | None,
    tsa_roots: tuple[Path, ...],
    cloud: str,
    as_json: bool,
) -> None:
    """Have an authority attest that the signed packet in FOLDER existed today: FOLDER/packet.tsr, and its ZIP again.

    The timestamp is over packet.jws, so sign first. It is verified under --tsa-root before it is kept; readers pin the
    same root. With --request and --response you send the request yourself, from a machine with a network.

    \b
    Examples:
      cji audit packet stamp q4 --authority http://tsa.example.gov/tsr --tsa-root tsa.pem
      cji audit packet stamp q4 --request q4.tsq
      cji audit packet stamp q4 --response q4.tsr --tsa-root tsa.pem
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if sum(each is not None for each in (authority, request, response)) != 1:
        raise Failure("nothing to do", remedy="Give one of --authority, --request and --response.", status=2)
    files = read(folder)
    if SIGNATURE not in files:
        raise PacketError(f"The packet has no {SIGNATURE}", "Sign it first: `cji audit sign-packet`.")
    message = stamped(files[SIGNATURE])
    if request is not None:
        written(request, timestamp_request(message))
        text = f"{request}: send it to a timestamp authority, then give its answer with --response"
        print_answer(StampedPacket(file=str(request), time=None), text, as_json=as_json)
        return
    roots = stamp_roots(tsa_roots)
    if not roots:
        raise Failure("no root is given", remedy="Give the authority's root: --tsa-root.", status=2)
    try:
        data = (
            response.read_bytes()
            if response is not None
            else ask_authority(message, str(authority), trust=trust_named(context, cloud), roots=roots)
        )
        at, check = check_timestamp(data, message, roots)
    except AttestationError as error:
        what = f"no timestamp was kept: {error.failures[0].found or error.what}"
        raise Failure(what, remedy=_REMEDY, status=3) from error
    target = _kept(folder, files, data)
    answer = StampedPacket(file=str(target), time=at.isoformat(timespec="seconds"))
    print_answer(answer, f"{target}: {check.finding}", as_json=as_json)


def _kept(folder: Path, files: dict[str, bytes], data: bytes) -> Path:
    """Write the timestamp into the folder, and the ZIP beside it again, with everything that the folder has."""
    target, archive = folder / STAMP, folder.with_name(f"{folder.name}.zip")
    written(target, data)
    new = folder.with_name(f".{folder.name}.zip.new")
    new.write_bytes(packed(files | {STAMP: data}))
    os.chmod(new, 0o600)
    os.replace(new, archive)
    return target
