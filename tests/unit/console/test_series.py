"""The metrics: closed labels, one table for both formats, and nothing for what is not known."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.metrics.export import Histogram
from prometheus_client.parser import text_string_to_metric_families

from cji_core.errors import Reason
from cji_worker.console.exposition import exposition
from cji_worker.console.samples import Durations, Sample
from cji_worker.console.series import SERIES, Series
from cji_worker.console.telemetry import metrics_of
from cji_worker.console.view import OPERATIONS, View
from cji_worker.ipc.messages import DURATIONS_S
from tests.support.console_tools import KEYHOLDER, SICK, SILENT, VIEW, counts, jobs, status

VIEWS = {"well": VIEW, "sick": SICK, "silent": SILENT}


def scraped(view: View) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample that Prometheus reads."""
    families = text_string_to_metric_families(exposition(view).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def sample(view: View, name: str, **labels: str) -> float | None:
    return scraped(view).get((name, frozenset(labels.items())))


@pytest.mark.parametrize("name", VIEWS)
def test_both_formats_have_the_same_numbers(name: str) -> None:
    seen, expected = scraped(VIEWS[name]), dict[tuple[str, frozenset[tuple[str, str]]], float]()
    for metric in metrics_of(VIEWS[name]):
        suffix = "_total" if type(metric.data).__name__ == "Sum" else ""
        for point in metric.data.data_points:
            labels = frozenset((key, str(value)) for key, value in (point.attributes or {}).items())
            if not isinstance(metric.data, Histogram):
                expected[metric.name + suffix, labels] = getattr(point, "value")  # noqa: B009 - two classes of points
                continue
            found: Any = point
            below = 0
            for bound, count in zip([*DURATIONS_S, math.inf], found.bucket_counts, strict=True):
                below += count
                le = "+Inf" if bound == math.inf else str(bound)
                expected[f"{metric.name}_bucket", labels | {("le", le)}] = below
            expected[f"{metric.name}_count", labels], expected[f"{metric.name}_sum", labels] = below, found.sum
    assert seen == expected
    assert len(seen) > 5


def test_numbers_are_those_of_the_reports() -> None:
    assert sample(VIEW, "cji_jobs_total", operation="deidentify", outcome="ended") == 2
    assert sample(VIEW, "cji_refusals_total", reason="POLICY_DENIED") == 12
    assert sample(VIEW, "cji_job_ends_total", reason="DEADLINE") == 2
    assert sample(VIEW, "cji_rows_total", direction="out") == 1_150_000
    assert sample(VIEW, "cji_job_duration_seconds_count", operation="link") == 8
    assert sample(VIEW, "cji_job_duration_seconds_bucket", operation="link", le="3600.0") == 7
    assert sample(VIEW, "cji_job_duration_seconds_sum", operation="link") == 7203.5
    assert sample(VIEW, "cji_expiry_seconds", subject="key") == 47 * 60
    assert sample(VIEW, "cji_audit_undelivered_lines", kind="log") == 511
    assert sample(VIEW, "cji_audit_undelivered_lines", kind="sink") == 0
    assert sample(VIEW, "cji_audit_delivery_stalled_seconds", kind="log") == 720
    assert sample(VIEW, "cji_audit_delivery_stalled_seconds", kind="sink") == 0
    assert sample(VIEW, "cji_worker_serving") == 1
    assert sample(SICK, "cji_worker_serving") == 0
    assert sample(SICK, "cji_not_ready", reason="KEY_RELEASE_DENIED") == 1
    assert sample(SICK, "cji_host_condition_held", condition="swap") == 0
    assert sample(SICK, "cji_expiry_seconds", subject="certificate") == -2 * 86400
    assert sample(SICK, "cji_audit_delivery_stalled_seconds", kind="sink") == 7200


def test_every_counter_begins_at_zero() -> None:
    fresh = replace(VIEW, status=status(keyholder=jobs(operations=(), refused=(), ended=())))
    for reason in Reason:
        assert sample(fresh, "cji_refusals_total", reason=reason) == 0
    for operation in OPERATIONS:
        assert sample(fresh, "cji_jobs_total", operation=operation, outcome="completed") == 0


def test_what_is_not_known_has_no_sample() -> None:
    names = {name for name, _ in scraped(SILENT)}
    assert sample(SILENT, "cji_worker_up") == 0
    assert sample(SILENT, "cji_worker_silence", cause="no answer") == 1
    assert not any(name.startswith(("cji_jobs", "cji_expiry", "cji_cells", "cji_refusals")) for name in names)
    young = replace(VIEW, status=status(keyholder=None, front=None))
    assert sample(young, "cji_worker_up") == 1
    assert sample(young, "cji_cells", state="busy") is None


def test_every_metric_has_a_sample_when_all_is_known() -> None:
    seen = {name.removesuffix("_bucket").removesuffix("_total") for name, _ in scraped(VIEW)}
    assert {series.name for series in SERIES} <= seen


def test_names_and_help_follow_the_conventions() -> None:
    for series in SERIES:
        assert series.name.startswith("cji_")
        assert not series.name.endswith("_total")
        assert not series.help.endswith(".")
        assert (series.unit == "s") == series.name.endswith("_seconds")
    assert len({series.name for series in SERIES}) == len(SERIES)


def test_the_number_of_samples_has_a_bound() -> None:
    """With every operation and Reason in use, no metric has more than its labels allow, and all have few."""
    every = tuple(counts(name, 1) for name in OPERATIONS)
    full = replace(VIEW, status=status(keyholder=jobs(operations=every)))
    for series in SERIES:
        assert len([*series.read(full)]) <= series.most_samples <= 64
    assert len(scraped(full)) < 400


def series_of(samples: list[Sample]) -> Series:
    def read(_: View) -> Iterator[Sample]:
        return iter(samples)

    return Series(name="cji_x", kind="gauge", help="x", labels={"reason": ("A", "B")}, samples=read)


@pytest.mark.parametrize(
    "samples",
    [
        [(("C",), 1.0)],
        [(("A", "B"), 1.0)],
        [((), 1.0)],
        [(("A",), 1.0), (("A",), 2.0)],
        [(("a",), Durations(classes=(), seconds=0))],
    ],
)
def test_a_label_outside_its_set_is_refused(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="label of cji_x"):
        list(series_of(samples).read(VIEW))
    assert list(series_of([(("B",), 1.0)]).read(VIEW)) == [(("B",), 1.0)]


def test_one_key_of_several_gives_the_first_end() -> None:
    key = KEYHOLDER.keys[0]
    later = msgspec.structs.replace(key, kek_id=f"{key.kek_id}2", until=key.until + 600)
    view = replace(VIEW, status=status(keyholder=msgspec.structs.replace(KEYHOLDER, keys=(later, key))))
    assert sample(view, "cji_expiry_seconds", subject="key") == 47 * 60
    assert sample(view, "cji_keys", state="usable") == 2
