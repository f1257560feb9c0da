"""What a cell may not do once it has records: import a module, open a file or a socket, start a process.

Scripts run in a fresh process, because what some other test has imported would hide it.
"""

import subprocess
import sys
from typing import Final

from tests.support.paths import ROOT

__all__ = ["events"]

_WATCH: Final = """
seen = []


def watch(event, arguments):
    if event in ("import", "open", "socket.__new__", "subprocess.Popen", "os.listdir"):
        seen.append((event, str(arguments[0])))


sys.addaudithook(watch)
"""


def events(prepare: str, act: str) -> str:
    """Run `prepare`, then `act` under watch: the list of forbidden events, printed."""
    script = "\n".join(("import sys", prepare, _WATCH, act, "print(seen)"))
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT)
    return found.stdout.strip()
