"""Metrics and spans to an OpenTelemetry collector on this machine, by OTLP over HTTP.

The data are put into OpenTelemetry's own structures and handed to its exporters; there is no tracer, meter or other
global of the SDK, and the environment configures nothing. What the collector answers is bounded in time and size, and
it cannot redirect: nothing is sent to another address.
"""

import os
import secrets
from collections.abc import Sequence
from typing import Any, Final

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from cji_core.format.configuration.console import OtlpSection
from cji_core.https import Client
from cji_core.manifest import VERSION
from cji_core.sessions import session
from cji_worker.console.samples import Durations
from cji_worker.console.series import SERIES, Series
from cji_worker.console.spans import JobSpan
from cji_worker.console.view import View, moment
from cji_worker.ipc.messages import DURATIONS_S

TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 64 << 10
_SCOPE: Final = InstrumentationScope("cji-worker", VERSION)
_NS: Final = 1_000_000_000


def _refuse_redirect(response: requests.Response, *_: Any, **__: Any) -> None:
    if 300 <= response.status_code < 400:
        raise requests.TooManyRedirects("a collector does not redirect")


class Telemetry:
    """One collector. `send` blocks; it is for one thread."""

    def __init__(self, config: OtlpSection) -> None:
        for name in [name for name in os.environ if name.startswith("OTEL_")]:
            del os.environ[name]
        self._resource = Resource(
            {"service.name": "cji-worker", "service.version": VERSION, "service.instance.id": config.instance}
        )
        common: dict[str, Any] = {"timeout": TIMEOUT_S, "compression": Compression.NoCompression, "headers": {}}
        client = Client(None, seconds=TIMEOUT_S, limit=MAX_ANSWER_BYTES, plain=True, keep=True)
        common["session"] = session(client)
        common["session"].hooks["response"].append(_refuse_redirect)  # the exporters take one for a success
        self._metrics = OTLPMetricExporter(endpoint=f"{config.endpoint}/v1/metrics", **common)
        self._spans = OTLPSpanExporter(endpoint=f"{config.endpoint}/v1/traces", **common)

    def send_metrics(self, view: View) -> bool:
        """Send every metric of a view; whether the collector took them."""
        scope = ScopeMetrics(scope=_SCOPE, metrics=metrics_of(view), schema_url="")
        data = MetricsData([ResourceMetrics(resource=self._resource, scope_metrics=[scope], schema_url="")])
        return self._metrics.export(data) is MetricExportResult.SUCCESS

    def send_spans(self, spans: Sequence[JobSpan]) -> bool:
        """Send these spans; whether the collector took them."""
        return self._spans.export([span_of(each, self._resource) for each in spans]) is SpanExportResult.SUCCESS


def metrics_of(view: View) -> list[Metric]:
    """The metrics that have a sample. Counts begin at the worker's start."""
    started = view.at if view.status is None else moment(view.status.started)
    times = int(started.timestamp() * _NS), int(view.at.timestamp() * _NS)
    found = [_metric(series, view, *times) for series in SERIES]
    return [each for each in found if each.data.data_points]


def _metric(series: Series, view: View, start: int, now: int) -> Metric:
    numbers, histograms = list[NumberDataPoint](), list[HistogramDataPoint]()
    for labels, value in series.read(view):
        attributes = dict(zip(series.labels, labels, strict=True))
        if isinstance(value, Durations):
            histograms.append(_histogram(value, attributes, start, now))
        else:
            numbers.append(NumberDataPoint(attributes, start, now, value))
    data: Gauge | Sum | Histogram = Gauge(numbers)
    if series.kind == "counter":
        data = Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    elif series.kind == "histogram":
        data = Histogram(histograms, AggregationTemporality.CUMULATIVE)
    return Metric(name=series.name, description=series.help, unit=series.unit, data=data)


def _histogram(value: Durations, attributes: dict[str, str], start: int, now: int) -> HistogramDataPoint:
    # nothing is known of the least and the greatest value; infinities are what the SDK has before the first one
    return HistogramDataPoint(
        attributes,
        start,
        now,
        count=sum(value.classes),
        sum=value.seconds,
        bucket_counts=value.classes,
        explicit_bounds=DURATIONS_S,
        min=float("inf"),
        max=float("-inf"),
    )


def span_of(job: JobSpan, resource: Resource) -> ReadableSpan:
    """A job as a span of a trace of its own, under random ids."""
    attributes: dict[str, Any] = {
        "cji.operations": job.operations,
        "cji.suite": job.suite.value,
        "cji.outcome": "completed" if job.reason is None else "ended",
    }
    if job.reason is not None and job.stage is not None:
        attributes |= {"cji.reason": job.reason.value, "cji.stage": job.stage.value}
    context = SpanContext(
        trace_id=secrets.randbits(128) or 1,
        span_id=secrets.randbits(64) or 1,
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return ReadableSpan(
        name="job",
        context=context,
        resource=resource,
        attributes=attributes,
        kind=SpanKind.SERVER,
        status=Status(StatusCode.UNSET if job.reason is None else StatusCode.ERROR),
        start_time=job.start,
        end_time=job.end,
        instrumentation_scope=_SCOPE,
    )
