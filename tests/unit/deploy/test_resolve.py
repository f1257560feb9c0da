"""Bicep resolved without Azure: values as the language has them, refusals with file and line, nothing guessed."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_deploy.check.bicep import parse
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.resolve import Surroundings, module_outputs, resolve
from tests.unit.deploy.test_bicep import SNIPPETS

FILES = {"a.json": b'{"x": [{"n": 1}], "y": "z"}', "a.txt": b"text __X__"}
AROUND = Surroundings(read=lambda path: FILES[path])
GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cji"


def value(expression: str, before: str = "", **given: Any) -> Any:
    template = parse("t.bicep", f"{before}\noutput o object = {expression}\n".encode())
    return module_outputs("t.bicep", {"t.bicep": template}, given, AROUND)["o"]


def refused(source: str, **given: Any) -> str:
    with pytest.raises(DeployError) as caught:
        resolve("t.bicep", {"t.bicep": parse("t.bicep", source.encode())}, given, AROUND)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("'a${1}${'b'}'", "a1b"),
        (r"'it\'s \${x}'", "it's ${x}"),
        (r"'\'${1}\$${2}\u{41}\\'", "'1$2A\\"),
        ("true ? 1 : 2", 1),
        ("false ? 1 : true ? 2 : 3", 2),
        ("!false && (1 < 2 || empty('x'))", True),
        ("null ?? 'x'", "x"),
        ("1 + 2 * 3 - 7 / 2 - 5 % 3", 2),
        ("-(2)", -2),
        ("[1, 2][1]", 2),
        ("{ a: { b: 'c' } }.a.b", "c"),
        ("{ a: 1 }.?b", None),
        # an access belongs to the last operand, whatever the grammar says
        ("true ? 'x' : { b: 'c' }.b", "x"),
        ("false ? 'x' : { b: 'c' }.b", "c"),
        ("'y' == { b: 'y' }.b", True),
        ("!{ b: false }.b", True),
        ("null ?? { b: [7] }.b[0]", 7),
        ("(true ? { b: 1 } : { b: 2 }).b", 1),
        ("[for x in [1, 2]: x + 1]", [2, 3]),
        ("[for (x, i) in ['a', 'b']: '${x}${i}']", ["a0", "b1"]),
        ("map([1, 2], x => x * 2)", [2, 4]),
        ("filter([1, 2, 3], x => x > 1)", [2, 3]),
        ("union({ a: { b: 1 } }, { a: { c: 2 } })", {"a": {"b": 1, "c": 2}}),
        ("union([1, 2], [2, 3])", [1, 2, 3]),
        ("concat('a', 'b')", "ab"),
        ("take('abc', 2)", "ab"),
        ("replace('a-b', '-', '')", "ab"),
        ("base64('f')", "Zg=="),
        ("objectKeys({ b: 1, a: 2 })", ["a", "b"]),
        ("loadJsonContent('a.json').x[0].n", 1),
        ("replace(loadTextContent('a.txt'), '__X__', '1')", "text 1"),
        ("environment().suffixes.storage", "core.windows.net"),
        ("subscriptionResourceId('A/b', 'c')", "/subscriptions/00000000-0000-0000-0000-000000000000/providers/A/b/c"),
        ("resourceId('A/b/c', 'd', 'e')", f"{GROUP}/providers/A/b/d/c/e"),
        ("tenant().tenantId", "<tenant>"),
        ("length(uniqueString('a'))", 13),
        ("uniqueString('a') == uniqueString('b')", False),
    ],
)
def test_values(expression: str, wanted: Any) -> None:
    assert value(expression) == wanted


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("param a string\n", "t.bicep:1: parameter 'a' has no value"),
        ("var a = b\nvar b = a\noutput o string = a\n", "depends on itself"),
        ("output o string = concat(1, [2])\n", "t.bicep:1: 'concat(1, [2])' cannot be computed"),
        ("output o string = dateTimeAdd('x', 'y')\n", "the function dateTimeAdd is not supported here"),
        ("output o string = loadTextContent('gone.txt')\n", "cannot be computed"),
        ("output o string = 'a${true}'\n", "bool in a string"),
        ("output o string = tenant().tenantId == 'x' ? 'a' : 'b'\n", "compares what only the deployment knows"),
        (
            "resource r 'A/b@1' = if (tenant().tenantId) {\n  name: 'n'\n}\n",
            "is not known to be true or false before deployment",
        ),
        ("module m 'gone.bicep' = {\n  name: 'm'\n}\n", "no readable template"),
        ("module m 'x.bicep' = {\n  name: 'm'\n  scope: subscription()\n}\n", "a scope of its own"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_its_place(source: str, problem: str) -> None:
    assert problem in refused(source)


@pytest.mark.parametrize(
    ("declared", "given", "problem"),
    [
        ("@allowed(['a'])\nparam p string", "b", "@allowed at t.bicep:2"),
        ("@minLength(2)\nparam p array", [1], "@minLength at t.bicep:2"),
        ("@maxLength(2)\nparam p string", "abc", "@maxLength at t.bicep:2"),
        ("@minValue(365)\nparam p int", 30, "@minValue at t.bicep:2"),
        ("@description('x')\n@maxValue(3)\nparam p int", 4, "@maxValue at t.bicep:3"),
        ("param p int", "4", "must be int (t.bicep:1)"),
        ("param p int", True, "must be int (t.bicep:1)"),
        ("param p string = 'x'", 1, "must be string (t.bicep:1)"),
    ],
)
def test_a_parameter_keeps_its_limits(declared: str, given: Any, problem: str) -> None:
    assert problem in refused(f"{declared}\n", p=given)


def test_unknown_parameters_are_refused() -> None:
    assert "unknown parameter 'q'" in refused("param p string = 'x'\n", q="y")


SOURCE = """
param on bool
resource v 'A/vaults@1' existing = {
  name: 'v'
}
resource k 'A/vaults/keys@2' = {
  parent: v
  name: 'k'
  properties: { gone: null, uri: v.properties.uri }
}
resource d 'B/settings@1' = {
  scope: k
  name: 'd'
}
resource l 'A/list@1' = [for (n, i) in ['x', 'y']: if (on) {
  name: '${n}${i}'
}]
output key string = k.properties.uri.of.it
output second string = l[1].id
"""


def test_resources_have_their_ids_names_and_places() -> None:
    template = {"t.bicep": parse("t.bicep", SOURCE.encode())}
    key, setting, *rest = resolve("t.bicep", template, {"on": True}, AROUND)
    assert (key.type, key.api, key.name, key.line) == ("A/vaults/keys", "2", "v/k", 6)
    assert key.id == f"{GROUP}/providers/A/vaults/v/keys/k"
    assert key.body == {"properties": {"uri": "<v.properties.uri>"}}
    assert setting.id == f"{key.id}/providers/B/settings/d"
    assert setting.body == {"scope": key.id}
    assert [each.name for each in rest] == ["x0", "y1"]
    outputs = module_outputs("t.bicep", template, {"on": False}, AROUND)
    assert outputs == {"key": "<v/k.properties.uri.of.it>", "second": f"{GROUP}/providers/A/list/y1"}
    assert len(resolve("t.bicep", template, {"on": False}, AROUND)) == 2


def test_modules_have_outputs_also_when_not_deployed() -> None:
    inner = parse("i.bicep", b"param n string = 'd'\nresource r 'A/b@1' = {\n  name: n\n}\noutput o string = r.name\n")
    outer = parse(
        "t.bicep",
        b"param on bool\nmodule m 'i.bicep' = {\n  name: 'm'\n  params: { n: 'x' }\n}\n"
        b"module c 'i.bicep' = if (on) {\n  name: 'c'\n  params: { n: null }\n}\n"
        b"output m string = m.outputs.o\noutput c string = on ? c!.outputs.o : c.outputs.o\n",
    )
    templates = {"t.bicep": outer, "i.bicep": inner}
    assert module_outputs("t.bicep", templates, {"on": True}, AROUND) == {"m": "x", "c": "d"}
    assert module_outputs("t.bicep", templates, {"on": False}, AROUND) == {"m": "x", "c": "<c.o>"}


def test_a_module_that_calls_itself_is_refused() -> None:
    again = parse("t.bicep", b"module m 't.bicep' = {\n  name: 'm'\n}\n")
    with pytest.raises(DeployError, match="nested more than"):
        resolve("t.bicep", {"t.bicep": again}, {}, AROUND)


@given(st.lists(st.sampled_from(SNIPPETS), max_size=10).map(b"".join))
def test_any_template_is_resolved_or_refused(source: bytes) -> None:
    with contextlib.suppress(DeployError):
        template = parse("t.bicep", source)
        resolve("t.bicep", {"t.bicep": template}, {}, AROUND)
