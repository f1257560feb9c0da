"""The engine's half of the protocol, for programs of the tests that pytest does not start: `.venv` has no engine."""

import sys

from tests.support.paths import ROOT

sys.path.append(str(ROOT / "engine"))

from cji_engine import messages as engine_messages

__all__ = ["engine_messages"]
