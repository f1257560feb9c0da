"""A labelled sample beside the result of `link`: what people say of each pair, and what the result makes of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.spec import InputSpec
from cji_core.command.output import FORMATS
from cji_operations.link import Curve, Quality, cluster_quality, curve

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_PAIRS: Final = ("left_id", "right_id", "same")
_PERSONS: Final = ("record_id", "person")
_SPLINK: Final = {"unique_id_l": "left_id", "unique_id_r": "right_id", "clerical_match_score": "same"}
_ANSWERS: Final = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
_ANY_COLUMNS: Final = InputSpec(schema="labels")
_MOST_ROWS: Final = 1 << 24
_REMEDY: Final = "List left_id, right_id and same (1 or 0) for each pair, or record_id and person for each record."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Labels:
    """Answers to pairs (`same`, by left and right), or the person of each record (`left`, with `right` as persons)."""

    left: pa.Array
    right: pa.Array
    same: Bools | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sample:
    """`pairs` labelled pairs, of which `true` are of one person; and the k of them that the result lists.

    weight, probability float64[k]; same bool[k]: the pair is of one person. `clusters` is the quality of the clusters.
    """

    pairs: int
    true: int
    weight: Floats
    probability: Floats
    same: Bools
    clusters: Quality

    def curve(self) -> Curve:
        """Quality by threshold."""
        return curve(self.weight, self.same, self.true)


def read_sample(folder: Path, labels_file: Path) -> Sample:
    """The sample of a file beside the result in a folder. Raises: SpecError where one of them cannot be used."""
    found = labels(_table(labels_file))
    result, pairs = (_table(_output(folder, name)) for name in ("result", "pairs"))
    for table, names in ((result, ("record_id", "cluster")), (pairs, ("left_id", "right_id", "right", "weight"))):
        if not set(names) <= set(table.column_names):
            raise SpecError(f"{folder} has no {' or no '.join(names)}", remedy="Run `link` on records with record_id.")
    ids, of_right = _text(result, "record_id"), _text(pairs, "right_id")
    right = pc.cast(pairs["right"], pa.int64()).combine_chunks()
    in_bounds = pc.all(pc.less(right, len(ids))).as_py() is not False
    one_table = in_bounds and pc.all(pc.equal(ids.take(right), of_right)).as_py() is not False
    listed = _Listed(
        left=_text(pairs, "left_id"),
        right=of_right,
        weight=_floats(pairs, "weight"),
        probability=_floats(pairs, "probability"),
        joined=_answers(pairs, "joined"),
    )
    cluster = pc.cast(result["cluster"], pa.int64()).combine_chunks().to_numpy(zero_copy_only=False)
    if found.same is None:
        if not one_table:
            raise SpecError("two tables were linked", remedy="Label pairs: left_id, right_id and same.")
        return _of_persons(found, ids, cluster, listed)
    return _of_pairs(found, found.same, ids if one_table else None, cluster, listed)


def labels(table: pa.Table) -> Labels:
    """The labels in a table. Raises: SpecError where its columns or values do not fit."""
    table = table.rename_columns([_SPLINK.get(name, name) for name in table.column_names])
    names = next((names for names in (_PAIRS, _PERSONS) if set(names) <= set(table.column_names)), None)
    if names is None:
        raise SpecError("the labels are neither of pairs nor of records", remedy=_REMEDY)
    if not 0 < table.num_rows <= _MOST_ROWS:
        raise SpecError(f"the labels have {table.num_rows} rows, not 1 to {_MOST_ROWS}", remedy=_REMEDY)
    left, right = (_text(table, name) for name in names[:2])
    if left.null_count or right.null_count:
        raise SpecError(f"a label has no {names[0]} or no {names[1]}", remedy=_REMEDY)
    if names == _PERSONS:
        if len(left.unique()) < len(left):
            raise SpecError("the labels have a record twice", remedy="Keep one person for each record.")
        return Labels(left=left, right=right, same=None)
    both = _key(left, right)
    if len(both.unique()) < len(both) or pc.any(pc.is_in(both, _key(right, left))).as_py():
        raise SpecError(
            "the labels have a pair twice, or a record with itself", remedy="Keep one answer for each pair."
        )
    return Labels(left=left, right=right, same=_answers(table, "same"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Listed:
    """The pairs of a result."""

    left: pa.Array
    right: pa.Array
    weight: Floats
    probability: Floats
    joined: Bools


def _of_persons(found: Labels, ids: pa.Array, cluster: npt.NDArray[np.int64], listed: _Listed) -> Sample:
    if len(ids.unique()) < len(ids):
        raise SpecError("the records have a record id twice", remedy="Give each record an id of its own.")
    row = _positions(found.left, ids)
    if (row < 0).any():
        raise SpecError("a labelled record is not in the result", remedy="Use the record ids of the result.")
    person = pc.dictionary_encode(found.right).indices.to_numpy(zero_copy_only=False).astype(np.int64)
    left, right = _positions(listed.left, found.left), _positions(listed.right, found.left)
    which = np.flatnonzero((left >= 0) & (right >= 0))
    clusters = cluster_quality(cluster[row], person)
    return Sample(
        pairs=len(row) * (len(row) - 1) // 2,
        true=clusters.true,
        weight=listed.weight[which],
        probability=listed.probability[which],
        same=person[left[which]] == person[right[which]],
        clusters=clusters,
    )


def _of_pairs(
    found: Labels, same: Bools, ids: pa.Array | None, cluster: npt.NDArray[np.int64], listed: _Listed
) -> Sample:
    """`ids` are those of the records, where one table was linked: then a pair may be named in either order."""
    keys = _key(listed.left, listed.right)
    at = _positions(_key(found.left, found.right), keys)
    joined = np.append(listed.joined, False)[at]
    if ids is not None:
        turned = _positions(_key(found.right, found.left), keys)
        at = np.maximum(at, turned)
        rows = [_positions(one, ids) for one in (found.left, found.right)]
        if any((row < 0).any() for row in rows):
            raise SpecError("a labelled record is not in the result", remedy="Use the record ids of the result.")
        joined = cluster[rows[0]] == cluster[rows[1]]
    which = np.flatnonzero(at >= 0)
    true = int(np.count_nonzero(same))
    return Sample(
        pairs=len(same),
        true=true,
        weight=listed.weight[at[which]],
        probability=listed.probability[at[which]],
        same=same[which],
        clusters=Quality(found=int(np.count_nonzero(joined)), right=int(np.count_nonzero(joined & same)), true=true),
    )


def _output(folder: Path, name: str) -> Path:
    for suffix in FORMATS:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise SpecError(f"{folder} has no {name}", remedy="Name the folder that a job with `link` has written.")


def _table(path: Path) -> pa.Table:
    found = read_file(path, _ANY_COLUMNS)()
    return pa.Table.from_batches(found.batches, found.schema)


def _text(table: pa.Table, name: str) -> pa.Array:
    try:
        return table[name].cast(pa.utf8()).combine_chunks()
    except pa.ArrowException:
        raise SpecError(f"the column {name} is not text") from None


def _floats(table: pa.Table, name: str) -> Floats:
    try:
        found: Floats = table[name].cast(pa.float64()).combine_chunks().to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        raise SpecError(f"the column {name} is not of numbers") from None
    return found


def _answers(table: pa.Table, name: str) -> Bools:
    """Yes or no of every row."""
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(_text(table, name)))
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
