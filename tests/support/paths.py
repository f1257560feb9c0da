"""Where this repository is, and its distributions."""

from pathlib import Path
from typing import Final

__all__ = ["DISTRIBUTIONS", "PACKAGES", "ROOT"]

ROOT: Final = Path(__file__).resolve().parents[2]
DISTRIBUTIONS: Final = ("core", "attestation", "operations", "client", "audit", "deploy", "worker", "simulator")
"""Those of one environment; `engine` has its own."""
PACKAGES: Final = {name: ROOT / name / f"cji_{name}" for name in (*DISTRIBUTIONS, "engine")}
"""The folder of each one's package, by the name of its folder."""
