"""The readers of `link`: models that Splink saved, and label files."""

import json
from typing import Any, Final

from cji_core.errors import SpecError
from cji_core.operations.link import Link, UnsupportedModelError, from_splink
from cji_core.operations.link.labels import read_labels
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, JSON, TEXT

__all__ = ["LINK"]


def _level(sql: str, m: float, u: float, **more: Any) -> dict[str, Any]:
    return {"sql_condition": sql, "label_for_charts": sql, "m_probability": m, "u_probability": u, **more}


def _null(sql: str) -> dict[str, Any]:
    return {"sql_condition": sql, "label_for_charts": "Null", "is_null_level": True}


def _comparison(name: str, *levels: dict[str, Any]) -> dict[str, Any]:
    return {"output_column_name": name, "comparison_levels": list(levels)}


def _models() -> tuple[bytes, ...]:
    day = "try_strptime(\"DOB_{}\", '%Y-%m-%d')".format
    both = '("{0}_l" IS NULL OR "{0}_r" IS NULL)'.format
    settings = {
        "link_type": "dedupe_only",
        "probability_two_random_records_match": 0.001,
        "comparisons": [
            _comparison(
                "DOB",
                _null(f"{day('l')} IS NULL OR {day('r')} IS NULL"),
                _level('"DOB_l" = "DOB_r"', 0.8, 0.01),
                _level('levenshtein("DOB_l", "DOB_r") <= 1', 0.1, 0.01),
                _level(f"ABS(EPOCH({day('l')}) - EPOCH({day('r')})) <= 2629800.0", 0.05, 0.08),
                _level("ELSE", 0.05, 0.9),
            ),
            _comparison(
                "names",
                _null(f"{both('first')} AND {both('last')}"),
                _level('("first_l" = "first_r") AND ("last_l" = "last_r")', 0.7, 0.01),
                _level('"first_l" = "last_r" AND "first_r" = "last_l"', 0.1, 0.01),
                _level('jaro_winkler_similarity("last_l", "last_r") >= 0.9', 0.1, 0.08),
                _level('"last_l" = "last_r"', 0.05, 0.1, tf_adjustment_column="last", tf_adjustment_weight=1.0),
                _level("ELSE", 0.05, 0.8),
            ),
        ],
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": '(l."last" = r."last") AND (SUBSTRING(l.first, 1, 3) = SUBSTRING(r.first, 1, 3))'},
            'l."DOB" = r."DOB"',
        ],
    }
    return (json.dumps(settings).encode(),)


def _import(data: bytes) -> Link:
    """A model that can be read can be used."""
    return Link(model=from_splink(data))


def _labels(data: bytes) -> object:
    return read_labels(data), read_labels(data, two_tables=True)


LINK: Final = (
    target("splink-model", _models, _import, refusals=(UnsupportedModelError,), mutators=(*JSON, *TEXT), weight=10),
    target(
        "link-labels",
        lambda: (b'left,right,verdict,by,at,note\na,b,same,,2026-11-30,"x, y"\nb,c,,,,\n',),
        _labels,
        refusals=(SpecError,),
        mutators=(*TEXT, *BYTES),
        weight=10,
    ),
)
