"""Samples of perf by process, place and function, and the picture of them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.flame import draw, stacks
from tests.support.paths import ROOT

_SCRIPT = """\
   10
\tffffffff81 _copy_to_iter+0x4 ([kernel.kallsyms])
\tffffffff82 __x64_sys_recvmsg+0x10 ([kernel.kallsyms])
\t    7f0001 __recvmsg+0x2 (/usr/lib/libc.so.6)

   10
\t    7f0002 [unknown] (/usr/lib/libcrypto.so.3)

   10
\t    7f0002 [unknown] (/usr/lib/libcrypto.so.3)

   99
\tffffffff83 clear_page_erms+0x1 ([kernel.kallsyms])

"""


def test_samples_are_of_a_process_a_place_and_a_function() -> None:
    assert stacks(_SCRIPT.splitlines(), {10: "door"}) == {
        ("door", "kernel: recvmsg", "_copy_to_iter"): 1,
        ("door", "libcrypto.so.3", "(no name)"): 2,
        ("cell", "kernel: other", "clear_page_erms"): 1,
    }


def test_widths_are_shares_of_all_samples() -> None:
    text = draw(stacks(_SCRIPT.splitlines(), {10: "door"}), "a < b")
    ElementTree.fromstring(text)
    assert re.findall(r"<title>(.*?)</title>", text)[:4] == [
        "all processes of the worker: 100.0 %",
        "door: 75.0 %",
        "libcrypto.so.3: 50.0 %",
        "(no name): 50.0 %",
    ]


_AS_NOBODY = """
import contextlib, os
import click
from benchmarks.flame import main
from benchmarks.stand import open_stand
os.seteuid(65534)
with contextlib.suppress(click.UsageError), open_stand(room=1):
    print("a worker was started")
main(["x.svg"])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_user_who_cannot_measure_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _AS_NOBODY]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout, "run as root" in ran.stderr) == (2, "", True), ran.stderr
