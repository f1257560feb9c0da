"""The rules of Bicep's compiler: each on a template with one fault, and all on the verdicts of Microsoft's own.

Vectors: `bicep/` has templates with one changed line each and what the compiler says of them, the resources that its
engine predicts, and results of its functions.
"""

import json
import os
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cji_deploy.check.aztypes import Catalogue
from cji_deploy.check.bicep import Template, parse
from cji_deploy.check.compiled import check_with_bicep, diagnostics
from cji_deploy.check.compiler import compiler_problems, foresight_problems
from cji_deploy.check.deployment import EXAMPLES, planned
from cji_deploy.check.functions import FUNCTIONS
from cji_deploy.check.modules import wiring_problems
from cji_deploy.check.names import main as print_names
from cji_deploy.check.outcome import DeployError, Status
from tests.support.paths import ROOT

BICEP = ROOT / "deploy" / "bicep"
VECTORS = Path(os.environ.get("CJI_VECTORS", ""))
needs_vectors = pytest.mark.skipif("CJI_VECTORS" not in os.environ, reason="CJI_VECTORS is not set")


def templates(**sources: str) -> dict[str, Template]:
    return {f"{name}.bicep": parse(f"{name}.bicep", source.encode()) for name, source in sources.items()}


def problems(source: str, **others: str) -> str:
    found = templates(main=source, **others)
    return "\n".join(compiler_problems(found["main.bicep"], found, None))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        # the fault with which no command of a first deployment got anywhere
        ("@allowed(['a'])\nparam p string = resourceGroup().location\nvar v = p", "default of p may be a value"),
        ("@allowed(['a'])\nparam p string = 'b'\nvar v = p", "default of p may be a value"),
        ("param q string\n@allowed(['a'])\nparam p string = q\nvar v = p", "default of p may be a value"),
        ("param p string = 3\nvar v = p", "the default of p is int, expected string"),
        ("param p string[] = {}\nvar v = p", "the default of p is object, expected array"),
        ("@minLength(3)\nparam p int\nvar v = p", "@minLength does not go with p"),
        ("@minValue(3)\nparam p string[]\nvar v = p", "@minValue does not go with p"),
        ("@allowed([1])\nparam p string\nvar v = p", "1 in @allowed of p is not string"),
        ("output o int = 'x'", "the output o is string, expected int"),
        ("param p bool\noutput o int = p ? 'x' : 'y'", "the output o is string, expected int"),
        ("output o string = empty('x')", "the output o is bool, expected string"),
        ("output o bool = toLower('x')", "the output o is string, expected bool"),
        ("output o object = { a: 1, a: 2 }", "'a' is set twice"),
        ("output o object = { a: 1, 'a': 2 }", "'a' is set twice"),
        ("param p string\nvar v = p = 'x' ? 1 : 2\noutput o int = v", "an assignment inside an expression"),
        ("var a = b\nvar b = a", "a depends on itself"),
        ("resource r 'A/b@1' = {\n name: r.name\n}", "r depends on itself"),
        ("param p string", "p is declared and not used"),
        ("var v = 1", "v is declared and not used"),
        ("resource r 'A/b@1' existing = {\n name: 'x'\n}", "r is declared and not used"),
    ],
)
def test_one_fault_is_named_by_its_kind(source: str, problem: str) -> None:
    assert problem in problems(source)


_CALLED = "@minLength(3)\nparam name string\nparam count int = 1\noutput o string = '${name}${count}'"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("module m 'm.bicep' = {\n name: 7\n params: { name: 'abc' }\n}", "the name of m is not a string"),
        ("var v = ['x']\nmodule m 'm.bicep' = {\n params: { name: v }\n}", "name of m is array, expected string"),
        ("module m 'm.bicep' = {\n params: { name: take(toLower(replace('a', 'a', '')), 24) }\n}", "may have 0"),
        (
            "param p string\nmodule m 'm.bicep' = {\n params: { name: '${p}ab' }\n}",
            "may have 2 characters, and needs 3",
        ),
        (
            "module m 'm.bicep' = {\n params: { name: 'abc' }\n}\noutput o int = m.outputs.o",
            "o is string, expected int",
        ),
        ("module m 'm.bicep' = {\n params: { name: 'abc' }\n}\noutput o string = m.resourceId", "m has no resourceId"),
    ],
)
def test_a_call_of_a_module_has_the_right_kinds(source: str, problem: str) -> None:
    assert problem in problems(source, m=_CALLED)


@pytest.mark.parametrize(
    "source",
    [
        "@allowed(['a', 'b'])\nparam p string = 'a'\noutput o string = p",
        "@allowed(['a'])\nparam q string\n@allowed(['a', 'b'])\nparam p string = q\noutput o string = p",
        "param p string[] = []\noutput o array = [for x in p: '${x}${length(p)}']",
        "param p { *: string } = {}\noutput o object = p",
        "output o string = take('${uniqueString('a')}', 4)",
        "param p string\noutput o bool = p == 'x' || contains(p, 'y')",
        "resource r 'A/b@1' existing = {\n name: 'x'\n}\noutput o string = r.properties.anything[0].more",
    ],
)
def test_what_the_compiler_takes_has_no_problem(source: str) -> None:
    assert problems(source) == ""


def test_lengths_add_up_as_the_compiler_counts() -> None:
    call = "module m 'm.bicep' = {{\n params: {{ name: {} }}\n}}"
    assert problems(call.format("take('${toLower('')}${uniqueString('a')}', 24)"), m=_CALLED) == ""
    assert problems("@minLength(3)\nparam p string\n" + call.format("toLower(p)"), m=_CALLED) == ""
    assert "may have 2" in problems(call.format("take(uniqueString('a'), 2)"), m=_CALLED)


_NAMED = "param name string\nparam id string\nvar full = '${name}-x'\nresource r 'A/b@1' = {\n name: full\n tags: id\n}"
_ROW = "resource r 'A/b@1' existing = {\n name: 'r'\n}\n"
_OUT = "output o string = 'x'"
_OUTER = "param p string\nmodule inner 'named.bicep' = {\n params: { name: p, id: 'x' }\n}"


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        ("module n 'named.bicep' = {\n params: { name: o.outputs.o, id: 'x' }\n}", "name of n"),
        ("var v = o.outputs.o\nmodule n 'named.bicep' = {\n params: { name: '${v}', id: 'x' }\n}", "name of n"),
        ("module n 'outer.bicep' = {\n params: { p: o.outputs.o }\n}", "p of n"),
        (f"{_ROW}module n 'outer.bicep' = {{\n params: {{ p: r.properties.x }}\n}}", "p of n"),
        ("module n 'named.bicep' = {\n params: { name: 'x', id: o.outputs.o }\n}", ""),
        (f"{_ROW}module n 'outer.bicep' = {{\n params: {{ p: r.id }}\n}}", ""),
        ("module n 'cond.bicep' = {\n params: { on: o.outputs.o }\n}", "on of n"),
        ("module n 'loop.bicep' = {\n params: { list: [o.outputs.o] }\n}", "list of n"),
    ],
)
def test_what_only_a_deployment_knows_decides_no_name(call: str, seen: str) -> None:
    found = templates(
        main=f"module o 'out.bicep' = {{}}\n{call}",
        out=_OUT,
        named=_NAMED,
        outer=_OUTER,
        cond="param on string\nresource r 'A/b@1' = if (on == 'x') {\n name: 'r'\n}",
        loop="param list string[]\nresource r 'A/b@1' = [for i in list: {\n name: 'r'\n}]",
    )
    text = "\n".join(foresight_problems(found))
    assert (seen in text and "what-if predicts nothing" in text) if seen else text == ""


def test_the_shipped_templates_have_no_such_fault() -> None:
    found = {path.name: parse(path.name, path.read_bytes()) for path in BICEP.glob("*.bicep")}
    known = catalogue() if "CJI_VECTORS" in os.environ else None
    assert [each for one in found.values() for each in compiler_problems(one, found, known)] == []
    assert list(foresight_problems(found)) == []


@cache
def catalogue() -> Catalogue:
    return Catalogue.load(VECTORS / "azure-types")


@needs_vectors
@pytest.mark.vectors
def test_members_and_versions_follow_the_types() -> None:
    head = "resource k 'Microsoft.KeyVault/vaults@2026-02-01' existing = {\n name: 'k'\n}\n"

    def found(output: str) -> str:
        one = parse("t.bicep", f"{head}output o string = {output}".encode())
        return "\n".join(compiler_problems(one, {}, catalogue()))

    assert found("k.properties.vaultUri") == found("k.id") == found("k.tags.owner") == ""
    assert "k has no idx" in found("k.idx")
    assert "k has no properties.vaultUrl" in found("k.properties.vaultUrl")
    assert "o is bool, expected string" in found("k.properties.enableRbacAuthorization")
    assert "o is bool, expected string" in found("true ? k.id : k.properties.enableRbacAuthorization")
    old = "resource b 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {\n name: 'b'\n}"
    one = parse("t.bicep", old.encode())
    assert "more than a year behind 2024-03-11" in "\n".join(compiler_problems(one, {}, catalogue()))


@needs_vectors
@pytest.mark.vectors
def test_unique_names_and_guids_are_azures_own() -> None:
    calls = json.loads((VECTORS / "bicep" / "functions.json").read_bytes())
    assert len(calls) > 30
    for name in ("uniqueString", "guid"):
        assert [FUNCTIONS[name](*each["arguments"]) for each in calls] == [each[name] for each in calls]


@needs_vectors
@pytest.mark.vectors
def test_the_engine_predicts_the_same_resources() -> None:
    """All of them, and each name that is known before a deployment."""
    base = VECTORS / "bicep" / "base" / "bicep"
    found = {path.name: parse(path.name, path.read_bytes()) for path in base.glob("*.bicep")}
    for example in EXAMPLES[:2]:
        file = f"{Path(example.snapshot).stem}.snapshot.json"
        engine = json.loads((VECTORS / "bicep" / file).read_bytes())["predictedResources"]
        ours = planned(base, found, example)
        assert len(ours) == len(engine)
        wanted = {(each["type"], each["name"]) for each in engine if not each["name"].startswith("[")}
        assert wanted <= {(each.type, each.name) for each in ours}
        assert len(wanted) > len(ours) * 2 // 3


def test_names_are_known_before_a_deployment(capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--subscription", "00000000-0000-0000-0000-000000000000", "--group", "cji")
    assert print_names(["--parameters", str(BICEP / EXAMPLES[0].parameters), *place]) == 0
    shown = capsys.readouterr().out.split()
    assert "cji-at-e7lxc7r5ujx64" in shown
    assert "https://cji-at-e7lxc7r5ujx64.eus2.attest.azure.net" in shown
    assert "https://cji-kv-e7lxc7r5ujx64.vault.azure.net/" in shown
    assert "https://cjie7lxc7r5ujx64.blob.core.windows.net" in shown
    assert print_names(["--parameters", str(BICEP / "regions.json"), *place]) == 1
    with pytest.raises(SystemExit):  # other names than Azure's would follow from it
        print_names(["--parameters", str(BICEP / EXAMPLES[0].parameters), "--subscription", "ID", "--group", "cji"])


def _faults(name: str, sources: Mapping[str, bytes], parsed: dict[str, Template]) -> set[str]:
    """The faults of one changed template and of those that call it, cheapest first."""
    try:
        one = parse(name, sources[name])
    except DeployError as error:
        return set(error.problems)
    all_of = {**parsed, name: one}
    near = [one, *(each for each in all_of.values() if any(call.path == name for call in each.modules))]
    found = {problem for each in one.resources for problem in catalogue().problems(each)}
    for each in near:
        found |= {*wiring_problems(each, all_of), *compiler_problems(each, all_of, catalogue())}
    return found


@needs_vectors
@pytest.mark.vectors
def test_no_error_of_the_compiler_is_overlooked() -> None:
    base = VECTORS / "bicep" / "base" / "bicep"
    sources = {path.name: path.read_bytes() for path in base.glob("*.bicep")}
    # the catalogue has this type in its newest version only
    sources["budget.bicep"] = sources["budget.bicep"].replace(b"2024-08-01", b"2026-06-01")
    parsed = {name: parse(name, source) for name, source in sources.items()}
    before = {name: _faults(name, sources, parsed) for name in sources}
    overlooked: list[tuple[int, str]] = []
    refused: dict[str, int] = dict.fromkeys(("error", "warning"), 0)
    for line in (VECTORS / "bicep" / "mutants.jsonl").read_text().splitlines():
        mutant: dict[str, Any] = json.loads(line)
        if mutant["verdict"] == "clean":
            continue
        file, place = mutant["file"], mutant["line"] - 1
        lines = sources[file].decode().split("\n")
        assert lines[place] == mutant["old"]
        lines[place : place + 1] = [] if mutant["new"] is None else [mutant["new"]]
        changed = {**sources, file: "\n".join(lines).encode()}
        found = _faults(file, changed, parsed) - before[file]
        if not found:
            try:
                for example in EXAMPLES[:2]:
                    planned(base, {**parsed, file: parse(file, changed[file])}, example)
                overlooked.append((mutant["id"], mutant["change"]))
            except DeployError:
                pass
        refused[mutant["verdict"]] += 1
    assert overlooked == []
    assert refused["error"] > 190
    assert refused["warning"] > 60


_LINE = (
    "Error BCP033: Expected a value of type \"'centralus' | 'eastus'\" but the provided value is of type \"string\"."
)


def test_every_line_of_the_compiler_is_a_problem() -> None:
    shown = f"WARNING: a new release is there\n/a/b/main.bicep(25,25) : {_LINE} [https://aka.ms/bicep]\n"
    shown += "/a/fleet.bicep(79,11) : Warning BCP334: The provided value can have a length as small as 0\n"
    assert list(diagnostics(shown)) == [
        f"main.bicep(25,25): {_LINE} [https://aka.ms/bicep]",
        "fleet.bicep(79,11): Warning BCP334: The provided value can have a length as small as 0",
    ]


def test_without_the_compiler_the_check_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (outcome,) = check_with_bicep(BICEP)
    assert outcome.status is Status.NOT_RUN


@pytest.mark.skipif(shutil.which("bicep") is None, reason="no Bicep compiler on this machine")
def test_the_compiler_takes_the_shipped_templates() -> None:
    assert [each.reasons for each in check_with_bicep(BICEP) if each.status is not Status.OK] == []
