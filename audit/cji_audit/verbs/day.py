"""`cji audit day`: the auditor's page about a packet."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_attestation.verbs.evidence_options import NEW_FILE, written
from cji_audit.packet.day import day as page_of
from cji_audit.packet.errors import PacketError
from cji_audit.packet.html import html
from cji_audit.verbs.packet_pins import Given, judged, packet_options
from cji_audit.verbs.packet_tools import packet_refusals
from cji_core.command.common import explained
from cji_core.command.json_output import answers, member, print_answer

_REMEDY: Final = "Look at `cji audit packet verify`: it names what is wrong with the packet."


class AuditorsDay(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit day`: a page about a packet."""

    page: Annotated[str, member("the file of the page")]
    trusted: Annotated[bool, member("whether nothing of the packet differs or is refused under the pins")]


@click.command()
@packet_options
@click.option("--out", type=NEW_FILE, required=True, help="New file for the page, HTML.")
@answers(AuditorsDay)
@click.pass_context
@explained
@packet_refusals
def day(context: click.Context, *, given: Given, out: Path, as_json: bool) -> None:
    """Write one page about a packet: what was asked, what is proven, what is open, and what is due next.

    The packet is verified as by `cji audit packet verify`, with the same options and no network. Each claim on the page
    links to the command that re-derives it, with your pins as you give them here. The page is one file without scripts
    that loads nothing. The exit status is 3 if the packet is not trusted; the page is written, and states that.

    \b
    Example:
      cji audit day q4.zip --signer agency.pub --receipt-key receipt-keys.jwk --reviewer jane.pub --tsa-root tsa.pem \\
        --trail audit.log --out q4.html
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found = judged(context, given)
    if found.material is None or not found.rows:
        raise PacketError("There is nothing to write a page of: the packet cannot be read", _REMEDY)
    document = page_of(
        found.material,
        found.rows,
        found.trust,
        found.differences,
        command=given.command,
        now=datetime.now(UTC),
    )
    written(out, "".join(html(document)).encode())
    state = "trusted under your pins" if found.trusted else "not trusted"
    print_answer(AuditorsDay(page=str(out), trusted=found.trusted), f"{out}: the packet is {state}", as_json=as_json)
    if not found.trusted:
        context.exit(3)
