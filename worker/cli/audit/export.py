"""`cji audit export` and `verify-export`: all lines of a time, with the proof that none of them is left out."""

from pathlib import Path
from typing import Final

import click

from worker.audit.inspection import CheckpointKeys
from worker.audit.merkle import ProofError
from worker.audit.proofs import MAX_BYTES, RangeProof, decode_proof, encode_proof, prove_lines, verify_lines
from worker.audit.trail import file_lines
from worker.cli.audit.common import INDEX, checked_time, indexed, require_keys, trail_faults, with_keys
from worker.cli.common import FILE, Failure, explained

_LINES: Final = "lines.jsonl"
_PROOF: Final = "proof.json"


@click.command()
@click.argument("trail", type=FILE)
@click.option("--since", callback=checked_time, required=True, help="Not before this time (UTC), such as 2026-11.")
@click.option("--until", callback=checked_time, required=True, help="Before this time.")
@click.option(
    "-o", "--out", type=click.Path(exists=False, path_type=Path), required=True, help="New folder for the export."
)
@INDEX
@explained
@trail_faults
def export(trail: Path, *, since: str, until: str, out: Path, index_file: Path | None) -> None:
    """Export all lines between two times, and prove that none is left out.

    The folder has the lines as they are in the trail, and a proof. The line before and the line after that time are in
    it too: so its reader sees that it begins and ends there. `cji audit verify-export` needs the folder and a key.

    \b
    Example:
      cji audit export audit.log --since 2026-10 --until 2026-11 -o october
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    with indexed(trail, index_file) as index:
        span = index.rows.span(since, until)
        if span is None:
            raise Failure("no lines between these times", remedy="`cji audit search` shows times.", status=2)
        first, last = max(1, span[0] - 1), min(index.inspection.tree.size, span[1] + 1)
        proof = prove_lines(index, first, last)
        try:
            out.mkdir(mode=0o700)
        except OSError as error:
            remedy = "Name a new folder in one that exists."
            raise Failure(f"{out} cannot be made", remedy=remedy, status=2) from error
        with (out / _LINES).open("xb") as file:
            file.writelines(index.lines(first, last))
    (out / _PROOF).write_bytes(encode_proof(proof))
    click.echo(f"{out}: lines {first} to {last}")


@click.command("verify-export")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.pass_context
@explained
@trail_faults
@with_keys
def verify_export(keys: CheckpointKeys, *, folder: Path) -> None:
    """Verify that an export has all lines between its first and its last, as they are in the trail. Uses no network.

    \b
    Example:
      cji audit verify-export october --evidence evidence.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    require_keys(keys)
    try:
        with (folder / _PROOF).open("rb") as stream:
            proof = decode_proof(stream.read(MAX_BYTES + 1))
        if not isinstance(proof, RangeProof):
            raise ProofError("it is not the proof of an export")
        head, checkpoint = verify_lines(proof, file_lines(folder / _LINES), keys)
    except OSError as error:
        remedy = f"Give the folder that `cji audit export` made, with {_LINES} and {_PROOF}."
        raise Failure(f"{folder} cannot be read", remedy=remedy, status=2) from error
    click.echo(f"verified: lines {proof.index + 1} to {head.seq} of {checkpoint.origin} are complete")
    click.echo(f"signed by {proof.receipt_key}, with {checkpoint.size} lines")
