"""`cji audit packet verify`: what a packet states, and whether the reader's pins vouch for it."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Final

import click
import msgspec

from cji_audit.packet.checks import Result
from cji_audit.packet.folder import INDEX
from cji_audit.packet.report import checks_of
from cji_audit.packet.trust import Refusal, Signer
from cji_audit.verbs.packet_pins import Given, Judged, judged, packet_options
from cji_audit.verbs.packet_tools import packet_refusals
from cji_core.command.common import Failure, explained
from cji_core.command.json_output import answers, member, print_document

_WORDS: Final = {"holds": "holds", "fails": "fails", "missing": "has a gap"}


class PacketDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A difference between a packet and what it includes."""

    file: Annotated[str, member("the file")]
    what: Annotated[str, member("what differs, in words")]


class PacketSigner(msgspec.Struct, frozen=True, kw_only=True):
    """A key on which a packet rests."""

    role: Annotated[str, member("`signer`, `receipt-key`, `reviewer`, `confirmation-key`, `retention-key` or `log`")]
    key: Annotated[str, member("its thumbprint, RFC 7638, or the log's origin, as the packet's maker gives it")]
    pinned: Annotated[bool, member("whether it is one of the reader's pins")]


class PacketRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """A reason not to trust a packet."""

    reason: Annotated[str, member("its name")]
    what: Annotated[str, member("what is so, in words")]
    remedy: Annotated[str, member("what the reader can do")]


class VerifiedPacket(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit packet verify`: a packet that was read again, and its standing under the reader's pins."""

    trusted: Annotated[bool, member("whether nothing differs and nothing is refused")]
    packet_sha256: Annotated[str, member("SHA-256 of packet.json, hexadecimal")]
    files: Annotated[int, member("number of files")]
    differences: Annotated[tuple[PacketDifference, ...], member("objects of the kind PacketDifference")]
    refusals: Annotated[tuple[PacketRefusal, ...], member("objects of the kind PacketRefusal")]
    signers: Annotated[tuple[PacketSigner, ...], member("objects of the kind PacketSigner")]
    statements: Annotated[tuple[str, ...], member("sentences about signature, timestamp and trails")]
    checks: Annotated[dict[str, str], member("outcome of each check by its name, computed again")]


@click.command()
@packet_options
@click.option("--check", "checks", multiple=True, metavar="NAME", help="Print the result of this check.")
@answers(VerifiedPacket)
@click.pass_context
@explained
@packet_refusals
def verify(context: click.Context, *, given: Given, checks: tuple[str, ...], as_json: bool) -> None:
    """Verify a packet: read all of it again, repeat every check, compare every key with yours. Uses no network.

    Trust is given by you: by the agency's pair, the workers' receipt keys, the reviewers' keys and the policy of the
    agency's log, which you have from them and not from the packet. Without your pins the keys are printed as the maker
    gives them, and nothing is trusted. With --trail, the facts are read from the trails again, and the reports of
    reviews made again. The exit status is 3 if anything differs, or rests on a key that you do not pin.

    \b
    Examples:
      cji audit packet verify q4.zip
      cji audit packet verify q4.zip --signer agency.pub --receipt-key receipt-keys.jwk --reviewer jane.pub \\
        --log-policy policy.toml --tsa-root tsa.pem --trail audit.log
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found = judged(context, given)
    results = checks_of(found.rows)
    if unknown := sorted(set(checks) - results.keys()):
        remedy = f"Checks of this packet: {', '.join(results) or 'none'}."
        raise Failure(f"the packet has no check {', '.join(unknown)}", remedy=remedy, status=2)
    if as_json:
        print_document(_document(found, results))
    else:
        _show(found, {name: results[name] for name in checks})
    if not found.trusted:
        context.exit(3)


def _document(found: Judged, results: Mapping[str, Result]) -> dict[str, object]:
    return {
        "trusted": found.trusted,
        "packet_sha256": sha256(found.files.get(INDEX, b"")).hexdigest(),
        "files": len(found.files),
        "differences": [{"file": each.file, "what": each.what} for each in found.differences],
        "refusals": [_refusal(each) for each in found.trust.refusals],
        "signers": [_signer(each) for each in found.trust.signers],
        "statements": list(found.trust.statements),
        "checks": {name: each.status for name, each in results.items()},
    }


def _show(found: Judged, results: Mapping[str, Result]) -> None:
    for difference in found.differences:
        click.echo(f"{difference.file}: {difference.what}")
    for signer in found.trust.signers:
        click.echo(f"{signer.role} {signer.key_id}, {'pinned by you' if signer.pinned else 'as given by the maker'}")
    for statement in found.trust.statements:
        click.echo(statement)
    for refusal in found.trust.refusals:
        click.echo(f"{refusal.reason}: {refusal.what}\n  {refusal.remedy}")
    for name, result in results.items():
        click.echo(f"check {name} {_WORDS[result.status]}: {result.why}")
    if found.trusted:
        click.echo(f"verified: {len(found.files)} files, under the keys that you pin")
    elif found.differences:
        click.echo("not trusted: the packet contradicts itself or its trails")
    else:
        click.echo("not trusted: the packet agrees with itself, and rests on what you do not pin")
    click.echo(f"SHA-256 of {INDEX}: {sha256(found.files.get(INDEX, b'')).hexdigest()}")


def _refusal(refusal: Refusal) -> dict[str, str]:
    return {"reason": refusal.reason, "what": refusal.what, "remedy": refusal.remedy}


def _signer(signer: Signer) -> dict[str, object]:
    return {"role": signer.role, "key": signer.key_id, "pinned": signer.pinned}
