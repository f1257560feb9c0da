"""One error base for each distribution: every exception that leaves a module has it, with a code and a remedy."""

import ast
import builtins
import re
from functools import cache
from typing import Final

import pytest

from cji_attestation import AttestationError, Fault
from cji_core.errors import REASONS, CjiError, Reason, Refusal, Stage, StartupError
from tests.support.paths import PACKAGES

ROOTS: Final = {folder.name: folder.parent for folder in PACKAGES.values()}
ROOT_OF_ALL: Final = ("cji_core.errors", "CjiError")
BASES: Final = {
    ROOT_OF_ALL,
    ("cji_core.errors", "CoreError"),
    ("cji_attestation.errors", "AttestationError"),
    ("cji_core.errors", "OperationsError"),
    ("cji_worker.errors", "WorkerError"),
    ("cji_core.errors", "ClientError"),
    ("cji_audit.errors", "AuditError"),
    ("cji_deploy.errors", "DeploymentError"),
    ("cji_engine.errors", "EngineError"),
    ("cji_simulator.errors", "SimulatorError"),
}
# straight from Exception: the root, and the base of the engine, which imports nothing of the others
STRAIGHT: Final = {ROOT_OF_ALL, ("cji_engine.errors", "EngineError")}
# raised and caught between few modules, and nobody sees them
CONTROL_FLOW: Final = {
    ("cji_client.casts", "ValueMisfit"),
    ("cji_client.files.workbook", "_Refused"),
    ("cji_client.nibrs_xml", "_NotPlain"),
    ("cji_core.format.records.nibrs.xml_plain", "_Refused"),
    ("cji_worker.front.frames", "_Unusual"),
    ("cji_core.format.job.fields", "MalformedError"),
    ("cji_operations.sealed_columns.plain", "ValueUnfit"),
}
# click prints these, by its own protocol
OF_CLICK: Final = {("cji_core.command.common", "Failure"), ("cji_core.command.refusals", "RefusedAsJson")}

Name = tuple[str, str]


@cache
def modules() -> list[tuple[str, ast.Module]]:
    found = []
    for package, folder in ROOTS.items():
        for file in sorted((folder / package).rglob("*.py")):
            name = ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
            found.append((name, ast.parse(file.read_bytes())))
    return found


@cache
def classes() -> dict[Name, tuple[Name, ...]]:
    """Each class at the top of a module, with its bases."""
    found: dict[Name, tuple[Name, ...]] = {}
    for module, tree in modules():
        known: dict[str, Name] = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                known |= {each.asname or each.name: (node.module, each.name) for each in node.names}
            if isinstance(node, ast.ClassDef):
                bases = tuple(known.get(text, ("", text)) for text in map(ast.unparse, node.bases))
                known[node.name] = found[module, node.name] = (module, node.name)  # type: ignore[assignment]
                found[module, node.name] = bases
    return found


def is_builtin(name: Name) -> bool:
    kind = getattr(builtins, name[1], None) if not name[0] else None
    return isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, Warning)


def lineage(name: Name) -> set[Name]:
    """The class, and all above it that stand in the tree; one that a room hands on is looked up by its name."""
    above = {name}
    for base in classes().get(name, ()):
        above |= {base} if is_builtin(base) else lineage(base)
    return above


@cache
def exceptions() -> tuple[Name, ...]:
    return tuple(name for name in classes() if any(is_builtin(each) for each in lineage(name)))


def test_no_exception_is_straight_from_exception() -> None:
    straight = {
        name for name in exceptions() if all(is_builtin(base) for base in classes()[name])
    }  # fmt: skip
    assert straight == STRAIGHT | CONTROL_FLOW
    assert len(exceptions()) > 100


def test_every_exception_has_a_base_of_a_distribution() -> None:
    assert {name for name in exceptions() if not lineage(name) & BASES} == CONTROL_FLOW
    for name in BASES - {ROOT_OF_ALL} - STRAIGHT:
        assert ROOT_OF_ALL in lineage(name)


@pytest.mark.parametrize(
    ("room", "base"),
    [
        ("cji_deploy", ("cji_deploy.errors", "DeploymentError")),
        ("cji_engine", ("cji_engine.errors", "EngineError")),
        ("cji_simulator", ("cji_simulator.errors", "SimulatorError")),
        ("cji_attestation", ("cji_attestation.errors", "AttestationError")),
        ("cji_client", ("cji_core.errors", "ClientError")),
        ("cji_core.operations", ("cji_core.errors", "OperationsError")),
    ],
)
def test_a_rooms_exceptions_have_its_own_base(room: str, base: Name) -> None:
    own = [name for name in exceptions() if f"{name[0]}.".startswith(f"{room}.") and name not in CONTROL_FLOW]
    own = [name for name in own if name[1] != "BundleRefused"]  # a StartupError, for the verbs on bundles
    own = [name for name in own if name[0] != "cji_attestation.appraisal.corim.cose"]  # its one reader catches them
    assert own
    assert [name for name in own if base not in lineage(name)] == []


def test_codes_are_stable_words_and_each_has_one_kind() -> None:
    codes: dict[str, Name] = {}
    for module, tree in modules():
        for node in tree.body:
            if not isinstance(node, ast.ClassDef) or (module, node.name) not in exceptions():
                continue
            for line in node.body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "code":
                    code = ast.literal_eval(line.value)
                    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
                    assert codes.setdefault(code, (module, node.name)) == (module, node.name)
    assert len(codes) > 60


def test_an_error_has_a_code_and_a_remedy() -> None:
    refusal = Refusal(Reason.EXPIRED, stage=Stage.ADMIT)
    assert (refusal.code, refusal.remedy) == ("EXPIRED", REASONS[Reason.EXPIRED].remedy)
    assert StartupError("Nothing is there", "Put it there.").remedy == "Put it there."
    error = AttestationError(Fault.MAA_UNAVAILABLE, check="maa")
    assert error.code == "MAA_UNAVAILABLE"
    assert error.remedy
    assert CjiError("x", remedy="Do y.").remedy == "Do y."
    assert CjiError("x").remedy
