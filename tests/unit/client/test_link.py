"""Models of `link` in job specs: written out, or saved by Splink."""

import json
from pathlib import Path
from typing import get_args

import pytest

from cji_client.errors import SpecError
from cji_client.seal import seal
from cji_client.spec import JobSpec, decode_spec, load_spec
from cji_core.format.keys import PinnedKey, new_signing_key
from cji_core.jose import key_id, public_jwk
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.link.model import Form, Test
from cji_core.operations.registry import OPERATIONS
from tests.support.job_specs import head
from tests.support.paths import ROOT
from tests.support.rsa_keys import rsa_key

KEY = rsa_key(bits=3072).public_key()
HEAD = head(recipient=public_jwk(KEY), kek_thumbprint=key_id(KEY))
TEXT = f"""{HEAD}
[input]
schema = "person/1"

[[operations]]
kind = "link"
match = 0.95
"""
MODEL = """
[operations.model]
prior = 0.0001
split = [{ column = "SEX" }]
blocking = [
  { keys = [{ column = "last", form = "soundex" }, { column = "DOB", form = "year" }] },
  { keys = [{ column = "DOB" }], most_pairs = 1_000_000 },
]

[[operations.model.comparisons]]
name = "surname"
levels = [
  { label = "the same", conditions = [{ column = "last" }], m = 0.8, u = 0.001, tf_adjustment_column = "last" },
  { label = "alike", conditions = [{ column = "last", test = "jaro_winkler", number = 0.9 }], m = 0.1, u = 0.009 },
  { label = "different", m = 0.1, u = 0.99 },
]

[[operations.model.comparisons]]
name = "date of birth"
levels = [{ label = "the same", conditions = [{ column = "DOB" }] }, { label = "different" }]
initial_m = [0.9, 0.1]
"""
SPLINK = {
    "link_type": "dedupe_only",
    "probability_two_random_records_match": 0.001,
    "comparisons": [
        {
            "output_column_name": "last",
            "comparison_levels": [
                {"sql_condition": '"last_l" = "last_r"', "label_for_charts": "Exact"},
                {"sql_condition": "ELSE", "label_for_charts": "Other"},
            ],
        }
    ],
    "blocking_rules_to_generate_predictions": ['l."DOB" = r."DOB"'],
}


def sealed(spec: JobSpec) -> Link:
    """The parameters that the worker reads in the header of a sealed job."""
    kek = PinnedKey(kek_id=spec.kek_id, thumbprint=spec.kek_thumbprint, public=KEY)
    (planned,) = seal(spec, kek=kek, signing_key=new_signing_key()).plan.operations
    assert isinstance(planned.parameters, Link)
    return planned.parameters


def test_a_job_links_with_the_defaults_of_the_operation() -> None:
    message, usual = OPERATIONS["link"].message(Link()).link, Link()
    names = (
        "match",
        "clerical_review_threshold",
        "cluster_stop",
        "block_rows",
        "pairs",
        "random_pairs",
        "training_pairs",
        "seed",
    )
    assert [getattr(message, name) for name in names] == [getattr(usual, name) for name in names]
    assert (message.model, message.leave_out_oversized) == (b"", usual.oversized == "leave_out")
    assert message.components is False
    chosen = Link(linkage="components", cluster_stop=2.5)
    assert OPERATIONS["link"].decode(OPERATIONS["link"].message(chosen).link) == chosen


def test_a_model_of_the_spec_reaches_the_worker_whole() -> None:
    spec = decode_spec(TEXT + MODEL)
    (written,) = spec.operations
    found = sealed(spec)
    assert found == written
    assert found.match == 0.95
    model = found.model
    assert model is not None
    assert [rule.label for rule in model.blocking] == ["last soundex + DOB year", "DOB"]
    assert (model.prior, model.split, model.blocking[1].most_pairs) == (0.0001, (Key(column="SEX"),), 1_000_000)
    similar = model.comparisons[0].levels[1]
    assert similar.conditions == (Condition(column="last", test="jaro_winkler", number=0.9),)
    assert [(level.m, level.u) for level in model.comparisons[0].levels] == [(0.8, 0.001), (0.1, 0.009), (0.1, 0.99)]
    assert model.comparisons[1].initial_m == (0.9, 0.1)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("most_pairs", "most_rows", r"most_rows.*operations\[0\]\.model\.blocking"),
        ('test = "jaro_winkler"', 'test = "similar"', r"similar.*operations\[0\]\.model\.comparisons"),
        ("prior = 0.0001", "priors = 1", "priors"),
        ("match = 0.95", "match = 95", r"operations\[0\]\.match"),
        ("match = 0.95", 'match = 0.95\nsplink = "s.json"', "model of Splink|one of Splink"),
    ],
)
def test_a_model_that_is_none_is_named(old: str, new: str, says: str) -> None:
    assert old in TEXT + MODEL
    with pytest.raises(SpecError, match=says):
        decode_spec((TEXT + MODEL).replace(old, new))


@pytest.mark.parametrize("number", ["nan", "inf", "-1.0", "1.5"])
def test_a_prefix_has_a_whole_number(number: str) -> None:
    changed = MODEL.replace('test = "jaro_winkler", number = 0.9', f'test = "prefix", number = {number}')
    with pytest.raises(SpecError, match="model"):
        decode_spec(TEXT + changed)


def test_a_model_of_splink_is_read_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(TEXT + 'splink = "trained/model.json"\n')
    (tmp_path / "trained").mkdir()
    file = tmp_path / "trained/model.json"
    file.write_text(json.dumps(SPLINK))
    found = sealed(load_spec(tmp_path / "job.toml"))
    same = Level(label="Exact", conditions=(Condition(column="last"),))
    assert found.model == Model(
        comparisons=(Comparison(name="last", levels=(same, Level(label="Other")), missing="never"),),
        blocking=(Rule(keys=(Key(column="DOB"),)),),
        prior=0.001,
    )
    assert found.match == 0.95
    assert Link.from_splink(file.read_bytes()).model == found.model
    file.write_text(json.dumps({**SPLINK, "link_type": "link_and_dedupe"}))
    with pytest.raises(SpecError, match="link_and_dedupe") as refused:
        sealed(load_spec(tmp_path / "job.toml"))
    assert "[operations.model]" in refused.value.remedy
    file.unlink()
    with pytest.raises(SpecError, match=r"model\.json"):
        sealed(load_spec(tmp_path / "job.toml"))


def test_the_model_of_the_manual_is_one() -> None:
    manual = (ROOT / "docs/operations/link-models.md").read_text()
    example = manual.partition("## A custom model")[2].partition("```toml\n")[2].partition("```")[0]
    for text in (
        example,
        example.replace("# deterministic_rules", "deterministic_rules").replace("prior = 0.0001", ""),
    ):
        assert sealed(decode_spec(TEXT + text)).model is not None
    for name in (*get_args(Test), *get_args(Form)):
        assert f"`{name}`" in manual


def test_a_model_that_was_not_read_is_not_left_out() -> None:
    (parameters,) = decode_spec(TEXT + 'splink = "model.json"\n').operations
    with pytest.raises(TypeError, match="not complete"):
        OPERATIONS["link"].message(parameters)
