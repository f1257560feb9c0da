"""What a submitter installs, the wheels of client, attestation and core, on any system and with any extras."""

import subprocess
import sys
from pathlib import Path

import pytest

import cji_client
from tests.support import wheels
from tests.support.paths import ROOT

INSTALLED = ("core", "attestation", "client")
HIDDEN = """
import asyncio, os, sys  # asyncio's part for Unix, which Windows does not have, reads os.sysconf from Python 3.12 on

for name in {hidden!r}:
    sys.modules.pop(name, None)

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Hidden())
for name in {attributes!r}:
    if hasattr(os, name):
        delattr(os, name)
"""
UNIX = ("fcntl", "grp", "pwd", "resource", "termios")
UNIX_ATTRIBUTES = (
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "fchmod", "fork", "geteuid", "getuid", "memfd_create",
    "pread", "preadv", "pwrite", "sched_getaffinity",
)  # fmt: skip
"""Without sysconf: the standard library of Python 3.13 uses it at import, in `concurrent.futures.process`."""
EXTRAS = ("azure", "click", "openpyxl", "pkcs11", "requests", "rfc3161_client", "rich", "urllib3")
WORKER_ONLY = ("cbor2", "joserfc", "prometheus_client", "pyseccomp", "tpm2_pytss")
NAMES_OF_APPS = ("worker", "attestation", "client", "core", "operations", "tasks")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of a submitter."""
    return wheels.install(tmp_path_factory.mktemp("installed"), INSTALLED)


def run(code: str, installed: Path, *, hidden: tuple[str, ...], status: int = 0, cwd: Path | None = None) -> str:
    """The output of code in a new process on a system without these modules, and without what only Unix has."""
    standard = [name for name in sys.path if name and not Path(name).resolve().is_relative_to(ROOT)]
    path = [str(cwd or installed), str(installed), *standard]
    preamble = HIDDEN.format(hidden={*UNIX, *WORKER_ONLY, *hidden}, attributes=UNIX_ATTRIBUTES)
    # -S: without the editable installations of this tree
    command = [sys.executable, "-S", "-c", f"{preamble}\nsys.path[:] = {path!r}\n{code}"]
    done = subprocess.run(command, cwd=cwd or installed, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def test_it_imports_without_unix_and_without_extras(installed: Path) -> None:
    modules = ("errors", "keys", "operations", "trusts")
    imports = ", ".join(f"cji_client.{name}" for name in modules)
    code = f"import {imports}; print(cji_client.__file__, len(cji_client.__all__))"
    file, names = run(code, installed, hidden=(*EXTRAS, "pandas", "polars")).split()
    assert Path(file).is_relative_to(installed)
    assert int(names) == len(cji_client.__all__)


def command(*arguments: str) -> str:
    return f"import cji_core.command; cji_core.command.build()({list(arguments)!r}, prog_name='cji')"


def test_an_app_has_modules_of_any_name(installed: Path, tmp_path: Path) -> None:
    """Celery's usual `worker.py`, for one: the client neither loads nor hides a module beside the program."""
    for name in NAMES_OF_APPS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py was loaded')\n")
    app = tmp_path / "app.py"
    app.write_text("import cji_client, cji_client.operations\nprint(cji_client.__file__)\n")
    file = run("import app", installed, hidden=(), cwd=tmp_path).strip()
    assert Path(file).is_relative_to(installed)
    assert "job" in verbs_of(run(command("--help"), installed, hidden=(), cwd=tmp_path))
    assert "worker.py was loaded" in run("import worker", installed, hidden=(), cwd=tmp_path, status=1)


def verbs_of(text: str) -> set[str]:
    """The verbs in the text of --help; those that name an extra have a dot behind."""
    lines = [line.split(maxsplit=1) for line in text.partition("Commands:")[2].splitlines() if line.strip()]
    return {f"{name}." if about.startswith("Needs an extra") else name for name, about in lines}


def test_the_command_has_the_verbs_of_submitters(installed: Path) -> None:
    shown = run(command("--help"), installed, hidden=())
    verbs = verbs_of(shown)
    assert {"evidence", "job", "key", "receipt"} <= verbs
    assert {line.split()[1] for line in shown.splitlines() if line.startswith("  cji ")} <= verbs
    assert "An auditor" not in shown
    assert not {"serve", "policy"} & verbs
    assert verbs_of(run(command("audit", "--help"), installed, hidden=())) == {"sign-packet"}
    verbs = verbs_of(run(command("evidence", "--help"), installed, hidden=()))
    assert verbs == {"chips", "collect", "import", "pcrs", "reference-values.", "show", "stamp", "verify"}
    refused = run(command("evidence", "reference-values", "platform.corim"), installed, hidden=(), status=2)
    assert "pip install 'cji-attestation[corim]'" in refused


def test_the_command_without_further_extras_names_them(installed: Path, tmp_path: Path) -> None:
    others = tuple(name for name in EXTRAS if name not in {"click", "rich"})
    with_all = run(command("--help"), installed, hidden=())
    assert run(command("--help"), installed, hidden=others) == with_all
    verbs = verbs_of(run(command("job", "--help"), installed, hidden=others))
    assert verbs == {"run", "seal", "send", "open", "explain.", "submit.", "status.", "fetch.", "cancel."}
    refused = run(command("job", "submit", "people.csv", "--job", "out"), installed, hidden=others, status=2)
    assert "pip install 'cji-client[fleet]'" in refused
    for group, verb in (("job", "run"), ("receipt", "get"), ("worker", "attest"), ("evidence", "verify")):
        assert "Example" in run(command(group, verb, "--help"), installed, hidden=others), verb
    run(command("man", str(tmp_path / "man")), installed, hidden=others)
    assert (tmp_path / "man" / "cji-job-run.1").exists()


def loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-P", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(found.stdout.split())


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("cji_client", {"pandas"}),
        (
            "cji_audit.verbs.verify",
            {"pandas", "cji_client.transport", "cji_operations", "cji_core.operations.registry"},
        ),
        ("cji_core.command", {"click", "grpc", "pyarrow", "numpy", "cji_client"}),
    ],
)
def test_a_module_loads_no_more_than_it_uses(module: str, unneeded: set[str]) -> None:
    modules = loaded(f"import {module}")
    assert module in modules
    assert modules & unneeded == set()
