"""The notebooks of examples/notebooks, each executed by a kernel against one `cji-simulator up`."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.support.paths import ROOT

NOTEBOOKS = ROOT / "examples" / "notebooks"
UP = [sys.executable, "-c", "from cji_simulator.entry import main; main()", "up"]
PRINTED = {
    "link": ["compare is done", "precision 0.98", "recall 0.99", "300 clusters for 300 persons", "charts: 3"],
    "validate": ["check is done", "124 planted, 124 found, 0 others", "INCIDENT HOUR MUST BE 00 TO 23", "charts: 2"],
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where `up` runs, and a reader would: the simulation is in .demo, and the path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "examples").symlink_to(ROOT / "examples")
        with subprocess.Popen(UP, cwd=name, stdout=subprocess.PIPE, text=True) as up:
            assert up.stdout is not None
            try:
                assert any(line.startswith("Running") for line in iter(up.stdout.readline, ""))
                yield Path(name)
            finally:
                up.terminate()


def read(path: Path) -> NotebookNode:
    """As its file has it."""
    notebook: NotebookNode = nbformat.reads(path.read_text(encoding="utf-8"), nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    return notebook


def executed(name: str, folder: Path) -> str:
    """What the notebook prints, and how many charts it has. An error in a cell is one here."""
    notebook = read(NOTEBOOKS / f"{name}.ipynb")
    # sockets of the file system: over TCP, everybody on this machine could listen
    kernel = AsyncKernelManager(transport="ipc", ip=str(folder / name), kernel_name="python3")
    NotebookClient(notebook, km=kernel, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    charts = sum("image/png" in output.get("data", {}) for output in outputs)
    return "".join(output.get("text", "") for output in outputs) + f"charts: {charts}"


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
@pytest.mark.timeout(600)
def test_a_notebook_shows_what_it_says(name: str, folder: Path) -> None:
    shown = executed(name, folder)
    assert [text for text in PRINTED[name] if text not in shown] == [], shown


@pytest.mark.parametrize("path", NOTEBOOKS.glob("*.ipynb"), ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
