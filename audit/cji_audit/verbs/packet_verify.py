"""`cji audit packet verify`: what a packet states, and whether the reader's pins vouch for it."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import click
import msgspec

from cji_attestation.appraisal import TimestampRoot
from cji_attestation.appraisal.timestamp import sound_timestamp_roots
from cji_attestation.verbs.reference_values import PROFILE
from cji_audit.packet.attachments import Attachments, Tools
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import INDEX, attachments_of, read, safe
from cji_audit.packet.keys import Keys, keys_in, p384_of
from cji_audit.packet.make import survey_again
from cji_audit.packet.material import Material
from cji_audit.packet.reviews import again as reviews_again
from cji_audit.packet.survey import Surveyed
from cji_audit.packet.trust import Pins, Refusal, Signer, Trust, packet_sha384, trust
from cji_audit.packet.verify import Difference, material_in
from cji_audit.packet.verify import verify as differences_of
from cji_audit.verbs.packet_tools import CLOUD, TRAIL, packet_refusals, tools_for
from cji_audit.verbs.review_sign import confirmation_sources
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, member, print_document
from cji_core.jose import VerifyingKey
from cji_core.strict import StrictError

PATH: Final = click.argument("path", metavar="DIR|ZIP", type=click.Path(exists=True, path_type=Path))
TSA_ROOT: Final = click.option(
    "--tsa-root",
    "tsa_roots",
    type=FILE,
    multiple=True,
    help="PEM of a timestamp authority's root: demands a timestamp.",
)
_SIGNER: Final = click.option("--signer", "signers", type=FILE, multiple=True, help="Public pair of the agency, JWK.")
_RECEIPT_KEY: Final = click.option(
    "--receipt-key", "receipt_keys", type=FILE, multiple=True, help="Receipt keys of workers: PEM, or JWKs, one a line."
)
_REVIEWER: Final = click.option(
    "--reviewer", "reviewers", type=FILE, multiple=True, help="Public key of a reviewer, PEM or JWK."
)
_CONFIRMATION_KEY: Final = click.option(
    "--confirmation-key", "confirmers", type=FILE, multiple=True, help="Public key of a confirming recipient."
)
_RECORDED: Final = click.option("--recorded", is_flag=True, help="Demand a line of a --trail that records this packet.")
_POLICY: Final = click.option(
    "--policy", "policies", type=FILE, multiple=True, help="A policy of confirmed jobs, for reviews with confirmations."
)


class PacketDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A difference between a packet and what it includes."""

    file: Annotated[str, member("the file")]
    what: Annotated[str, member("what differs, in words")]


class PacketSigner(msgspec.Struct, frozen=True, kw_only=True):
    """A key on which a packet rests."""

    role: Annotated[str, member("`signer`, `receipt-key`, `reviewer` or `confirmation-key`")]
    key: Annotated[str, member("its thumbprint, RFC 7638, as the packet's maker gives it")]
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


@click.command()
@PATH
@_SIGNER
@_RECEIPT_KEY
@_REVIEWER
@_CONFIRMATION_KEY
@TSA_ROOT
@_RECORDED
@TRAIL
@_POLICY
@PROFILE
@CLOUD
@answers(VerifiedPacket)
@click.pass_context
@explained
@packet_refusals
def verify(
    context: click.Context,
    path: Path,
    *,
    signers: tuple[Path, ...],
    receipt_keys: tuple[Path, ...],
    reviewers: tuple[Path, ...],
    confirmers: tuple[Path, ...],
    tsa_roots: tuple[Path, ...],
    recorded: bool,
    trails: tuple[Path, ...],
    policies: tuple[Path, ...],
    profile: Path | None,
    cloud: str,
    as_json: bool,
) -> None:
    """Verify a packet: read all of it again, repeat every check, compare every key with yours. Uses no network.

    Trust is given by you: by the agency's pair, the workers' receipt keys and the reviewers' keys, which you have from
    them and not from the packet. Without your pins the keys are printed as the maker gives them, and nothing is
    trusted. With --trail, the facts are read from the trails again, and the reports of reviews made again. The exit
    status is 3 if anything differs, or rests on a key that you do not pin.

    \b
    Examples:
      cji audit packet verify q4.zip
      cji audit packet verify q4.zip --signer agency.pub --receipt-key receipt-keys.jwk --reviewer jane.pub \\
        --tsa-root tsa.pem --trail audit.log
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    pins = Pins(
        keys={
            "signer": _keys(signers),
            "receipt-key": _keys(receipt_keys),
            "reviewer": _keys(reviewers),
            "confirmation-key": _keys(confirmers),
        },
        stamp_roots=stamp_roots(tsa_roots),
        recorded=recorded,
    )
    files, surveyed = read(path), list[Surveyed]()
    keys, digest = p384_of(pins.of("receipt-key")), packet_sha384(files)

    def again(material: Material) -> Sequence[Surveyed]:
        surveyed[:] = survey_again(trails, material, keys=keys, packet=digest)
        return surveyed

    tools = tools_for(context, cloud=cloud, profile=profile)
    differences = differences_of(files, tools, resurvey=again if trails else None)
    material, attachments = _material(files)
    if trails:
        differences += _reviews_again(attachments, trails, policies)
    attested = _attested(attachments, tools)
    standing = trust(files, material, attachments, attested, pins, trails=surveyed)
    _show(files, differences, standing, as_json=as_json)
    if differences or standing.refusals:
        context.exit(3)


def stamp_roots(files: Sequence[Path]) -> tuple[TimestampRoot, ...]:
    """Roots of timestamp authorities, each a PEM file of the root alone. Raises PacketError."""
    today = datetime.now(UTC).date()
    found = tuple(TimestampRoot(certificate=each.read_bytes(), source=each.name, seen=today) for each in files)
    if found and not sound_timestamp_roots(found):
        raise PacketError("A --tsa-root is not one certificate in PEM", "Give the root of the authority, once.")
    return found


def _keys(files: Sequence[Path]) -> Keys:
    return keys_in({str(each): each.read_bytes() for each in files})


def _material(files: dict[str, bytes]) -> tuple[Material | None, Attachments]:
    """The facts, if they can be read, and what was given; `differences_of` names what is wrong with either."""
    with suppress(StrictError, PacketError):
        material = material_in(files)
        return material, attachments_of(files, material)
    return None, Attachments()


def _reviews_again(
    attachments: Attachments, trails: Sequence[Path], policies: tuple[Path, ...]
) -> tuple[Difference, ...]:
    """The reviews whose reports do not follow from the trails, with the receipts and confirmations of the packet."""
    files = attachments.of("reviews")
    keys = keys_in(attachments.of("reviewer_keys"))
    with TemporaryDirectory() as folder:
        kept = {kind: Path(folder, kind) for kind in ("receipts", "confirmations")}
        for kind, path in kept.items():
            path.mkdir()
            for name, data in attachments.of(kind).items():  # type: ignore[arg-type]
                (path / safe(name)).write_bytes(data)
        sources = confirmation_sources(kept["confirmations"] if policies else None, policies)
        found = reviews_again(files, keys, trails, receipts=kept["receipts"], confirmations=sources)
        return tuple(Difference(file=f"given/reviews/{name}", what=what) for name, what in found)


def _attested(attachments: Attachments, tools: Tools) -> list[VerifyingKey]:
    """The receipt keys of the evidence that is accepted."""
    found = [tools.appraise(name, data)[1] for name, data in attachments.of("machines").items()]
    return [key for key in found if key is not None]


def _show(files: dict[str, bytes], differences: Sequence[Difference], standing: Trust, *, as_json: bool) -> None:
    digest = sha256(files.get(INDEX, b"")).hexdigest()
    trusted = not differences and not standing.refusals
    if as_json:
        print_document(
            {
                "trusted": trusted,
                "packet_sha256": digest,
                "files": len(files),
                "differences": [{"file": each.file, "what": each.what} for each in differences],
                "refusals": [_refusal(each) for each in standing.refusals],
                "signers": [_signer(each) for each in standing.signers],
                "statements": list(standing.statements),
            }
        )
        return
    for difference in differences:
        click.echo(f"{difference.file}: {difference.what}")
    for signer in standing.signers:
        click.echo(f"{signer.role} {signer.key_id}, {'pinned by you' if signer.pinned else 'as given by the maker'}")
    for statement in standing.statements:
        click.echo(statement)
    for refusal in standing.refusals:
        click.echo(f"{refusal.reason}: {refusal.what}\n  {refusal.remedy}")
    if trusted:
        click.echo(f"verified: {len(files)} files, under the keys that you pin")
    elif differences:
        click.echo("not trusted: the packet contradicts itself or its trails")
    else:
        click.echo("not trusted: the packet agrees with itself, and rests on what you do not pin")
    click.echo(f"SHA-256 of {INDEX}: {digest}")


def _refusal(refusal: Refusal) -> dict[str, str]:
    return {"reason": refusal.reason, "what": refusal.what, "remedy": refusal.remedy}


def _signer(signer: Signer) -> dict[str, object]:
    return {"role": signer.role, "key": signer.key_id, "pinned": signer.pinned}
