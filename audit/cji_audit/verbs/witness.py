"""`cji audit witness`: examine a trail against its witnesses, and write a signed statement without a network."""

import dataclasses
from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer, print_document
from cji_core.errors import StartupError
from cji_core.trail.checkpoint import MAX_BYTES, CheckpointError, parse_checkpoint
from cji_core.trail.delivery import DeliveryError, DeliveryFile, load_delivery
from cji_core.trail.witnesses.examination import examine
from cji_core.trail.witnesses.findings import Examination
from cji_core.trail.witnesses.keys import ReceiptKeys, read_key, read_keys
from cji_core.trail.witnesses.records import RecordError
from cji_core.trail.witnesses.settings import tables

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_REMEDY = (
    "Keep the trail, the state and the witnesses' copies as they are, and investigate who changed what. "
    'docs/audit.md, "Witnesses", explains each finding.'
)

_NOTHING_SEEN = "Name the deliverer's state or copies of it, and the keys that signed its checkpoints."
_NOTHING_LEFT = "Verify it with a checkpoint of later lines, and with an export of the lines that were pruned."


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit witness statement`: a SCITT signed statement over a checkpoint."""

    file: Annotated[str, member("file of the statement")]
    bytes: Annotated[int, member("its size")]
    issuer: Annotated[str, member("its issuer, a URI")]
    subject: Annotated[str, member("name of the trail")]


class WitnessedAt(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that a witness saw."""

    witness: Annotated[str, member("name of the witness")]
    size: Annotated[int, member("lines of the checkpoint")]
    root: Annotated[str, member("root of their Merkle tree, hexadecimal")]
    at: Annotated[str | None, member("when the witness saw it; null for a copy without a record")]
    clock: Annotated[str | None, member("whose clock that is")]


class WitnessFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of a trail, by what witnesses saw."""

    fault: Annotated[str, member("its kind, docs/audit.md")]
    text: Annotated[str, member("what is wrong, in words")]
    witness: Annotated[str | None, member("who saw something else; null if no witness")]
    size: Annotated[int | None, member("lines of the checkpoint that it is about, or null")]
    after: Annotated[int | None, member("last line that is known to be good, or null")]
    line: Annotated[int | None, member("first wrong line, or null")]


class Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit witness verify`: a trail, compared with what its witnesses saw."""

    lines: Annotated[int, member("lines of the trail")]
    root: Annotated[str, member("root of their Merkle tree, hexadecimal")]
    agreed: Annotated[int, member("the first lines that witnesses saw")]
    pruned: Annotated[int, member("the first lines that were pruned")]
    sightings: Annotated[tuple[WitnessedAt, ...], member("objects of the kind WitnessedAt")]
    findings: Annotated[tuple[WitnessFault, ...], member("objects of the kind WitnessFault")]


@click.group()
def witness() -> None:
    """Examine a trail against its witnesses; write signed statements."""


@witness.command("verify")
@click.argument("trail", type=FILE)
@click.option("--config", type=FILE, required=True, help="audit.toml: the witnesses and what is pinned of them.")
@click.option("--state", type=_FOLDER, help="The deliverer's state, or a copy of it. Default: as configured.")
@click.option("--copies", type=_FOLDER, multiple=True, help="A file witness's folder, or blobs of one. Repeatable.")
@click.option("--key", "key_files", type=FILE, multiple=True, help="A receipt key or verified evidence. Repeatable.")
@answers(Witnessed)
@explained
def verify(
    trail: Path,
    config: Path,
    state: Path | None,
    copies: tuple[Path, ...],
    key_files: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Compare a trail with everything that its witnesses returned, without a network.

    Verifies every line, every checkpoint under the worker's keys, and every receipt under what audit.toml pins. A cut
    tail, a fork, a rollback and a rewritten line are named, with the witness that saw something else and when. Use
    your own audit.toml and keys, and copies from the witnesses themselves: a person who rewrites a trail rewrites
    the state beside it too. The exit status is 3 if anything is wrong.

    \b
    Examples:
      cji audit witness verify audit.log --config audit.toml --key evidence.json
      cji audit witness verify audit.log --config audit.toml --state backup/state --copies /mnt/witness --json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_core.trail.witnesses.configured import witness_for  # noqa: PLC0415 - loads the clients of all services

    try:
        delivery = load_delivery(config)
        found = {table.name: table for table in tables(delivery.witnesses, folder=config.resolve().parent)}
        keys = _keys(delivery, key_files)
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error
    folder = (state or Path(delivery.state)) / "witnesses"
    try:
        kept = sorted({*found, *(each.name for each in folder.iterdir())}) if folder.is_dir() else []
        result = examine(
            trail,
            state={name: folder / name for name in kept if (folder / name).is_dir()},
            copies=copies,
            witnesses={name: witness_for(table) for name, table in found.items()},
            keys=keys,
        )
    except (OSError, RecordError) as error:
        raise Failure(f"A file or folder cannot be read: {error}", remedy="Name readable ones.", status=2) from error
    if as_json:
        print_document(_as_json(result))
    else:
        _show(result)
    _require_good(result)


@witness.command("statement")
@click.argument("checkpoint", type=FILE)
@click.option("--key", "key_file", type=FILE, required=True, help="The issuer's private key, PEM, P-384 or P-256.")
@click.option("--issuer", required=True, help="The issuer, as a URI.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The new file for the statement.")
@answers(Statement)
@explained
def statement(checkpoint: Path, key_file: Path, issuer: str, out: Path, *, as_json: bool) -> None:
    """Write a SCITT signed statement over a checkpoint, without a network.

    CHECKPOINT is a signed note, as `cji audit prove` and file witnesses have it. The statement is a COSE_Sign1 (RFC
    9943) with ES384 or ES256, by the curve of your key. Register it at a transparency service by any means.

    \b
    Example:
      cji audit witness statement checkpoint.txt --key issuer.pem --issuer https://pd.example -o checkpoint.cose
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_core.trail.witnesses.cose import sign_statement  # noqa: PLC0415 - loads cbor2
    from cji_core.trail.witnesses.scitt import read_private_key  # noqa: PLC0415

    try:
        with checkpoint.open("rb") as file:
            note = file.read(MAX_BYTES + 1)
        subject = parse_checkpoint(note).origin
        signed = sign_statement(note, issuer=issuer, subject=subject, key=read_private_key(key_file))
        with out.open("xb") as target:
            target.write(signed)
    except CheckpointError as error:
        raise Failure(f"{checkpoint} is not a checkpoint: {error}", remedy="Name a signed note.", status=2) from error
    except DeliveryError as error:
        raise Failure(
            str(error), remedy="Make one: openssl ecparam -genkey -name secp384r1 -noout", status=2
        ) from error
    except OSError as error:
        raise Failure(f"{out} cannot be written: {error.strerror}", remedy="Name a new file.", status=2) from error
    answer = Statement(file=str(out), bytes=len(signed), issuer=issuer, subject=subject)
    print_answer(answer, f"{out}: {len(signed)} bytes, {issuer} about {subject}", as_json=as_json)


def _keys(delivery: DeliveryFile, files: tuple[Path, ...]) -> ReceiptKeys:
    if files:
        return ReceiptKeys(map(read_key, files))
    return read_keys(Path(delivery.receipt_keys or ""))


def _require_good(result: Examination) -> None:
    """Failure 3 unless witnesses saw this trail, and nothing else."""
    if not result.sightings:
        raise Failure("No witness saw this trail", remedy=_NOTHING_SEEN, status=3)
    if result.findings:
        raise Failure(f"{len(result.findings)} findings: do not trust this trail", remedy=_REMEDY, status=3)
    if all(each.checkpoint.size < result.pruned for each in result.sightings):
        raise Failure("No witness saw the lines that are left", remedy=_NOTHING_LEFT, status=3)


def _show(result: Examination) -> None:
    click.echo(f"{result.lines} lines, root {result.root.hex()}")
    newest = {each.witness: each for each in result.sightings}
    for name, last in newest.items():
        count = sum(each.witness == name for each in result.sightings)
        when = "" if last.at is None else f" at {last.at} by the {last.clock}'s clock"
        click.echo(f"{name}: {count} checkpoints, the newest of {last.checkpoint.size} lines{when}")
    click.echo(f"the first {result.last_agreed} lines are what witnesses saw")
    if result.pruned:
        click.echo(f"lines 1 to {result.pruned} were pruned; checkpoints of fewer were not compared")
    for each in result.findings:
        where = f"line {each.line}" if each.line else (f"after line {each.after}" if each.after is not None else "")
        click.echo(" ".join(filter(None, (f"{each.fault}:", where and f"{where}:", each.witness, each.text))))


def _as_json(result: Examination) -> dict[str, object]:
    return {
        "lines": result.lines,
        "root": result.root.hex(),
        "agreed": result.last_agreed,
        "pruned": result.pruned,
        "sightings": [
            {
                "witness": each.witness,
                "size": each.checkpoint.size,
                "root": each.checkpoint.root.hex(),
                "at": each.at,
                "clock": each.clock,
            }
            for each in result.sightings
        ],
        "findings": [dataclasses.asdict(each) for each in result.findings],
    }
