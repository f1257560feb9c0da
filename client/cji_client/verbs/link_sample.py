"""A labelled sample beside the result of `link`: what people say of each pair, and what the result makes of it.

A sample of pairs is a label file (`cji_core.operations.link.labels`); a sample of records is a table of each one's
person. Labelled pairs stand for all listed pairs of about their weight: those in the same step of STEP bits. So a
sample that `cji link labels new` drew from each step, or that has all pairs of some, gives an estimate for all.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.spec import InputSpec, read_file_bytes
from cji_core.command.output import FORMATS
from cji_core.operations.link.labels import is_label_file, read_labels
from cji_operations.link import Curve, Quality, cluster_quality, curve

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEP: Final = 2.0
"""Bits: of listed pairs in one step of weights, those with a label stand for all."""
_PERSONS: Final = ("record_id", "person")
_ANSWERS: Final = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
_ANY_COLUMNS: Final = InputSpec(schema="labels")
_MOST_ROWS: Final = 1 << 24
_REMEDY: Final = (
    "Give a label file (`cji link labels new` writes one to fill in), "
    "or a table with record_id and person of each record."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sample:
    """`pairs` labelled pairs, of which about `true` are of one person; and the k of them that the result lists.

    at int64[k]: its place among the listed pairs; weight, probability float64[k]; same bool[k]: the pair is of one
    person; each float64[k]: how many listed pairs it stands for. `clusters` is the quality of the clusters. `unsure`
    and `undecided` lines count for nothing, nor do `uncovered` listed pairs, with a weight of which there is no label.
    `unlisted` labels are of pairs that the result does not list.
    """

    pairs: int
    true: float
    at: Ints
    weight: Floats
    probability: Floats
    same: Bools
    each: Floats
    clusters: Quality
    unsure: int = 0
    undecided: int = 0
    uncovered: int = 0
    unlisted: int = 0

    def curve(self) -> Curve:
        """Quality by threshold."""
        return curve(self.weight, self.same, self.true, self.each)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Listed:
    """The pairs of a result: ids of both records as texts, weight, probability, match, joined; `one_table` was linked.

    Records without `record_id` have their rows as ids. `ids` and cluster int64[n] are those of the records.
    """

    ids: pa.Array
    cluster: Ints
    left: pa.Array
    right: pa.Array
    weight: Floats
    probability: Floats
    match: Bools
    joined: Bools
    one_table: bool


def read_listed(folder: Path) -> Listed:
    """The pairs of the result in a folder. Raises: SpecError where it is none of `link`."""
    result, pairs = (table_of(output_file(folder, name)) for name in ("result", "pairs"))
    for table, names in (
        (result, ("cluster",)),
        (pairs, ("left", "right", "left_id", "right_id", "weight", "probability", "match", "joined")),
    ):
        if not set(names) <= set(table.column_names):
            raise SpecError(f"{folder} has no {' or no '.join(names)}", remedy="Name the folder of a job with `link`.")
    cluster = integers_of(result, "cluster")
    left, right, joined = integers_of(pairs, "left"), integers_of(pairs, "right"), _answers(pairs, "joined")
    here = len(left) == 0 or int(max(left.max(), right.max())) < len(cluster)
    if "record_id" in result.column_names:
        ids, of_left, of_right = texts_of(result, "record_id"), texts_of(pairs, "left_id"), texts_of(pairs, "right_id")
        one_table = here and pc.all(pc.equal(ids.take(pa.array(right)), of_right)).as_py() is not False
    else:
        ids, of_left, of_right = (pc.cast(pa.array(rows), pa.utf8()) for rows in (np.arange(len(cluster)), left, right))
        one_table = here and bool(((left < right) & ((cluster[left] == cluster[right]) == joined)).all())
    return Listed(
        ids=ids,
        cluster=cluster,
        left=of_left,
        right=of_right,
        weight=floats_of(pairs, "weight"),
        probability=floats_of(pairs, "probability"),
        match=_answers(pairs, "match"),
        joined=joined,
        one_table=one_table,
    )


def steps(weight: Floats) -> Ints:
    """int64[p]: the step of each weight."""
    return np.floor(weight / STEP).astype(np.int64)


def read_sample(folder: Path, labels_file: Path) -> Sample:
    """The sample of a file beside the result in a folder. Raises: SpecError where one of them cannot be used."""
    data = read_file_bytes(labels_file)
    if is_label_file(data):
        return _of_pairs(data, read_listed(folder))
    table = table_of(labels_file)
    if not set(_PERSONS) <= set(table.column_names):
        raise SpecError("the labels are neither of pairs nor of records", remedy=_REMEDY)
    if not 0 < table.num_rows <= _MOST_ROWS:
        raise SpecError(f"the labels have {table.num_rows} rows, not 1 to {_MOST_ROWS}", remedy=_REMEDY)
    record, person = (texts_of(table, name) for name in _PERSONS)
    if record.null_count or person.null_count:
        raise SpecError("a label has no record_id or no person", remedy=_REMEDY)
    if len(record.unique()) < len(record):
        raise SpecError("the labels have a record twice", remedy="Keep one person for each record.")
    return _of_persons(record, person, read_listed(folder))


def _of_persons(record: pa.Array, persons: pa.Array, listed: Listed) -> Sample:
    """All pairs of labelled records count, each once."""
    if not listed.one_table:
        raise SpecError("two tables were linked", remedy="Label pairs: `cji link labels new`.")
    if len(listed.ids.unique()) < len(listed.ids):
        raise SpecError("the records have a record id twice", remedy="Give each record an id of its own.")
    row = _positions(record, listed.ids)
    if (row < 0).any():
        raise SpecError("a labelled record is not in the result", remedy="Use the record ids of the result.")
    person = pc.dictionary_encode(persons).indices.to_numpy(zero_copy_only=False).astype(np.int64)
    left, right = _positions(listed.left, record), _positions(listed.right, record)
    which = np.flatnonzero((left >= 0) & (right >= 0))
    clusters = cluster_quality(listed.cluster[row], person)
    return Sample(
        pairs=len(row) * (len(row) - 1) // 2,
        true=clusters.true,
        at=which,
        weight=listed.weight[which],
        probability=listed.probability[which],
        same=person[left[which]] == person[right[which]],
        each=np.ones(len(which)),
        clusters=clusters,
    )


def _of_pairs(data: bytes, listed: Listed) -> Sample:
    """A pair of records of one table may be named in either order."""
    labels = read_labels(data, two_tables=not listed.one_table)
    decided = [one for one in labels if one.verdict in {"same", "different"}]
    if not decided:
        raise SpecError("the label file decides no pair", remedy="Fill in verdicts: same, different or unsure.")
    left, right = (pa.array([getattr(one, side) for one in decided], pa.utf8()) for side in ("left", "right"))
    same = np.array([one.verdict == "same" for one in decided])
    keys = _key(listed.left, listed.right)
    at = _positions(_key(left, right), keys)
    joined = np.append(listed.joined, False)[at]
    if listed.one_table:
        at = np.maximum(at, _positions(_key(right, left), keys))
        rows = [_positions(one, listed.ids) for one in (left, right)]
        unknown = np.flatnonzero((rows[0] < 0) | (rows[1] < 0))
        if len(unknown):
            line = decided[int(unknown[0])].line
            raise SpecError(
                f"the label file: line {line} has a record that is not in the result",
                remedy="Use the record ids of the result, or rows where it has none.",
            )
        joined = listed.cluster[rows[0]] == listed.cluster[rows[1]]
    each, uncovered = _each(at, listed.weight)
    which = np.flatnonzero(at >= 0)
    true = float(each @ same)
    return Sample(
        pairs=len(decided),
        true=true,
        at=at[which],
        weight=listed.weight[at[which]],
        probability=listed.probability[at[which]],
        same=same[which],
        each=each[which],
        clusters=Quality(found=float(each @ joined), right=float(each @ (joined & same)), true=true),
        unsure=sum(one.verdict == "unsure" for one in labels),
        undecided=sum(one.verdict is None for one in labels),
        uncovered=uncovered,
        unlisted=len(at) - len(which),
    )


def _each(at: Ints, weight: Floats) -> tuple[Floats, int]:
    """(float64[l]: how many pairs each label stands for, listed pairs for which none does).

    at int64[l]: the listed pair of each label, -1: a pair that is not listed, which stands for itself.
    """
    of_pair, which = np.unique(steps(weight), return_inverse=True)
    listed = np.bincount(which, minlength=len(of_pair))
    there = np.flatnonzero(at >= 0)
    labelled = np.bincount(which[at[there]], minlength=len(of_pair))
    each = np.ones(len(at))
    each[there] = (listed / np.maximum(labelled, 1))[which[at[there]]]
    return each, int(listed[labelled == 0].sum())


def output_file(folder: Path, name: str) -> Path:
    """The file of an output in the folder of a result. Raises: SpecError where it has none."""
    for suffix in FORMATS:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise SpecError(f"{folder} has no {name}", remedy="Name the folder that a job with `link` has written.")


def table_of(path: Path) -> pa.Table:
    """A table of any columns. Raises: SpecError where it cannot be read."""
    found = read_file(path, _ANY_COLUMNS)()
    return pa.Table.from_batches(found.batches, found.schema)


def texts_of(table: pa.Table, name: str) -> pa.Array:
    """A column as texts; whole numbers with a point, as ids of a result may be, as their digits."""
    column = table[name]
    if pa.types.is_floating(column.type):
        with suppress(pa.ArrowInvalid):  # one has a fraction
            column = column.cast(pa.int64())
    try:
        return column.cast(pa.utf8()).combine_chunks()
    except pa.ArrowException:
        raise SpecError(f"the column {name} is not text") from None


def floats_of(table: pa.Table, name: str) -> Floats:
    """A column as numbers, not a number where there is none."""
    try:
        found: Floats = table[name].cast(pa.float64()).combine_chunks().to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        raise SpecError(f"the column {name} is not of numbers") from None
    return found


def integers_of(table: pa.Table, name: str) -> Ints:
    """A column as whole numbers."""
    try:
        found: Ints = table[name].cast(pa.int64()).combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
    except (pa.ArrowException, ValueError):
        raise SpecError(f"the column {name} is not of whole numbers") from None
    return found


def _answers(table: pa.Table, name: str) -> Bools:
    """Yes or no of every row."""
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(texts_of(table, name)))
    distinct = texts.dictionary_encode()
    values = [_ANSWERS.get(text) for text in distinct.dictionary.to_pylist()]
    if texts.null_count or None in values:
        raise SpecError(f"the column {name} has a value that is not 1 or 0, true or false")
    found: Bools = np.array(values, np.bool_)[distinct.indices.to_numpy(zero_copy_only=False)]
    return found


def _key(left: pa.Array, right: pa.Array) -> pa.Array:
    """One text for both ids, for any bytes in them: the first one's length stands in front."""
    return pc.binary_join_element_wise(pc.cast(pc.binary_length(left), pa.utf8()), left, right, ":")


def _positions(values: pa.Array, among: pa.Array) -> npt.NDArray[np.int64]:
    """int64[n]: where each value stands, -1 if nowhere."""
    index = pc.index_in(values, value_set=among, skip_nulls=True)
    found: npt.NDArray[np.int64] = index.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return found
