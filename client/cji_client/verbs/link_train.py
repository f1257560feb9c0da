"""`cji link train`: the model of a linkage with m of every level from pairs that people have labelled."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace
from rich import box
from rich.console import Console
from rich.table import Table

from cji_client.errors import SpecError
from cji_client.verbs.link_count import linking_of
from cji_client.verbs.link_sample import (
    Floats,
    Sample,
    floats_of,
    integers_of,
    output_file,
    read_listed,
    read_sample,
    steps,
    table_of,
    texts_of,
)
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, member, print_json
from cji_core.operations.link import Model
from cji_core.operations.link.model_file import to_toml
from cji_core.operations.link.person_model import model_for
from cji_operations.link.labelled import PRIOR_PAIRS, labelled_m, worth

_LEAST: Final = 30
"""Labelled pairs of one person; with fewer, m would be little but what the job had."""
_LEAST_COVERED: Final = 0.9
"""Of the pairs of one person that the job expects, so many have a weight of which there are labels."""
_REMEDY: Final = "Draw a sample from all weights, `cji link labels new RESULT --sample 300`, and fill in its verdicts."


class TrainedLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A level of a comparison, and how often it is that of two records of one person."""

    comparison: Annotated[str, member("the comparison")]
    level: Annotated[str, member("the label of the level")]
    before: Annotated[float, member("m of the job")]
    m: Annotated[float, member("m of the new model")]


class TrainedModel(msgspec.Struct, frozen=True, kw_only=True):
    """`cji link train`: a model with m from labels."""

    file: Annotated[str, member("the file of the model")]
    same: Annotated[int, member("labelled pairs of one person that the result lists")]
    worth: Annotated[float, member("pairs of equal weight that say as much")]
    unlisted: Annotated[int, member("labelled pairs that the result does not list; they have no levels")]
    levels: Annotated[tuple[TrainedLevel, ...], member("objects of the kind TrainedLevel")]


@click.command()
@click.argument("folder", metavar="RESULT", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--labels",
    "labels_file",
    type=FILE,
    required=True,
    help="A label file, as `cji link labels new` writes it; or a table with record_id and person of each record.",
)
@click.option("--spec", "spec_file", type=FILE, help="job.toml of the job, if its `link` has a model of its own.")
@click.option(
    "--out",
    "-o",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("model.toml"),
    show_default=True,
    help="The new file.",
)
@answers(TrainedModel)
@explained
def train(folder: Path, *, labels_file: Path, spec_file: Path | None, out: Path, as_json: bool) -> None:
    """Write the model of RESULT, the output folder of a job with `link`, with m of every level from a labelled sample.

    The file is [operations.model] of a job spec: put it below the `link` in the job.toml of the next job. It has no
    records in it, only the model. m is the share of a level in the labelled pairs of one person, each of which counts
    as the listed pairs that it stands for, as in `cji link evaluate`; m of the job counts as 20 pairs more. u and
    the prior stay as they are in the model: where it gives none, the next job estimates them from its own records.

    \b
    Examples:
      cji link train linked/ --labels sample.csv
      cji link train linked/ --labels sample.csv --spec job.toml -o model.toml
    """  # noqa: D301 - \\b is click's mark for text that it must not wrap
    job = _read_job(folder, spec_file)
    sample = read_sample(folder, labels_file)
    same = np.flatnonzero(sample.same)
    _require(folder, sample, len(same))
    each = sample.each[same]
    levels = _levels(folder, sample.at[same], len(job.m))
    m = labelled_m(levels, each, job.m)
    model = _with(job.model, m)
    _write(out, _text(model, len(same)))
    changed = tuple(
        TrainedLevel(comparison=one.name, level=level.label, before=float(old), m=float(new))
        for one, of_job, of_model in zip(model.comparisons, job.m, m, strict=True)
        for level, old, new in zip(one.levels, of_job, of_model, strict=True)
    )
    found = TrainedModel(
        file=str(out),
        same=len(same),
        worth=worth(each),
        unlisted=sample.unlisted,
        levels=changed,
    )
    if as_json:
        print_json(found)
    _print(Console(quiet=as_json), found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Job:
    """The model that a job used, and m of every comparison as the job had it."""

    model: Model
    m: list[Floats]


def _read_job(folder: Path, spec_file: Path | None) -> _Job:
    """Raises: SpecError where the outputs are not those of a job with the model of the spec, or the default."""
    levels = table_of(output_file(folder, "levels"))
    if not {"comparison", "level", "m", "label", "columns"} <= set(levels.column_names):
        raise SpecError(f"{folder} has no levels of `link`", remedy="Name the folder of a job with `link`.")
    names, labels, columns = (texts_of(levels, name).to_pylist() for name in ("comparison", "label", "columns"))
    number, of_m = integers_of(levels, "level").tolist(), floats_of(levels, "m")
    lines = [i for i, value in enumerate(of_m.tolist()) if np.isfinite(value)]  # the others are of no comparison
    used = {name for i in lines for name in (columns[i] or "").split()}
    given = None if spec_file is None else linking_of(spec_file)[1].model
    model = model_for(used) if given is None else given
    stated = [(names[i], number[i], labels[i], columns[i]) for i in lines]
    expected = [
        (one.name, place, level.label, " ".join(one.columns))
        for one in model.comparisons
        for place, level in enumerate(one.levels)
    ]
    rules = texts_of(table_of(output_file(folder, "blocks")), "rule").to_pylist()
    values = of_m[lines]
    fits = stated == expected and rules == [rule.label for rule in model.blocking]
    if not fits or not ((values > 0) & (values < 1)).all():
        raise SpecError(
            f"the outputs in {folder} are of another model",
            remedy="Give --spec, the job.toml of the job; without it the model is the default for persons.",
        )
    ends = np.cumsum([len(one.levels) for one in model.comparisons])[:-1]
    return _Job(model=model, m=list(np.split(values, ends)))


def _require(folder: Path, sample: Sample, same: int) -> None:
    """Raises: SpecError for labels that say too little, or only of some of the pairs of one person."""
    if same < _LEAST:
        raise SpecError(f"{same} listed pairs are labelled as the same person, not {_LEAST} or more", remedy=_REMEDY)
    if sample.uncovered:
        listed = read_listed(folder)
        covered = np.isin(steps(listed.weight), steps(sample.weight))
        share = float(listed.probability[covered].sum() / listed.probability.sum())
        if share < _LEAST_COVERED:
            raise SpecError(
                f"the labels are of weights that {100 * share:.0f} % of the pairs of one person have; "
                f"m needs {100 * _LEAST_COVERED:.0f} %",
                remedy=_REMEDY,
            )


def _levels(folder: Path, at: npt.NDArray[np.int64], comparisons: int) -> npt.NDArray[np.int8]:
    """int8[k, c]: the levels of listed pairs."""
    patterns = table_of(output_file(folder, "patterns"))
    number = integers_of(table_of(output_file(folder, "pairs")), "pattern")[at]
    rows = [_numbers(one) for one in patterns["levels"].to_pylist()]
    if integers_of(patterns, "pattern").tolist() != list(range(len(rows))) or {*map(len, rows)} != {comparisons}:
        raise SpecError(f"{folder} has no patterns of its levels", remedy="Name the folder of a job with `link`.")
    return np.array(rows, np.int8)[number]


def _numbers(value: list[int] | str) -> list[int]:
    """A list, which is text with blanks in .csv and .xlsx, and may have a mark in front there."""
    return [*map(int, re.findall(r"-?\d+", value))] if isinstance(value, str) else value


def _with(model: Model, m: list[Floats]) -> Model:
    comparisons = tuple(
        replace(
            one,
            levels=tuple(replace(level, m=float(value)) for level, value in zip(one.levels, of_one, strict=True)),
        )
        for one, of_one in zip(model.comparisons, m, strict=True)
    )
    return replace(model, comparisons=comparisons)


def _text(model: Model, same: int) -> str:
    about = (
        f"# m is from {same} labelled pairs of one person. Put this below the parameters of the `link` in job.toml,\n"
        "# before the next table there; docs/operations.md describes it. There are no records in it.\n\n"
    )
    return about + to_toml(model)


def _write(out: Path, text: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SpecError(f"{out} exists", remedy="Choose another --out.") from None
    except OSError as error:
        raise SpecError(f"{out} cannot be written ({error.strerror})") from None


def _print(console: Console, found: TrainedModel) -> None:
    table = Table("comparison", "level", title="m by level", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("job", "new"):
        table.add_column(name, justify="right")
    for one in found.levels:
        table.add_row(one.comparison, one.level, f"{one.before:.4f}", f"{one.m:.4f}")
    console.print(table)
    if found.unlisted:
        console.print(f"not used: {found.unlisted} labelled pairs that the result does not list")
    console.print(
        f"{found.same} labelled pairs of one person, which say as much as {found.worth:.0f} of equal weight; "
        f"m of the job counts as {PRIOR_PAIRS:.0f}: {found.file}",
        highlight=False,
        markup=False,
    )
