"""What a process of the worker can import."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

from cji_worker.launch import command

_PROBE = """
import sys
import pyarrow as pa
assert pa.array(["a", "b"]).to_pylist() == ["a", "b"]
print("pandas" in sys.modules)
"""


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed")
def test_pyarrow_does_not_bring_pandas_into_a_process(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(_PROBE)
    *start, folders = command("probe")
    ran = subprocess.run([*start, f"{folders}:{tmp_path}"], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "False\n"


_SEARCHED = """
import sys
from types import SimpleNamespace
import pyarrow as pa
import pyarrow.compute as pc
texts, names = pa.array(["a", "b"], pa.utf8()), []
sys.meta_path.insert(1, SimpleNamespace(find_spec=lambda name, *_: names.append(name)))
for _ in range(2):
    assert pc.equal(texts, "a").to_pylist() == [True, False]
print(names)
"""


def test_a_value_of_no_stated_type_searches_no_folder(tmp_path: Path) -> None:
    """A sealed cell is killed if it does. pyarrow looks for dateutil each time, where it is not installed."""
    (tmp_path / "searched.py").write_text(_SEARCHED)
    *start, folders = command("searched")
    ran = subprocess.run([*start, f"{folders}:{tmp_path}"], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "[]\n"


_COUNTING = """
import contextlib, gc, os
import msgspec
from cji_worker.ipc import receive_boot
print(gc.get_threshold()[0], gc.get_freeze_count())
with contextlib.suppress(msgspec.DecodeError):  # of no message
    receive_boot(os.memfd_create("nothing"))
print(gc.get_threshold()[0], gc.get_freeze_count() > 10_000)
"""


def test_imports_are_not_searched_for_garbage(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(_COUNTING)
    *start, folders = command("counting")
    ran = subprocess.run([*start, f"{folders}:{tmp_path}"], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["20000", "0", "700", "True"]
