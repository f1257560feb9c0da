"""`cji audit prove`, `verify-proof` and `checkpoint`: one event shown to an auditor without the others."""

from pathlib import Path
from typing import Annotated, Any

import click
import msgspec

from cji_attestation.verbs.evidence_options import written
from cji_attestation.verbs.trails import INDEX, checkpoint_in, indexed, require_keys, trail_faults, with_keys
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer, print_document
from cji_core.strict import hex_decode
from cji_core.trail.chain import read
from cji_core.trail.checkpoint import Checkpoint, parse_checkpoint
from cji_core.trail.index import TrailIndex
from cji_core.trail.merkle import ProofError
from cji_core.trail.proofs import (
    MAX_BYTES,
    ConsistencyProof,
    LineProof,
    RangeProof,
    decode_proof,
    encode_proof,
    prove_continued,
    prove_line,
    verify_continued,
    verify_line,
)
from cji_core.trail.rules import CheckpointKeys

_OUT = click.Path(dir_okay=False, path_type=Path)


class Proven(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji audit prove`: the file of a proof, and what it proves."""

    file: Annotated[str, member("file of the proof")]
    origin: Annotated[str, member("name of the trail in its checkpoints")]
    lines: Annotated[int, member("lines of the checkpoint")]
    line: Annotated[int | None, member("number of the proven line; absent for a checkpoint that is continued")] = None
    earlier_lines: Annotated[int | None, member("lines of the checkpoint that is continued; else absent")] = None


class LastCheckpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji audit checkpoint`: the last checkpoint in a trail."""

    origin: Annotated[str, member("name of the trail")]
    lines: Annotated[int, member("lines that it covers")]
    root: Annotated[str, member("root of their Merkle tree, hexadecimal")]
    checkpoint: Annotated[str, member("the signed note")]
    file: Annotated[str | None, member("where it was written; absent without --out")] = None


class ProvenAt(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint."""

    origin: Annotated[str, member("name of the trail")]
    lines: Annotated[int, member("lines that it covers")]
    root: Annotated[str, member("root of their Merkle tree, hexadecimal")]


class VerifiedProof(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji audit verify-proof`: what a proof proves."""

    line: Annotated[int | None, member("number of the line; absent for a checkpoint that is continued")] = None
    record: Annotated[dict[str, Any] | None, member("the line, as in the trail; else absent")] = None
    checkpoint: Annotated[ProvenAt | None, member("the checkpoint that has it; else absent")] = None
    key: Annotated[str | None, member("thumbprint of the receipt key that signed it; else absent")] = None
    earlier: Annotated[ProvenAt | None, member("the checkpoint that is continued; else absent")] = None
    later: Annotated[ProvenAt | None, member("the checkpoint that continues it; else absent")] = None


@click.command()
@click.argument("trail", type=FILE)
@click.option("--job", help="Id of a job: the last line about it is proven, which has its receipt if it has one.")
@click.option("--line", type=click.IntRange(min=1), help="Number of a line, as `cji audit search` shows it.")
@click.option("--checkpoint", type=FILE, help="Against this one; by default the first in the trail that covers it.")
@click.option("--from", "earlier", type=FILE, help="Prove that the trail continues this checkpoint.")
@click.option("--to", "later", type=FILE, help="Up to this checkpoint; by default the last in the trail.")
@click.option("-o", "--out", type=_OUT, required=True, help="New file for the proof.")
@INDEX
@answers(Proven)
@explained
@trail_faults
def prove(
    trail: Path,
    *,
    job: str | None,
    line: int | None,
    checkpoint: Path | None,
    earlier: Path | None,
    later: Path | None,
    out: Path,
    index_file: Path | None,
    as_json: bool,
) -> None:
    """Prove that one line is in a trail, or that a trail continues an earlier checkpoint.

    The proof of a line has that line, the hashes that lead to a checkpoint, and the checkpoint with the worker's
    signature; of other lines it shows hashes alone. `cji audit verify-proof` needs nothing else but a key.

    \b
    Examples:
      cji audit prove audit.log --job 6b1f0c1e2d3a4b5c6d7e8f9001122334 -o proof.json
      cji audit prove audit.log --line 4711 --checkpoint 2026-11-24.checkpoint -o proof.json
      cji audit prove audit.log --from october.checkpoint --to november.checkpoint -o continued.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if [job, line, earlier].count(None) != 2 or (later and not earlier) or (checkpoint and earlier):
        raise Failure("name one thing to prove", remedy="Give --job, --line, or --from with --to.", status=2)
    with indexed(trail, index_file) as index:
        proof: LineProof | ConsistencyProof
        if earlier is not None:
            end = checkpoint_in(later) if later else _last(index)
            proof = prove_continued(index, checkpoint_in(earlier), end)
        else:
            seq = line if line is not None else _line_of(index, job or "")
            proof = prove_line(index, seq, None if checkpoint is None else checkpoint_in(checkpoint))
    written(out, encode_proof(proof))
    print_answer(_proven(out, proof), f"{out}: {_described(proof)}", as_json=as_json)


@click.command("verify-proof")
@click.argument("file", type=FILE)
@answers(VerifiedProof)
@click.pass_context
@explained
@trail_faults
@with_keys
def verify_proof(keys: CheckpointKeys, *, file: Path, as_json: bool) -> None:
    """Verify a proof that `cji audit prove` wrote. Needs no trail and no network.

    The key is that of --evidence, which must pass every check of `cji evidence verify`, or one that you trust already.
    The exit status is 3 if the proof is wrong, or not by one of these keys.

    \b
    Examples:
      cji audit verify-proof proof.json --evidence evidence.json
      cji audit verify-proof continued.json --key receipt-key.jwk --json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    require_keys(keys)
    with file.open("rb") as stream:
        proof = decode_proof(stream.read(MAX_BYTES + 1))
    if isinstance(proof, LineProof):
        record, checkpoint = verify_line(proof, keys)
        found = {"line": record.seq, "record": record, "checkpoint": _facts(checkpoint), "key": proof.receipt_key}
    elif isinstance(proof, RangeProof):
        raise ProofError("it is of an export: use `cji audit verify-export` with its folder")
    else:
        earlier, later = verify_continued(proof, keys)
        found = {"earlier": _facts(earlier), "later": _facts(later)}
    if as_json:
        print_document(msgspec.to_builtins(found))
    else:
        click.echo(f"verified: {_described(proof)}")
        if isinstance(proof, LineProof):
            click.echo(f"signed by {proof.receipt_key}\n{proof.line}")


@click.command()
@click.argument("trail", type=FILE)
@click.option("-o", "--out", type=_OUT, help="New file for the checkpoint; by default it is printed.")
@INDEX
@answers(LastCheckpoint)
@explained
@trail_faults
def checkpoint(trail: Path, *, out: Path | None, index_file: Path | None, as_json: bool) -> None:
    """Print the last checkpoint in a trail, to be kept where nobody who can write the trail can write.

    \b
    Example:
      cji audit checkpoint audit.log -o 2026-11-24.checkpoint
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    with indexed(trail, index_file) as index:
        note = _last_note(index)
    found = parse_checkpoint(note.encode())
    if out is not None:
        written(out, note.encode())
    answer = LastCheckpoint(
        origin=found.origin,
        lines=found.size,
        root=found.root.hex(),
        checkpoint=note,
        file=None if out is None else str(out),
    )
    text = note.removesuffix("\n") if out is None else f"{out}: {found.size} lines"
    print_answer(answer, text, as_json=as_json)


def _line_of(index: TrailIndex, job: str) -> int:
    try:
        lines = index.rows.lines_of(hex_decode(job))
    except ValueError:
        lines = []
    if not lines:
        pruned = index.pruned()
        gone = "" if pruned is None else f"; lines 1 to {pruned.last} were pruned: look for an export of them"
        remedy = "`cji audit search TRAIL --job 6b1f*` finds ids."
        raise Failure(f"no line about job {job}{gone}", remedy=remedy, status=2)
    return lines[-1][0]


def _last_note(index: TrailIndex) -> str:
    found = index.last_checkpoint()
    if found is None:
        remedy = "A worker writes one when it starts. Get a newer copy of the trail."
        raise Failure("the trail has no checkpoint", remedy=remedy, status=2)
    return found.note


def _last(index: TrailIndex) -> Checkpoint:
    return parse_checkpoint(_last_note(index).encode())


def _facts(checkpoint: Checkpoint) -> dict[str, object]:
    return {"origin": checkpoint.origin, "lines": checkpoint.size, "root": checkpoint.root.hex()}


def _proven(out: Path, proof: LineProof | ConsistencyProof) -> Proven:
    if isinstance(proof, LineProof):
        of = parse_checkpoint(proof.checkpoint.encode())
        line = read(f"{proof.line}\n".encode()).seq
        return Proven(file=str(out), origin=of.origin, lines=of.size, line=line)
    earlier, later = (parse_checkpoint(note.encode()) for note in (proof.earlier, proof.later))
    return Proven(file=str(out), origin=later.origin, lines=later.size, earlier_lines=earlier.size)


def _described(proof: LineProof | ConsistencyProof) -> str:
    if isinstance(proof, LineProof):
        record, of = read(f"{proof.line}\n".encode()), parse_checkpoint(proof.checkpoint.encode())
        return f"line {record.seq}, {record.event.kind} of {record.time}, is in {of.origin} of {of.size} lines"
    earlier, later = (parse_checkpoint(note.encode()) for note in (proof.earlier, proof.later))
    return f"{later.origin} of {later.size} lines continues the {earlier.size} lines of the earlier checkpoint"
