"""Charts of results of `link`: well-formed drawings by themselves, without values of records."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cji_client.charts import Chart, LinkCharts
from cji_client.errors import SpecError
from cji_core.operations.link import Link
from cji_core.page.curves import Curve, curves
from cji_core.page.distributions import Mark
from tests.support.report_tools import linked, page_of, people

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def charts() -> LinkCharts:
    job = linked(people())
    (parameters,) = job.operations
    assert isinstance(parameters, Link)
    return LinkCharts(job.read, parameters)


def texts(chart: Chart) -> list[str]:
    root = ElementTree.fromstring(chart.svg)
    assert root.tag == f"{SVG}svg"
    assert not root.findall(f".//{SVG}script")
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_weights_have_a_bar_for_every_level(charts: LinkCharts) -> None:
    chart = charts.weights()
    bars = ElementTree.fromstring(chart.svg).findall(f".//{SVG}rect")
    levels = [row for batch in linked(people()).read("levels") for row in batch.to_pylist() if row["m"] is not None]
    assert len(bars) == 1 + len(levels)
    assert "prior" in texts(chart)


def test_a_waterfall_adds_up_and_names_no_record(charts: LinkCharts) -> None:
    pairs = [row for batch in linked(people()).read("pairs") for row in batch.to_pylist()]
    chart = charts.waterfall(0)
    assert texts(chart)[-1] == f"{pairs[0]['weight']:+.1f}"
    for name in ("left_id", "right_id"):
        assert str(pairs[0][name]) not in texts(chart)
    with pytest.raises(SpecError, match="pairs has no row 999"):
        charts.waterfall(999)


def test_thresholds_and_unlinkables_mark_those_of_the_job(charts: LinkCharts) -> None:
    for chart in (charts.thresholds(), charts.unlinkables()):
        assert any("match" in text for text in texts(chart)), texts(chart)
        assert any("for a clerk" in text for text in texts(chart)), texts(chart)


def test_the_page_of_the_job_has_the_same_drawings() -> None:
    job = linked(people())
    page = page_of(job)
    assert "false pairs to expect" in page
    assert "rows by their weight beside themselves" in page


def test_a_chart_is_shown_and_saved_once(charts: LinkCharts, tmp_path: Path) -> None:
    chart = charts.weights()
    assert chart._repr_svg_() == chart.svg
    for name in ("a.svg", "b.html"):
        chart.save(tmp_path / name)
        text = (tmp_path / name).read_text()
        assert chart.svg in text
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        with pytest.raises(SpecError, match="exists, or is not"):
            chart.save(tmp_path / name)
    with pytest.raises(SpecError, match=r"exists, or is not .svg or .html"):
        chart.save(tmp_path / "c.png")


def test_curves_keep_their_names_apart() -> None:
    drawn = [Curve(name=name, points=[(0.0, 1.0), (8.0, 0.5)]) for name in ("one", "two", "three")]
    chart = Chart.of("x", curves(drawn, [Mark(at=2.0, name="here")], "bits", "what"))
    root = ElementTree.fromstring(chart.svg)
    ends = sorted(float(text.attrib["y"]) for text in root.iter(f"{SVG}text") if text.text in {"one", "two", "three"})
    assert all(after - before >= 12 for before, after in itertools.pairwise(ends))
    assert len(root.findall(f".//{SVG}path")) == 3
    assert ElementTree.fromstring(Chart.of("x", curves([], [], "bits", "what")).svg).tag == f"{SVG}svg"
