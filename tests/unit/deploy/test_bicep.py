"""The Bicep reader and the module wiring: each check sees the fault that it is for."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_deploy.check.bicep import MAX_SOURCE_BYTES, Template, parse
from cji_deploy.check.modules import parameter_file_problems, wiring_problems
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.values import Choice, Expression, at
from tests.support.paths import ROOT

BICEP = ROOT / "deploy" / "bicep"
SNIPPETS = [
    b"param a string\n",
    b"var b = [for i in range(0, 3): '${i}']\n",
    b"resource r 'A/b@1' = if (empty(a)) {\n  name: a\n}\n",
    b"module m 'x.bicep' = {\n  name: 'm'\n  params: {}\n}\n",
    b"output o string = r.id\n",
    b"type t = { b: string }\n",
    b"func f(x string) string => '${x}'\n",
    b"{",
    b"}",
    b"'",
    b"\n",
    b"= ",
    b"\xff",
]


def template(source: str, name: str = "t.bicep") -> Template:
    return parse(name, source.encode())


def shipped() -> dict[str, Template]:
    return {path.name: parse(path.name, path.read_bytes()) for path in BICEP.glob("*.bicep")}


def refused(source: str) -> str:
    with pytest.raises(DeployError) as caught:
        template(source)
    return "\n".join(caught.value.problems)


def test_every_shipped_template_parses_and_is_wired_rightly() -> None:
    templates = shipped()
    assert {"main.bicep", "key.bicep", "attestation.bicep", "identity.bicep", "scaleset.bicep"} <= set(templates)
    assert [problem for each in templates.values() for problem in wiring_problems(each, templates)] == []
    assert list(parameter_file_problems(templates["main.bicep"], parameters_file())) == []


def test_parse_error_names_the_line() -> None:
    assert "t.bicep:2: syntax error" in refused("param a string\nresource x = {\n")


def test_undefined_symbol_is_found_in_every_place_of_use() -> None:
    assert "t.bicep:2: undefined symbol 'vmSkuu'" in refused("param vmSku string\nvar x = vmSkuu\n")
    assert "undefined symbol 'nam'" in refused("param name string\nvar x = '${nam}-y'\n")
    assert "undefined symbol 'nam'" in refused("param name string\nvar x = { name: nam }\n")
    assert "undefined symbol 'nam'" in refused("param name string\nvar x = toLower(nam)\n")
    assert "undefined symbol 'nam'" in refused("param name string\noutput x string = nam.id\n")


def test_defined_names_of_every_sort_are_accepted() -> None:
    source = """
param a string = 'x'
var list = [for (n, i) in [a, a]: '${i}-${n}']
var mapped = map(list, item => '${item}-${a}')
func f(x string) string => '${x}-y'
resource r 'A/b@1' = if (empty(a)) {
  name: f(a)
  properties: { first: list[0], more: mapped, 'x-y': sys.concat(a) }
}
output a string = r.id
"""
    assert template(source).outputs == {"a": "string"}


def test_name_declared_twice() -> None:
    assert "'a' is declared twice" in refused("param a string\nvar a = 'x'\n")


def test_existing_and_conditional_resources_are_read() -> None:
    read = template(
        "param on bool\n"
        "resource v 'A/v@1' existing = {\n  name: 'v'\n}\n"
        "resource r 'A/b@1' = if (on) {\n  name: 'r'\n  properties: { q: on ? 1 : 2 }\n}\n"
    )
    assert [(resource.symbol, resource.existing) for resource in read.resources] == [("v", True), ("r", False)]
    assert read.resources[1].body["properties"] == {"q": Choice(branches=(1, 2))}
    assert at(read.resources[1].body, "properties.q") == [1, 2]


def test_absent_property_is_seen_as_absent_in_each_branch() -> None:
    read = template("param on bool\nresource r 'A/b@1' = {\n  name: 'r'\n  p: on ? { q: 1 } : {}\n}\n")
    assert at(read.resources[0].body, "p.q") == [1, None]


def test_kinds_follow_from_declarations() -> None:
    read = template("param n int\nresource r 'A/b@1' = {\n  a: n\n  b: '${n}'\n  c: string(n)\n  d: r.x\n}\n")
    kinds = {key: value.kind for key, value in read.resources[0].body.items() if isinstance(value, Expression)}
    assert kinds == {"a": "int", "b": "string", "c": "string", "d": None}


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("module m 'gone.bicep' = {\n  name: 'm'\n  params: {}\n}\n", "no readable template 'gone.bicep'"),
        ("module m 'leaf.bicep' = {\n  name: 'm'\n  params: {}\n}\n", "missing required parameter 'size'"),
        ("module m 'leaf.bicep' = {\n  name: 'm'\n  params: { size: 1, sise: 2 }\n}\n", "did you mean 'size'?"),
        ("module m 'leaf.bicep' = {\n  name: 'm'\n  params: { size: 'x' }\n}\n", "is string, expected int"),
        (
            "module m 'leaf.bicep' = {\n  name: 'm'\n  params: { size: 1 }\n}\noutput o string = m.outputs.idd\n",
            "no output 'idd'; did you mean 'id'?",
        ),
    ],
)
def test_broken_module_calls(call: str, problem: str) -> None:
    leaf = template("param size int\nparam more string = ''\noutput id string = 'x'\n", "leaf.bicep")
    assert problem in "\n".join(wiring_problems(template(call), {"leaf.bicep": leaf}))


def parameters_file() -> bytes:
    return (BICEP / "main.parameters.example.json").read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"prefix"', b'"prefixx"', "unknown parameter 'prefixx'; did you mean 'prefix'?"),
        (b'"prefix"', b'"prefixx"', "missing required parameter 'prefix'"),
        (b'{ "value": "cji" }', b'{ "value": 3 }', "'prefix' is int, expected string"),
        (b'{ "value": "cji" }', b'{ "Value": "cji" }', "not a deployment parameters file"),
        (b"2019-04-01", b"2015-01-01", "$schema must be"),
    ],
)
def test_broken_parameters_files(old: bytes, new: bytes, problem: str) -> None:
    source = parameters_file().replace(old, new)
    assert source != parameters_file()
    assert problem in "\n".join(parameter_file_problems(shipped()["main.bicep"], source))


def test_overlong_and_undecodable_sources_are_refused() -> None:
    with pytest.raises(DeployError, match="longer than"):
        parse("t", b" " * (MAX_SOURCE_BYTES + 1))
    with pytest.raises(DeployError, match="not UTF-8"):
        parse("t", b"// \xff")


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(SNIPPETS), max_size=12).map(b"".join)))
def test_any_bytes_give_a_template_or_our_error(source: bytes) -> None:
    with contextlib.suppress(DeployError):
        parse("t", source)


@given(st.binary(max_size=300))
def test_any_bytes_as_parameters_file_give_problems(source: bytes) -> None:
    assert list(parameter_file_problems(template("param a string\n"), source))
