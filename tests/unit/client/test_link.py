"""Models of `link` in job specs: written out, or saved by Splink."""

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from tests.support.job_specs import head
from tests.support.paths import ROOT
from worker.client import load_spec
from worker.client.errors import SpecError
from worker.client.keys import new_recipient_key
from worker.client.operations import Link
from worker.client.spec import decode_spec
from worker.compute import registry
from worker.compute.operations.link import (
    Comparison,
    Condition,
    Key,
    Level,
    Model,
    Parameters,
    Rule,
)
from worker.compute.operations.link.model import Form, Test
from worker.jose import key_id, public_jwk

KEY = new_recipient_key().public_key()
HEAD = head(recipient=public_jwk(KEY), kek_thumbprint=key_id(KEY))
TEXT = f"""{HEAD}
[input]
schema = "person/1"

[link]
match = 0.95
"""
MODEL = """
[link.model]
prior = 0.0001
split = [{ column = "SEX" }]
blocking = [
  { keys = [{ column = "last", form = "soundex" }, { column = "DOB", form = "year" }] },
  { keys = [{ column = "DOB" }], most_pairs = 1_000_000 },
]

[[link.model.comparisons]]
name = "surname"
levels = [
  { label = "the same", conditions = [{ column = "last" }], m = 0.8, u = 0.001, tf_adjustment_column = "last" },
  { label = "alike", conditions = [{ column = "last", test = "jaro_winkler", number = 0.9 }], m = 0.1, u = 0.009 },
  { label = "different", m = 0.1, u = 0.99 },
]

[[link.model.comparisons]]
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


def test_a_job_links_with_the_defaults_of_the_operation() -> None:
    message, usual = Link().message().link, Parameters()
    names = ("match", "clerical_review_threshold", "block_rows", "pairs", "random_pairs", "training_pairs", "seed")
    assert [getattr(message, name) for name in names] == [getattr(usual, name) for name in names]
    assert (message.model, message.refuse_oversized) == (b"", usual.oversized == "refuse")


def test_a_model_of_the_spec_reaches_the_worker_whole() -> None:
    spec = decode_spec(TEXT + MODEL)
    assert spec.link is not None
    operation = spec.link.message()
    assert operation.link.match == 0.95
    model = msgspec.json.decode(operation.link.model, type=Model)
    assert model == spec.link.model
    assert [rule.label for rule in model.blocking] == ["last soundex + DOB year", "DOB"]
    assert (model.prior, model.split, model.blocking[1].most_pairs) == (0.0001, (Key(column="SEX"),), 1_000_000)
    similar = model.comparisons[0].levels[1]
    assert similar.conditions == (Condition(column="last", test="jaro_winkler", number=0.9),)
    assert [(level.m, level.u) for level in model.comparisons[0].levels] == [(0.8, 0.001), (0.1, 0.009), (0.1, 0.99)]
    assert model.comparisons[1].initial_m == (0.9, 0.1)
    registry.check([operation], ["person/1"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("most_pairs", "most_rows", r"most_rows.*link\.model\.blocking"),
        ('test = "jaro_winkler"', 'test = "alike"', r"alike.*link\.model\.comparisons"),
        ("prior = 0.0001", "priors = 1", "priors"),
        ("match = 0.95", "match = 95", r"link\.match"),
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
    spec = decode_spec(TEXT + changed)
    assert spec.link is not None
    with pytest.raises(Exception, match="BAD_PARAMETERS"):
        registry.check([spec.link.message()], ["person/1"])


def test_a_model_of_splink_is_read_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(TEXT + 'splink = "trained/model.json"\n')
    (tmp_path / "trained").mkdir()
    file = tmp_path / "trained/model.json"
    file.write_text(json.dumps(SPLINK))
    found = load_spec(tmp_path / "job.toml").link
    assert found is not None
    same = Level(label="Exact", conditions=(Condition(column="last"),))
    assert found.model == Model(
        comparisons=(Comparison(name="last", levels=(same, Level(label="Other"))),),
        blocking=(Rule(keys=(Key(column="DOB"),)),),
        prior=0.001,
    )
    assert found.match == 0.95
    registry.check([found.message()], ["person/1"])
    assert Link.from_splink(file.read_bytes()).model == found.model
    file.write_text(json.dumps({**SPLINK, "link_type": "link_and_dedupe"}))
    with pytest.raises(SpecError, match="link_and_dedupe") as refused:
        load_spec(tmp_path / "job.toml")
    assert "[link.model]" in refused.value.remedy
    file.unlink()
    with pytest.raises(SpecError, match=r"model\.json"):
        load_spec(tmp_path / "job.toml")


def test_the_model_of_the_manual_is_one() -> None:
    manual = (ROOT / "docs/operations.md").read_text()
    example = manual.partition("### A model of one's own")[2].partition("```toml\n")[2].partition("```")[0]
    for text in (
        example,
        example.replace("# deterministic_rules", "deterministic_rules").replace("prior = 0.0001", ""),
    ):
        spec = decode_spec(TEXT + text)
        assert spec.link is not None
        registry.check([spec.link.message()], ["person/1"])
    for name in (*get_args(Test), *get_args(Form)):
        assert f"`{name}`" in manual


def test_a_model_that_was_not_read_is_not_left_out() -> None:
    spec = decode_spec(TEXT + 'splink = "model.json"\n')
    assert spec.link is not None
    with pytest.raises(SpecError, match="Splink"):
        spec.link.message()
