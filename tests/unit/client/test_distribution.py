"""What the wheels of `cji-client` and `cji-worker` have: one source tree, divided by client/build_hook.py."""

import ast
import functools
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import cji_client

ROOT = Path(__file__).parents[3]
OURS = ("attestation", "worker")

ELSEWHERE = {
    "cji_attestation.release": "only `cji key verify-attestation` imports it, which is for operators",
    "cji_worker.launch": "only `cji serve` needs it",
}
DISTRIBUTIONS = {
    "azure.core": "azure-core",
    "azure.identity": "azure-identity",
    "azure.keyvault": "azure-keyvault-keys",
    "azure.storage.blob": "azure-storage-blob",
    "azure.storage.queue": "azure-storage-queue",
    "click": "click",
    "cryptography": "cryptography",
    "dcap_qvl": "dcap-qvl",
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "grpc": "grpcio",
    "msgspec": "msgspec",
    "numpy": "numpy",
    "openpyxl": "openpyxl",
    "pkcs11": "python-pkcs11",
    "pyarrow": "pyarrow",
    "requests": "requests",
    "rfc3161_client": "rfc3161-client",
    "rich": "rich",
    "urllib3": "urllib3",
}
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
NOT_OURS = ("cji_client", "polars")
"""The package itself, and what a caller has who asks for frames of it."""
UNIX = ("fcntl", "grp", "pwd", "resource", "termios")
UNIX_ATTRIBUTES = (
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "fchmod", "fork", "geteuid", "getuid", "memfd_create",
    "pread", "preadv", "pwrite", "sched_getaffinity", "sysconf",
)  # fmt: skip
EXTRAS = ("azure", "click", "openpyxl", "pkcs11", "requests", "rfc3161_client", "rich", "urllib3")
WORKER_ONLY = ("cbor2", "joserfc", "prometheus_client", "pyseccomp", "tpm2_pytss")


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = spec_from_file_location("build_hook", ROOT / "client" / "build_hook.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def path_of(module: str) -> Path | None:
    """The file of one of our modules; None for any other name."""
    base = ROOT / module.replace(".", "/")
    return next((p for p in (base / "__init__.py", base.with_suffix(".py")) if p.exists()), None)


@functools.cache
def imports(file: Path) -> tuple[str, ...]:
    """Modules that a file imports at any place but under TYPE_CHECKING, and the packages that they are in."""
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text())
    only_for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in only_for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure(files: set[Path]) -> tuple[set[Path], set[str]]:
    """Our files that these import, directly or not, themselves included; and the modules of others."""
    found, others, todo = set[Path](), set[str](), list(files)
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        for module in imports(file):
            if module.partition(".")[0] not in OURS:
                others.add(module)
                continue
            if any(module == name or module.startswith(f"{name}.") for name in ELSEWHERE):
                continue
            parents = [module.rsplit(".", n)[0] for n in range(module.count(".") + 1)]
            todo += [path for path in map(path_of, parents) if path is not None]
    return found, others


def test_the_rooms_of_the_client_are_what_it_imports(hook: ModuleType) -> None:
    shipped = {ROOT / file for file in hook.files_of(ROOT, client=True)}
    python = {file for file in shipped if file.suffix == ".py"}
    # nothing outside of them is needed, whichever of their modules is imported
    assert closure(python)[0] == python
    # none of them is unneeded, but for modules of whole rooms
    scripts = {ROOT / "core/cji_core/command/__main__.py", ROOT / "core/cji_core/command/script.py"}
    commands = scripts | set((ROOT / "worker/cji_worker/verbs").rglob("*.py")) & python
    needed = closure(set((ROOT / "client/cji_client").rglob("*.py")) | commands)[0]
    for room in hook.ROOMS:
        if room.endswith((".py", "*.py")):
            assert set(ROOT.glob(room)) <= needed, room
        else:
            assert room.endswith("py.typed") or any(file.is_relative_to(ROOT / room) for file in needed), room


def test_each_file_is_in_one_wheel(hook: ModuleType) -> None:
    client, worker = (list(hook.files_of(ROOT, client=which)) for which in (True, False))
    tracked = subprocess.run(["git", "ls-files", *OURS], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(client).isdisjoint(worker)
    assert {Path(name) for name in tracked.split()} <= {*client, *worker}


def test_every_library_is_declared_once(hook: ModuleType) -> None:
    table = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    extras = table["optional-dependencies"]
    names = {line.partition(">")[0] for line in (*table["dependencies"], *(d for e in extras.values() for d in e))}
    shipped = {ROOT / file for file in hook.files_of(ROOT, client=True) if file.suffix == ".py"}
    others = closure(shipped | set((ROOT / "client/cji_client").glob("*.py")))[1]
    libraries = {name for name in others if name.partition(".")[0] not in {*sys.stdlib_module_names, *NOT_OURS}}
    assert {m.partition(".")[0] for m in libraries} == {name.partition(".")[0] for name in DISTRIBUTIONS}
    used = {DISTRIBUTIONS[n] for n in DISTRIBUTIONS if any(f"{m}.".startswith(f"{n}.") for m in libraries)}
    assert used == names
    assert len(table["dependencies"]) <= 8
    worker = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"cji-client[cli,evidence,excel,fleet]=={worker['version']}" in worker["dependencies"]
    assert table["version"] == worker["version"]


@pytest.fixture(scope="module")
def installed(hook: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the client's wheel."""
    folder = tmp_path_factory.mktemp("site")
    for file in hook.files_of(ROOT, client=True):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    shutil.copytree(ROOT / "client" / "cji_client", folder / "cji_client")
    return folder


def run(code: str, installed: Path, *, hidden: tuple[str, ...], status: int = 0) -> str:
    """The output of code in a new process on a system without these modules, and without what only Unix has."""
    path = [str(installed), *(name for name in sys.path if name and not Path(name).is_relative_to(ROOT / "worker"))]
    path = [name for name in path if Path(name).resolve() not in {ROOT, ROOT / "client"}]
    preamble = HIDDEN.format(hidden={*UNIX, *WORKER_ONLY, *hidden}, attributes=UNIX_ATTRIBUTES)
    command = [sys.executable, "-S", "-c", f"{preamble}\nsys.path[:] = {path!r}\n{code}"]
    done = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False)
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
    assert not {"serve", "audit", "doctor"} & verbs
    assert verbs_of(run(command("evidence", "--help"), installed, hidden=())) == {"pcrs", "show", "stamp", "verify"}


def test_the_command_without_further_extras_names_them(installed: Path, tmp_path: Path) -> None:
    others = tuple(name for name in EXTRAS if name not in {"click", "rich"})
    with_all = run(command("--help"), installed, hidden=())
    assert run(command("--help"), installed, hidden=others) == with_all
    verbs = verbs_of(run(command("job", "--help"), installed, hidden=others))
    assert verbs == {"run", "seal", "send", "open", "submit.", "status.", "fetch.", "cancel."}
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
        ("cji_client.errors", {"pyarrow", "cji_client.transport"}),
        (
            "cji_audit.verbs.verify",
            {"pandas", "cji_client.transport", "cji_operations", "cji_core.operations.registry"},
        ),
        ("cji_core.command.script", {"grpc", "pyarrow", "numpy", "cji_client"}),
    ],
)
def test_a_module_loads_no_more_than_it_uses(module: str, unneeded: set[str]) -> None:
    modules = loaded(f"import {module}")
    assert module in modules
    assert modules & unneeded == set()
