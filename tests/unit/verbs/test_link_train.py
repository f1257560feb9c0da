"""`cji link train`: labels of a known m give it back, and the model that is written is the one of the next job."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cji_attestation import AZURE_US
from cji_client.verbs.link_count import linking_of
from cji_client.verbs.link_labels import drawn
from cji_client.verbs.link_sample import read_listed
from cji_core.command import build
from cji_core.command.output import write_batches
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.link.labels import Label, write_labels
from cji_core.operations.link.model_file import to_toml
from cji_core.operations.link.person_model import model_for
from cji_operations.link import link
from tests.reference.link import people

Levels = npt.NDArray[np.int8]
"""Of pairs, int8[p, c]."""

COLUMNS = ("first", "last", "DOB")
JOB_M, U = np.array([0.6, 0.3, 0.1]), np.array([0.05, 0.15, 0.8])
TRUE_M = {"first": [0.9, 0.07, 0.03], "last": [0.5, 0.2, 0.3], "DOB": [0.8, 0.15, 0.05]}
RULE = Rule(keys=(Key(column="last"),))


def _model() -> Model:
    def comparison(name: str) -> Comparison:
        tests = ((Condition(column=name),), (Condition(column=name, test="prefix", number=1),), ())
        labels = ("the same", "alike", "different")
        levels = (Level(label=label, conditions=test) for label, test in zip(labels, tests, strict=True))
        return Comparison(name=name, levels=tuple(levels))

    return Model(comparisons=tuple(map(comparison, COLUMNS)), blocking=(RULE,), prior=0.01)


def _spec(folder: Path, model: str) -> Path:
    path = folder / "job.toml"
    path.write_text(f'[input]\nschema = "person/1"\n\n[[operations]]\nkind = "link"\n\n{model}')
    return path


def _result(folder: Path, levels: Levels) -> Path:
    """A result that lists pairs of these levels, weighed by the m of a job that is wrong."""
    out, n = folder / "linked", len(levels)
    out.mkdir()
    bits = np.append(np.log2(JOB_M / U), 0.0)
    weight = bits[levels].sum(axis=1) - 3
    patterns, pattern = np.unique(levels, axis=0, return_inverse=True)
    ids = pa.array([f"r{i}" for i in range(2 * n)], pa.utf8())
    left = np.arange(0, 2 * n, 2)
    tables = {
        "result": {"record_id": ids, "cluster": np.arange(2 * n)},
        "pairs": {
            "left": left,
            "right": left + 1,
            "left_id": ids.take(pa.array(left)),
            "right_id": ids.take(pa.array(left + 1)),
            "weight": weight,
            "probability": 1 / (1 + 2**-weight),
            "pattern": pattern.reshape(-1),
            "match": weight > 3,
            "joined": np.zeros(n, np.bool_),
        },
        "patterns": {
            "pattern": np.arange(len(patterns)),
            "levels": pa.array(patterns.tolist(), pa.list_(pa.int8())),
        },
        "levels": {
            "comparison": ["", *np.repeat(COLUMNS, 3).tolist()],
            "level": [0, *[0, 1, 2] * 3],
            "m": [None, *np.tile(JOB_M, 3).tolist()],
            "label": [None, *["the same", "alike", "different"] * 3],
            "columns": [None, *np.repeat(COLUMNS, 3).tolist()],
        },
        "blocks": {"rule": [RULE.label]},
    }
    for name, columns in tables.items():
        pyarrow.parquet.write_table(pa.table(columns), out / f"{name}.parquet")
    return out


def _pairs(seed: int, n: int) -> tuple[Levels, npt.NDArray[np.bool_]]:
    """Levels of n listed pairs and which are of one person; three of ten values are missing."""
    rng = np.random.default_rng(seed)
    same = rng.random(n) < 0.5
    drawn_levels = [np.where(same, rng.choice(3, n, p=TRUE_M[name]), rng.choice(3, n, p=U)) for name in COLUMNS]
    levels = np.stack(drawn_levels, axis=1).astype(np.int8)
    levels[rng.random(levels.shape) < 0.3] = -1
    return levels, same


def _labels(path: Path, which: list[int], same: npt.NDArray[np.bool_]) -> Path:
    labels = [Label(left=f"r{2 * i}", right=f"r{2 * i + 1}", verdict="same" if same[i] else "different") for i in which]
    path.write_bytes("".join(write_labels(labels)).encode())
    return path


def _train(*arguments: object, exit_code: int = 0) -> str:
    done = CliRunner().invoke(build(AZURE_US), ["link", "train", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == exit_code, done.output
    return done.output


def _m(model: Model) -> npt.NDArray[np.float64]:
    return np.array([[level.m for level in one.levels] for one in model.comparisons], np.float64)


def _read(path: Path, folder: Path) -> Model:
    """The model of a job spec with the text of this file below its `link`."""
    model = linking_of(_spec(folder, path.read_text()))[1].model
    assert model is not None
    return model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    return tmp_path_factory


@settings(max_examples=8)
@given(st.integers(0, 1 << 20))
def test_labels_of_a_known_m_give_it_back(folders: pytest.TempPathFactory, seed: int) -> None:
    """A sample has as many pairs of each weight, which is not the share that they have of all pairs."""
    folder = folders.mktemp("labels")
    levels, same = _pairs(seed, 40_000)
    out = _result(folder, levels)
    chosen = drawn(read_listed(out), 2400, seed).tolist()
    spec = _spec(folder, to_toml(_model()))
    shown = _train(
        out, "--labels", _labels(folder / "l.csv", chosen, same), "--spec", spec, "-o", folder / "m.toml", "--json"
    )
    found = json.loads(shown)
    model = _read(folder / "m.toml", folder)
    m, true = _m(model), np.array([TRUE_M[name] for name in COLUMNS])
    assert ((m > 0) & (m < 1)).all()
    assert m.sum(axis=1) == pytest.approx(1)
    error = 5 * np.sqrt(true * (1 - true) / (0.7 * found["worth"])) + 20 / found["worth"] * np.abs(JOB_M - true)
    assert (np.abs(m - true) < error).all()
    assert [one["m"] for one in found["levels"]] == m.reshape(-1).tolist()
    without = replace(model, comparisons=tuple(_without_m(one) for one in model.comparisons))
    assert without == _model()  # u, which is not learnt, and all else


def _without_m(comparison: Comparison) -> Comparison:
    return replace(comparison, levels=tuple(replace(level, m=None) for level in comparison.levels))


def test_few_labels_or_only_of_doubtful_pairs_are_refused(tmp_path: Path) -> None:
    levels, same = _pairs(1, 2000)
    out, spec = _result(tmp_path, levels), _spec(tmp_path, to_toml(_model()))
    ones = np.flatnonzero(same)
    to = ("--spec", spec, "-o", tmp_path / "m.toml")
    few = _train(out, "--labels", _labels(tmp_path / "few.csv", ones[:29].tolist(), same), *to, exit_code=2)
    assert "29 listed pairs are labelled as the same person, not 30 or more" in " ".join(few.split())
    assert "--sample 300" in few
    doubtful = np.flatnonzero(~read_listed(out).match).tolist()
    some = _train(out, "--labels", _labels(tmp_path / "doubtful.csv", doubtful, same), *to, exit_code=2)
    assert "m needs 90 %" in " ".join(some.split())
    assert not (tmp_path / "m.toml").exists()
    _train(out, "--labels", _labels(tmp_path / "all.csv", list(range(2000)), same), *to)
    assert "exists" in _train(out, "--labels", tmp_path / "all.csv", *to, exit_code=2)


def test_outputs_of_another_model_are_refused(tmp_path: Path) -> None:
    levels, same = _pairs(1, 200)
    out = _result(tmp_path, levels)
    labels, to = _labels(tmp_path / "l.csv", list(range(200)), same), ("-o", tmp_path / "m.toml")
    assert "--spec" in _train(out, "--labels", labels, *to, exit_code=2)  # the default is not the model of the job
    of_rule = replace(_model(), blocking=(Rule(keys=(Key(column="DOB"),)),))
    of_levels = replace(_model(), comparisons=_model().comparisons[::-1])
    for other in (of_rule, of_levels):
        shown = _train(out, "--labels", labels, *to, "--spec", _spec(tmp_path, to_toml(other)), exit_code=2)
        assert "of another model" in shown


def _name(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("BCDFGKLMNPRST")) + rng.choice(list("AEIOU")) for _ in range(3))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".xlsx"])
def test_a_job_has_the_m_of_the_written_model(tmp_path: Path, suffix: str) -> None:
    """From real outputs of the default model, in each format, to a second job."""
    rng = np.random.default_rng(5)
    n = 120
    first, last = ([_name(rng) for _ in range(n)] for _ in range(2))
    born = [f"{rng.integers(1950, 2000)}{rng.integers(1, 13):02d}{rng.integers(1, 28):02d}" for _ in range(n)]
    wrong = [name if rng.random() < 0.7 else name[:-1] for name in first]
    records = people(
        record_id=[f"r{i}" for i in range(2 * n)], first=[*first, *wrong], last=[*last, *last], DOB=[*born, *born]
    )
    parameters = Link(random_pairs=20_000)
    done = link([records], records.schema, parameters, lambda *_: None)
    out = tmp_path / "linked"
    out.mkdir()
    clustered = records.append_column("cluster", pa.array(done.cluster))
    parts = {"result": iter([clustered]), **done.parts()}
    for name in ("result", "pairs", "patterns", "levels", "blocks"):
        batches = [*parts[name]]
        write_batches(out / f"{name}{suffix}", iter([batches[0].slice(0, 0), *batches]), guard=True)
    persons = pa.table({"record_id": [f"r{i}" for i in range(2 * n)], "person": [*map(str, range(n))] * 2})
    pyarrow.parquet.write_table(persons, tmp_path / "persons.parquet")
    _train(out, "--labels", tmp_path / "persons.parquet", "-o", tmp_path / "m.toml")
    model = _read(tmp_path / "m.toml", tmp_path)
    assert {level.u for one in model.comparisons for level in one.levels} >= {None}
    again = link([records], records.schema, replace(parameters, model=model), lambda *_: None)
    assert again.report.trained.m == tuple(tuple(level.m for level in one.levels) for one in model.comparisons)
    given_name = next(i for i, one in enumerate(model.comparisons) if one.name == "given name")
    assert again.report.trained.m[given_name][0] == pytest.approx(np.mean(np.array(first) == wrong), abs=0.08)


def test_any_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    odd = replace(_model(), comparisons=(replace(_model().comparisons[0], name='a "b"\\ \x7f\n é'),), recall=1e-7)
    for model in (odd, _model(), model_for(("NAM", "DOB", "SOC", "address_1", "postcode", "SEX"))):
        (tmp_path / "m.toml").write_text(to_toml(model))
        assert _read(tmp_path / "m.toml", tmp_path) == model
