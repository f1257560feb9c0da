"""A model that Splink trained and saved weighs pairs here as it does there."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pytest
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink import comparison_level_library as cll
from splink import comparison_library as cl

from cji_core.operations.link import Link, from_splink
from cji_operations.link import link
from tests.reference.link import ignore

pytestmark = pytest.mark.vectors
COLUMNS = {"first_name": "first", "surname": "last", "dob": "DOB", "city": "city"}


def _records() -> pa.Table:
    text = pacsv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.utf8()), strings_can_be_null=True)
    table = pacsv.read_csv(Path(os.environ["CJI_VECTORS"]) / "cji/linkage/fake_1000.csv", convert_options=text)
    table = table.select(list(COLUMNS)).rename_columns(list(COLUMNS.values()))
    return pa.table({name: pc.utf8_upper(table[name]) for name in table.column_names})


_BY_COLUMN = (
    cl.JaroWinklerAtThresholds("first", [0.92, 0.8]).configure(term_frequency_adjustments=True),
    cl.JaroWinklerAtThresholds("last", [0.92]),
    cl.ExactMatch("DOB"),
    cl.ExactMatch("city").configure(term_frequency_adjustments=True),
)
_OF_A_PERSON = (
    cl.ForenameSurnameComparison("first", "last"),
    cl.DateOfBirthComparison("DOB", input_is_string=True),
    cl.ExactMatch("city").configure(term_frequency_adjustments=True),
)
_OF_A_PERSON_OTHERWISE = (
    cl.ForenameSurnameComparison("first", "last", jaro_winkler_thresholds=[0.9]),
    cl.DateOfBirthComparison(
        "DOB",
        input_is_string=True,
        datetime_thresholds=[10, 2],
        datetime_metrics=["day", "year"],
        invalid_dates_as_null=False,
    ),
    cl.CustomComparison(
        output_column_name="city",
        comparison_levels=[
            cll.NullLevel("city"),
            cll.ExactMatchLevel("city"),
            cll.DamerauLevenshteinLevel("city", 1),
            cll.ElseLevel(),
        ],
    ),
)


@pytest.mark.parametrize("comparisons", [_BY_COLUMN, _OF_A_PERSON, _OF_A_PERSON_OTHERWISE])
def test_a_saved_model_weighs_as_splink_does(tmp_path: Path, comparisons: tuple[Any, ...]) -> None:
    table = _records()
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=list(comparisons),
        blocking_rules_to_generate_predictions=[
            block_on("DOB"),
            block_on("last", "substr(first, 1, 1)"),
            block_on("last"),
            block_on("city"),
        ],
    )
    database: Any = DuckDBAPI()
    numbered = table.append_column("unique_id", pa.array(np.arange(table.num_rows)))
    linker = Linker(database.register(numbered), settings, log_level=logging.ERROR)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e5, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("DOB"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("last"))
    frame = linker.inference.predict().as_pandas_dataframe()
    theirs = {(row.unique_id_l, row.unique_id_r): row.match_weight for row in frame.itertuples()}
    linker.misc.save_model_to_json(str(tmp_path / "model.json"))

    model = from_splink((tmp_path / "model.json").read_bytes())
    batch = table.combine_chunks().to_batches()[0]
    pairs = link([batch], batch.schema, Link(model=model, clerical_review_threshold=1e-12), ignore).report.pairs
    ours = dict(zip(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True), pairs.weight, strict=True))
    assert len(ours) > 1000
    assert ours.keys() == theirs.keys()
    assert [ours[pair] for pair in theirs] == pytest.approx(list(theirs.values()), abs=1e-6)
