"""Test programs that start a worker: its processes import modules of tests too."""

from cji_core import manifest
from tests.support.paths import ROOT

__all__ = ["import_tests"]


def import_tests() -> None:
    """Let the processes that this one starts import from the folder of this repository."""
    folders = (*manifest.import_folders(), ROOT)
    manifest.import_folders = lambda: folders
