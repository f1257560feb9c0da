"""`cji link labels new`: a label file for people to fill in; `link evaluate` and training read it."""

import os
from pathlib import Path

import click
import numpy as np
from rich.console import Console

from cji_client.errors import SpecError
from cji_client.verbs.answers import NewLabels
from cji_client.verbs.link_sample import Ints, Listed, read_listed, steps
from cji_core.command.common import explained
from cji_core.command.json_output import answers, print_json
from cji_core.operations.link.labels import Label, write_labels


@click.group()
def labels() -> None:
    """Decisions of people on pairs of records."""


@labels.command()
@click.argument("folder", metavar="RESULT", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    "-o",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("labels.csv"),
    show_default=True,
    help="The new label file.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 1 << 20),
    help="Instead of the pairs for a clerk: so many of all listed pairs, drawn from all weights.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the draw.")
@answers(NewLabels)
@explained
def new(folder: Path, *, out: Path, sample: int | None, seed: int, as_json: bool) -> None:
    """Write a label file with pairs of RESULT, the output folder of a job with `link`, to fill in.

    Without --sample it has all pairs for a clerk. A sample has about as many pairs of each step of two bits, drawn at
    random, so that `cji link evaluate` estimates precision and recall of all listed pairs. Fill in the column verdict:
    same, different or unsure; by, at and note are yours. In a spreadsheet program, import left and right as text. The
    file names records: only you can read it (0600), and it is to be handled as the records are.

    \b
    Examples:
      cji link labels new linked/
      cji link labels new linked/ --sample 300 -o sample.csv
    """  # noqa: D301 - \\b is click's mark for text that it must not wrap
    listed = read_listed(folder)
    chosen = np.flatnonzero(~listed.match) if sample is None else drawn(listed, sample, seed)
    pairs = [(listed.left[i].as_py(), listed.right[i].as_py()) for i in chosen.tolist()]
    if any(None in pair for pair in pairs):
        raise SpecError("a listed pair has a record without a record id", remedy="Give each record an id, or none.")
    _write(out, [Label(left=left, right=right) for left, right in pairs])
    if as_json:
        print_json(NewLabels(file=str(out), pairs=len(pairs), listed=len(listed.left)))
    console = Console(quiet=as_json)
    console.print(f"{len(pairs)} of {len(listed.left)} listed pairs to decide: {out}", highlight=False, markup=False)


def drawn(listed: Listed, size: int, seed: int) -> Ints:
    """int64[k], ascending: `size` listed pairs or all of them; of each step of weights about as many, at random."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(listed.weight))
    step = steps(listed.weight)[order]
    by_step = np.argsort(step, kind="stable")
    starts = np.flatnonzero(np.diff(step[by_step], prepend=np.iinfo(np.int64).min))
    rank = np.arange(len(step)) - np.repeat(starts, np.diff([*starts, len(step)]))  # within its step
    first = np.argsort(rank, kind="stable")[:size]  # the first of every step, then the second
    found: Ints = np.sort(order[by_step[first]])
    return found


def _write(out: Path, found: list[Label]) -> None:
    try:
        with os.fdopen(
            os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            file.writelines(write_labels(found))
    except FileExistsError:
        raise SpecError(f"{out} exists", remedy="Choose another --out.") from None
    except OSError as error:
        raise SpecError(f"{out} cannot be written ({error.strerror})") from None
