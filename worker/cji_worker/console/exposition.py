"""The metrics in Prometheus' text format, from a registry of their own."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from cji_worker.console.samples import Durations
from cji_worker.console.series import SERIES, Series
from cji_worker.console.view import View
from cji_worker.ipc.messages import DURATIONS_S

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class _Snapshot(Collector):
    """The metrics of one view."""

    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Each metric that has a sample."""
        for series in SERIES:
            yield _family(series, self._view)


def exposition(view: View) -> bytes:
    """The document that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(view))
    return generate_latest(registry)


def _family(series: Series, view: View) -> Metric:
    labels = list(series.labels)
    if series.kind == "histogram":
        histogram = HistogramMetricFamily(series.name, series.help, labels=labels)
        for values, found in series.read(view):
            if isinstance(found, Durations):
                bounds = [*map(str, DURATIONS_S), "+Inf"]
                buckets = zip(bounds, map(float, accumulate(found.classes)), strict=True)
                histogram.add_metric([*values], buckets=[*buckets], sum_value=found.seconds)
        return histogram
    kind = CounterMetricFamily if series.kind == "counter" else GaugeMetricFamily
    family = kind(series.name, series.help, labels=labels)
    for values, found in series.read(view):
        if not isinstance(found, Durations):
            family.add_metric([*values], found)
    return family
