"""`cji link labels new`, and estimates of `link evaluate` from the pairs that it drew."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US
from cji_client.errors import SpecError
from cji_client.verbs.link_labels import drawn
from cji_client.verbs.link_sample import read_listed, read_sample, steps
from cji_core.command import build
from cji_core.operations.link.labels import Label, read_labels, write_labels


def result(folder: Path, weight: np.ndarray[tuple[int], np.dtype[np.float64]], *, ids: bool = True) -> Path:
    """A result with one pair of two records for each weight; from 3.17 bits on it is a match, which is joined."""
    out, n = folder / "linked", len(weight)
    out.mkdir()
    names = pa.array([f"r{i}" for i in range(2 * n)] if ids else [None] * (2 * n), pa.utf8())
    left, right, match = np.arange(0, 2 * n, 2), np.arange(1, 2 * n, 2), weight >= np.log2(9)
    cluster = np.arange(2 * n)
    cluster[right[match]] = left[match]
    pyarrow.parquet.write_table(
        pa.table({"record_id": names, "cluster": cluster} if ids else {"cluster": cluster}), out / "result.parquet"
    )
    columns = {
        "left": left,
        "right": right,
        "left_id": names.take(pa.array(left)),
        "right_id": names.take(pa.array(right)),
    }
    columns |= {"weight": weight, "probability": 1 / (1 + 2**-weight), "match": match, "joined": match}
    pyarrow.parquet.write_table(pa.table(columns), out / "pairs.parquet")
    return out


def run(*arguments: object) -> str:
    done = CliRunner().invoke(build(AZURE_US), ["link", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_pairs_for_a_clerk_are_written_to_fill_in(tmp_path: Path) -> None:
    out, labels = result(tmp_path, np.array([9.0, -3.0, 2.5])), tmp_path / "labels.csv"
    assert "2 of 3 listed pairs to decide" in run("labels", "new", out, "-o", labels)
    assert labels.read_bytes() == b"left,right,verdict,by,at,note\r\nr2,r3,,,,\r\nr4,r5,,,,\r\n"
    assert labels.stat().st_mode & 0o777 == 0o600
    again = CliRunner().invoke(build(AZURE_US), ["link", "labels", "new", str(out), "-o", str(labels)])
    assert again.exit_code == 2
    assert "exists" in again.output
    found = json.loads(run("labels", "new", out, "-o", tmp_path / "all.csv", "--sample", 5, "--json"))
    assert (found["pairs"], found["listed"]) == (3, 3)


@pytest.mark.parametrize("rows", [0, 4])
def test_records_without_ids_have_their_rows(tmp_path: Path, rows: int) -> None:
    out, labels = result(tmp_path, np.full(rows, -1.0), ids=False), tmp_path / "labels.csv"
    run("labels", "new", out, "-o", labels)
    assert [(one.left, one.right) for one in read_labels(labels.read_bytes())] == [
        (str(2 * i), str(2 * i + 1)) for i in range(rows)
    ]


def test_some_records_without_an_id_are_refused(tmp_path: Path) -> None:
    out = result(tmp_path, np.array([-1.0]))
    pairs = pyarrow.parquet.read_table(out / "pairs.parquet")
    pyarrow.parquet.write_table(pairs.set_column(2, "left_id", pa.array([None], pa.utf8())), out / "pairs.parquet")
    done = CliRunner().invoke(build(AZURE_US), ["link", "labels", "new", str(out), "-o", str(tmp_path / "x.csv")])
    assert done.exit_code == 2
    assert not (tmp_path / "x.csv").exists()


def test_a_sample_has_as_many_pairs_of_each_step(tmp_path: Path) -> None:
    weight = np.concatenate([np.full(1000, 21.0), np.full(100, 5.0), np.full(7, -3.0)])
    listed = read_listed(result(tmp_path, weight))
    found = drawn(listed, 60, 1)
    assert len(set(found.tolist())) == 60
    counts = dict(zip(*np.unique(steps(weight[found]), return_counts=True), strict=True))
    assert counts == {-2: 7, 2: 26, 10: 27} or counts == {-2: 7, 2: 27, 10: 26}
    assert drawn(listed, 60, 1).tolist() == found.tolist() != drawn(listed, 60, 2).tolist()
    assert drawn(listed, 5000, 1).tolist() == list(range(1107))


def test_an_estimate_from_a_drawn_sample_holds_for_all_pairs(tmp_path: Path) -> None:
    """Most pairs are sure. A sample with as many of each weight has too many that are not: its plain share is wrong."""
    rng = np.random.default_rng(3)
    weight = np.concatenate([rng.uniform(14, 24, 4000), rng.uniform(-6, 14, 1500)])
    true = rng.random(len(weight)) < 1 / (1 + 2 ** -(weight - 6))  # a model that is too sure
    out = result(tmp_path, weight)
    listed, chosen = read_listed(out), []
    for seed in range(20):
        some = drawn(listed, 400, seed)
        verdicts = [
            Label(left=f"r{2 * i}", right=f"r{2 * i + 1}", verdict="same" if true[i] else "different") for i in some
        ]
        path = tmp_path / f"labels{seed}.csv"
        path.write_bytes("".join(write_labels(verdicts)).encode())
        at = read_sample(out, path).curve().at(np.log2(9))
        chosen.append((at.precision, at.recall, np.mean(true[some][weight[some] >= np.log2(9)])))
    match = weight >= np.log2(9)
    precision, recall = true[match].mean(), (true & match).sum() / true.sum()
    estimated, recalled, plain = np.mean(chosen, axis=0)
    assert estimated == pytest.approx(precision, abs=0.01)
    assert recalled == pytest.approx(recall, abs=0.01)
    assert plain < precision - 0.05
    assert np.abs(np.array(chosen)[:, 0] - precision).max() < 0.04


def test_pairs_of_a_weight_without_a_label_are_stated(tmp_path: Path) -> None:
    out, labels = result(tmp_path, np.array([9.0, 9.1, -3.0, -3.1])), tmp_path / "labels.csv"
    labels.write_text("left,right,verdict,by,at,note\nr4,r5,same,,,\n")
    sample = read_sample(out, labels)
    assert (sample.uncovered, sample.each.tolist(), sample.true) == (2, [2.0], 2.0)
    shown = run("evaluate", out, "--labels", labels)
    assert "not covered: 2 listed pairs" in " ".join(shown.split())
    assert "1 labelled pairs, which stand for 2 listed ones" in " ".join(shown.split())


def test_records_of_two_tables_are_told_apart(tmp_path: Path) -> None:
    """(1, 0) of two tables without ids is another pair than (0, 1)."""
    out = tmp_path / "linked"
    out.mkdir()
    pyarrow.parquet.write_table(pa.table({"cluster": [0, 1]}), out / "result.parquet")
    pairs = {"left": [0, 1], "right": [1, 0], "left_id": pa.nulls(2, pa.utf8()), "right_id": pa.nulls(2, pa.utf8())}
    pairs |= {"weight": [9.0, -3.0], "probability": [0.9, 0.1], "match": [True, False], "joined": [True, False]}
    pyarrow.parquet.write_table(pa.table(pairs), out / "pairs.parquet")
    labels = tmp_path / "labels.csv"
    labels.write_text("left,right,verdict,by,at,note\n0,1,same,,,\n1,0,different,,,\n")
    sample = read_sample(out, labels)
    assert (sample.weight.tolist(), sample.same.tolist()) == ([9.0, -3.0], [True, False])
    labels.write_text("record_id,person\n0,x\n")
    with pytest.raises(SpecError, match="two tables"):
        read_sample(out, labels)
