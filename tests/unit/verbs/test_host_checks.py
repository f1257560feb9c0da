"""`cji doctor` on the machine: production fails what a simulation warns of, in the words of the worker."""

import subprocess
import sys
from pathlib import Path

from cji_attestation import AZURE_US
from cji_core.format.configuration.worker import load
from cji_worker.host import CATALOGUE
from cji_worker.verbs.machine_checks import host_checks
from tests.support.paths import ROOT
from tests.support.privileges import locks_memory
from tests.support.worker_configs import WORKER_CONFIG

_LOCKED: str = """
import resource, sys
from pathlib import Path
from cji_attestation import AZURE_US
from cji_core.format.configuration.worker import load
from cji_worker.host import readings
from cji_worker.verbs.machine_checks import host_checks
resource.setrlimit(resource.RLIMIT_MEMLOCK, (8 << 20, 8 << 20))
readings._CAP_IPC_LOCK = 63  # nobody holds it
found = {each.name: each for each in host_checks(load(Path(sys.argv[1])), AZURE_US)}
print(found["locked-memory"].state, found["locked-memory"].remedy)
"""


def test_without_a_configuration_only_what_always_holds_fails() -> None:
    findings = host_checks(None, None)
    assert [each.name for each in findings] == [name for name in CATALOGUE if name != "tpm-clock"]
    failed = {each.name for each in findings if each.state == "failed"}
    assert failed <= {name for name, condition in CATALOGUE.items() if condition.always}


@locks_memory
def test_in_production_nothing_is_only_a_warning(tmp_path: Path) -> None:
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG)
    lax = {each.name: each.state for each in host_checks(None, None)}
    strict = {each.name: each for each in host_checks(load(tmp_path / "worker.toml"), AZURE_US)}
    for name, state in lax.items():
        assert strict[name].state == ("ok" if state == "ok" else "failed"), name
        assert strict[name].remedy == ("" if state == "ok" else CATALOGUE[name].remedy)  # type: ignore[index]
    assert set(strict) == set(CATALOGUE)


def test_too_little_lockable_memory_fails(tmp_path: Path) -> None:
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG)
    command = [sys.executable, "-c", _LOCKED, str(tmp_path / "worker.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith("failed Raise LimitMEMLOCK")
