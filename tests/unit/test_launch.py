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
