"""The whole console: behind it the real status socket, before it a browser, a scraper and a collector."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cji_core.errors import StartupError
from cji_core.format.configuration.console import ConsoleConfig, OtlpSection
from cji_simulator.ports import free_port
from cji_simulator.raw import until
from cji_worker.console import observer, process, telemetry
from cji_worker.console.process import Console
from tests.support import audit_events, collector
from tests.support.browser import Browser, browser
from tests.support.collector import Collector
from tests.support.console_tools import (
    NO_KEY,
    NOT_SERVING,
    StatusSocket,
    encoded,
    get,
    in_a_thread,
    over_unix,
    running,
    status_socket,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than an operator's console, and wait less for a collector."""
    for module in (observer, process):
        monkeypatch.setattr(module, "EVERY_S", 0.2)
    monkeypatch.setattr(telemetry, "TIMEOUT_S", 1.0)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[StatusSocket]:
    folder = tmp_path / "worker"
    folder.mkdir()
    with status_socket(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


# ------------------------------------------------------------------ a browser


def laid_out(chromium: Browser, width: int) -> bool:
    return chromium.evaluate("document.documentElement.scrollWidth") <= width and not chromium.messages


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1100, 360])
def test_the_page_is_laid_out_and_loads_nothing_else(
    chromium: Browser, worker: StatusSocket, width: int, dark: bool
) -> None:
    with running(worker.path) as url:
        chromium.open(url, width=width, dark=dark)
        assert laid_out(chromium, width)
        assert chromium.requests == [url]
        paper = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") is not dark


def heading(chromium: Browser) -> str:
    return str(chromium.evaluate("document.querySelector('.state h2')?.textContent"))


def shown(chromium: Browser, selector: str) -> bool:
    return bool(chromium.evaluate(f"getComputedStyle(document.querySelector('{selector}')).display !== 'none'"))


def test_a_change_appears_without_a_reload(chromium: Browser, worker: StatusSocket) -> None:
    with running(worker.path) as url:
        chromium.open(url)
        chromium.evaluate("window.mark = 'the same page'")
        assert (heading(chromium), chromium.evaluate("document.title")) == ("Jobs are admitted", "worker-1: serving")
        worker.document = encoded(keyholder=NO_KEY, front=NOT_SERVING)
        until(lambda: heading(chromium) == "No job is admitted")
        assert "Key Vault refused" in chromium.evaluate("document.querySelector('.state').textContent")
        assert chromium.evaluate("document.title") == "worker-1: not serving"
        assert chromium.evaluate("window.mark") == "the same page"
        assert chromium.messages == []
        assert not shown(chromium, ".alarm")
    until(lambda: shown(chromium, ".alarm"))
    assert chromium.evaluate("document.body.className") == "lost"


def test_without_script_the_page_reloads_itself(chromium: Browser, worker: StatusSocket) -> None:
    with running(worker.path) as url:
        chromium.call("Emulation.setScriptExecutionDisabled", value=True)
        try:
            chromium.open(url)
            worker.document = encoded(keyholder=NO_KEY, front=NOT_SERVING)
            until(lambda: heading(chromium) == "No job is admitted")
        finally:
            chromium.call("Emulation.setScriptExecutionDisabled", value=False)


# ------------------------------------------------------------------ metrics


def test_metrics_follow_the_worker(worker: StatusSocket) -> None:
    with running(worker.path) as url:
        assert "cji_worker_serving 1.0" in get(f"{url}metrics")
        worker.document = encoded(front=NOT_SERVING)
        until(lambda: "cji_worker_serving 0.0" in get(f"{url}metrics"))
        worker.close()
        until(lambda: "cji_worker_up 0.0" in get(f"{url}metrics"))


def otlp(found: Collector, **settings: Any) -> OtlpSection:
    return OtlpSection(endpoint=f"http://127.0.0.1:{found.port}", instance="worker-1", interval_seconds=1, **settings)


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: each.value for each in of}


def test_metrics_and_spans_reach_a_collector(worker: StatusSocket, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with collector.collector() as found, audit_events.opened(path) as trail:
        trail.append(audit_events.admitted(bytes(16), bytes(48)))
        with running(worker.path, otlp=otlp(found, trail=str(path))):
            until(lambda: found.metrics)
            for number in (1, 2):
                trail.append(audit_events.admitted(number.to_bytes(16), bytes(48)))
            trail.append(audit_events.completed(b"\0" * 15 + b"\1", bytes(48)))
            trail.append(audit_events.ended(b"\0" * 15 + b"\2", bytes(48)))
            trail.append(audit_events.ended(bytes(16), bytes(48)))  # admitted before the console began
            until(lambda: found.traces)
        (resource,) = found.metrics[0].resource_metrics
        assert attributes(resource.resource.attributes)["service.instance.id"].string_value == "worker-1"
        names = {metric.name for metric in resource.scope_metrics[0].metrics}
        assert {"cji_worker_serving", "cji_jobs", "cji_job_duration_seconds", "cji_expiry_seconds"} <= names
        spans = [span for request in found.traces for span in request.resource_spans[0].scope_spans[0].spans]
        assert [attributes(span.attributes)["cji.outcome"].string_value for span in spans] == ["completed", "ended"]
        assert len({span.trace_id for span in spans}) == 2


@pytest.mark.parametrize("fault", ["refused", "503", "400", "redirect", "endless", "cut"])
def test_a_failing_collector_costs_nothing_but_its_spans(worker: StatusSocket, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "audit.log"
    with collector.collector() as found, collector.collector() as elsewhere, audit_events.opened(path) as trail:
        section = otlp(found, trail=str(path))
        failures = {
            "503": collector.status(503),
            "400": collector.status(400),
            "redirect": collector.redirect(f"http://127.0.0.1:{elsewhere.port}/v1/metrics"),
            "endless": collector.endless,
            "cut": collector.cut,
        }
        if fault == "refused":
            section = OtlpSection(endpoint=f"http://127.0.0.1:{free_port()}", instance="w", interval_seconds=1)
        else:
            found.failure = failures[fault]
        with running(worker.path, otlp=section) as url:
            until(lambda: "cji_export_failures_total 0.0" not in get(f"{url}metrics"))
            assert "Jobs are admitted" in get(url)
            if fault != "refused":
                trail.append(audit_events.admitted(bytes(16), bytes(48)))
                trail.append(audit_events.completed(bytes(16), bytes(48)))
                time.sleep(0.5)
                found.failure = None
                until(lambda: found.traces)
        assert elsewhere.bodies == []


def test_a_proxy_of_the_environment_is_not_used(worker: StatusSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x=y")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "leak=1")
    with collector.collector() as found, running(worker.path, otlp=otlp(found)):
        until(lambda: found.metrics)
        (resource,) = found.metrics[0].resource_metrics
        assert "leak" not in attributes(resource.resource.attributes)


# ------------------------------------------------------------------ listeners


def test_an_address_in_use_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = (f"unix:{tmp_path}/page.sock", f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StartupError, match="cannot be used"):
            Console(ConsoleConfig(status_socket="/absent", listen=listen))


def test_a_unix_socket_serves_its_group(worker: StatusSocket, tmp_path: Path) -> None:
    path = tmp_path / "page.sock"
    for _ in range(2):  # the second takes the place of the first, which ended
        with in_a_thread(Console(ConsoleConfig(status_socket=str(worker.path), listen=(f"unix:{path}",)))):
            found = over_unix(path, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert b"Jobs are admitted" in found
            assert os.stat(path).st_mode & 0o777 == 0o660
