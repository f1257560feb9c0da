"""The table screening.toml: an operator's own, and what is refused at the start."""

import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cji_core.errors import Reason, Stage, StartupError
from cji_core.operations.tables import load as load_tables
from cji_core.operations.tables.screening import Model
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.screen import run
from cji_operations.screen.operation import Screening
from tests.reference import screen as twin
from tests.support.contexts import TABLES, context, planned, prepare_batch
from tests.support.refusals import refused
from tests.support.screen_tools import HOTFILE, PERSON, RECORD, SMITH


def shipped() -> str:
    return (files("cji_core.operations.tables") / "screening.toml").read_text()


def operation(**parameters: Any) -> wire.Operation:
    return wire.Operation(screen=wire.Screen(max_hits=1, **parameters))


def test_an_operator_replaces_the_presets(tmp_path: Path) -> None:
    """Its rules decide, its weights count, and a preset of its own has a name that only its worker knows."""
    assert load_tables(tmp_path).sha256 == TABLES.sha256
    rules = shipped().partition("[presets.ncic_qw]")[2].partition("[presets.")[0]
    strict = rules.replace('M = "MU"', 'M = "M"')
    own = shipped().replace(rules, f"{strict}[presets.county]{strict}", 1)
    own = own.replace("exact = { m = 0.89", "exact = { m = 0.88").replace("close = { m = 0.05", "close = { m = 0.06", 1)
    (tmp_path / "screening.toml").write_text(own)
    tables = load_tables(tmp_path)
    assert tables.sha256 != TABLES.sha256
    sides = {"reference": [twin.batch("hotfile/1", [{**RECORD, "SEX": "U"}, RECORD], HOTFILE)]}
    inquiry = twin.batch("person/1", [SMITH], PERSON)
    for preset, of_tables, hits in (("county", tables, 1), ("ncic_qw", tables, 1), ("ncic_qw", TABLES, 2)):
        job = operation(preset=preset)
        planned([job], "person/1", of_tables, sides={"reference": "hotfile/1"})
        bound = prepare_batch(job, "person/1", inquiry.schema, replace(context(tables=of_tables), sides=sides))
        assert isinstance(bound, Screening)
        found = run(inquiry, bound.index, bound.parameters, bound.model)
        assert found.found.tolist() == [hits]
        assert found.bits[0] == pytest.approx(sum(math.log2(ratio) for ratio in ratios(of_tables.screening.model)))
    for wrong in (operation(preset="county"), operation(preset="ncic_qw", tables_sha256=tables.sha256)):
        planned([wrong], "person/1", sides={"reference": "hotfile/1"})  # a client does not know the worker's tables
        with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
            planned([wrong], "person/1", TABLES, sides={"reference": "hotfile/1"})


def ratios(model: Model) -> list[float]:
    """Of a record that agrees with its inquiry in name, date, sex and race."""
    levels = (("last", "exact"), ("first", "exact"), ("DOB", "equal"), ("SEX", "same"), ("RAC", "same"))
    return [model.levels[field][level].m / model.levels[field][level].u for field, level in levels]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('["SOC", "FBI", "MNU"]', '["SOC", "SOC"]'),
        ('["SOC", "FBI", "MNU"]', '["VIN"]'),
        ("years = 0", "years = 11"),
        ("years = 0", "years = -1"),
        (', U = "MFU" }', " }"),
        ('U = "ABIUW"', 'U = "ABIUWX"'),
        ("version = 1", "version = 2"),
        ("[model.levels.last]", "[model.levels.lost]"),
        ("m = 0.89", "m = 0.91"),
        ("u = 0.55", "u = 0.0"),
        ("years = 0", "years = 0\nfurther = 1"),
        ("[presets.iii_qh]", "[presets.iii]"),
    ],
)
def test_a_table_that_makes_no_sense(old: str, new: str, tmp_path: Path) -> None:
    assert old in shipped()
    (tmp_path / "screening.toml").write_text(shipped().replace(old, new, 1))
    with pytest.raises(StartupError, match=r"screening\.toml"):
        load_tables(tmp_path)
