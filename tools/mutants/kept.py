"""Results of a run, kept in `build/mutants` for the next one."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tools.mutants.changes import Mutant
from tools.mutants.rooms import ROOT

FOLDER: Final = ROOT / "build" / "mutants"
_FORMAT: Final = 2


def file_of(test: str) -> Path:
    """The file of a test."""
    return ROOT / test.partition("::")[0]


class Kept:
    """One room's: which test kills each mutant, and what each test costs and reaches.

    A kill counts for as long as neither the module nor the test's file has changed. What else the two depend on is
    not compared: `--afresh` repeats everything.
    """

    def __init__(self, path: Path, *, afresh: bool = False) -> None:
        self._path = path
        known = json.loads(path.read_text()) if path.is_file() and not afresh else {}
        if known.get("format") != _FORMAT:
            known = {"format": _FORMAT, "kills": {}, "files": {}}
        self._known: dict[str, Any] = known
        self._digests: dict[Path, str] = {}  # as the files are when they are asked for first

    def digest(self, *paths: Path) -> str:
        """Of the content of files, in their order; a file that is not there has none."""
        for path in paths:
            if path not in self._digests:
                content = path.read_bytes() if path.is_file() else b""
                self._digests[path] = hashlib.sha256(content).hexdigest()
        return hashlib.sha256("".join(self._digests[path] for path in paths).encode()).hexdigest()

    def save(self) -> None:
        """Write it, as a whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._known))
        new.replace(self._path)

    def kill(self, mutant: Mutant, source: Path) -> str | None:
        """The test that kills this mutant of this source, unless one of the two has changed; empty if it needs none."""
        known = self._known["kills"].get(_key(mutant))
        if known is None or known["source"] != self.digest(source) or known["file"] != self._of_test(known["test"]):
            return None
        return str(known["test"])

    def last_kill(self, mutant: Mutant) -> str | None:
        """The test that killed it when the two were read last."""
        return self._known["kills"].get(_key(mutant), {}).get("test") or None

    def killed(self, mutant: Mutant, source: Path, test: str) -> None:
        """Keep a kill."""
        self._known["kills"][_key(mutant)] = {"source": self.digest(source), "test": test, "file": self._of_test(test)}

    def seconds(self) -> dict[str, float]:
        """By test, when it was measured last."""
        return {test: one["seconds"] for known in self._known["files"].values() for test, one in known["tests"].items()}

    def reach(self, file: Path, sources: Mapping[str, Path], tests: Iterable[str]) -> dict[str, dict[str, list[int]]]:
        """The lines of each module by the tests of a file; nothing if the file has changed, or a module they reach."""
        known = self._known["files"].get(str(file.relative_to(ROOT)), {})
        if known.get("digest") != self.digest(file) or not known["tests"].keys() >= set(tests):
            return {}
        if any(name not in sources or self.digest(sources[name]) != was for name, was in known["sources"].items()):
            return {}
        return {test: known["tests"][test]["lines"] for test in tests}

    def reached(
        self, file: Path, sources: Mapping[str, Path], found: dict[str, tuple[float, dict[str, list[int]]]]
    ) -> None:
        """Keep the seconds and the lines of every test of a file."""
        self._known["files"][str(file.relative_to(ROOT))] = {
            "digest": self.digest(file),
            "sources": {name: self.digest(sources[name]) for _, lines in found.values() for name in lines},
            "tests": {test: {"seconds": round(seconds, 4), "lines": lines} for test, (seconds, lines) in found.items()},
        }

    def _of_test(self, test: str) -> str:
        return self.digest(file_of(test)) if test else ""


def _key(mutant: Mutant) -> str:
    return f"{mutant.module}:{mutant.nth}:{mutant.taken}"
