"""`cji_core.strict` and `documents`: what they refuse, use by threads, and that nothing else reads for strangers."""

import ast
import base64
import json
import subprocess
import sys

import msgspec
import pytest

from cji_core.documents import OneForm, decode
from cji_core.strict import (
    MAX_DEPTH,
    RepeatedMember,
    StrictError,
    b64_decode,
    b64url_decode,
    hex_decode,
    parse,
    parse_object,
)
from tests.support.parsing import parsed
from tests.support.paths import PACKAGES, ROOT


class Two(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    a: int
    b: dict[str, float] = msgspec.field(default_factory=dict)


BAD = {
    "a member twice": b'{"a":1,"a":1}',
    "a member twice below": b'{"a":1,"b":{"x":1,"x":2}}',
    "a member twice, once escaped": b'{"a":1,"\\u0061":1}',
    "NaN": b'{"a":1,"b":{"x":NaN}}',
    "Infinity": b'{"a":1,"b":{"x":-Infinity}}',
    "a fraction that is infinite": b'{"a":1,"b":{"x":1e999}}',
    "a long integer": b'{"a":' + b"1" * 21 + b"}",
    "not UTF-8": b'{"a":1,"b":{"\xff":1}}',
    "half of a pair": b'{"a":1,"b":{"\\ud800":1}}',
    "too deep": b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    "bytes behind": b'{"a":1}{}',
    "nothing": b"",
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "too long": b'{"a":1' + b" " * 1000 + b"}",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_refused_is_refused_by_every_reader(data: bytes) -> None:
    form = OneForm(Two, limit=500)
    for read in (
        lambda: parse_object(data, limit=500),
        lambda: decode(data, Two, limit=500),
        lambda: form.decode(data),
    ):
        with pytest.raises(StrictError):
            read()


def test_repeated_members_have_an_error_of_their_own() -> None:
    with pytest.raises(RepeatedMember):
        decode(BAD["a member twice"], Two, limit=100)
    assert msgspec.json.decode(BAD["a member twice"], type=Two) == Two(a=1), "its reader alone keeps the last one"


def test_a_value_that_does_not_fit_names_its_member() -> None:
    with pytest.raises(StrictError, match=r"\$\.a"):
        decode(b'{"a":"1"}', Two, limit=100)
    assert decode(b' {"a": 1}', Two, limit=100) == Two(a=1)


def test_brackets_inside_strings_are_not_depth() -> None:
    text = "[{" * 40 + '"' + "\\"
    assert parse(json.dumps([text] * 3).encode(), limit=10_000) == [text] * 3
    assert parse(b"[" * 20 + b"]" * 20, limit=100, depth=20)
    with pytest.raises(StrictError, match="deep"):
        parse(b"[" * 21 + b"]" * 21, limit=100, depth=20)


@pytest.mark.parametrize("data", [b'{"b":{},"a":1}', b'{"a":1, "b":{}}', b'{"a":1}', b'{"a":1,"b":{}}\n'])
def test_one_form_takes_no_other_encoding(data: bytes) -> None:
    form = OneForm(Two, limit=500)
    assert form.decode(form.encode(Two(a=1))) == Two(a=1)
    with pytest.raises(StrictError, match="one form"):
        form.decode(data)


def test_one_form_writes_nothing_that_it_refuses() -> None:
    with pytest.raises(StrictError):
        OneForm(Two, limit=500).encode(Two(a="1"))  # type: ignore[arg-type]
    with pytest.raises(StrictError, match="too long"):
        OneForm(Two, limit=5).encode(Two(a=1))


@pytest.mark.parametrize("text", ["0A", "0", "0a ", "0a 0b", "0x0a", "g0", "\u0660\u0660", "0a0b\n"])
def test_hexadecimal_has_one_form(text: str) -> None:
    with pytest.raises(StrictError):
        hex_decode(text)


def test_hexadecimal_of_another_length() -> None:
    assert hex_decode("0a" * 32, size=32) == b"\n" * 32
    assert hex_decode("") == b""
    for size in (0, 31, 33):
        with pytest.raises(StrictError, match=f"64 hexadecimal digits, not {2 * size}"):
            hex_decode("0a" * 32, size=size)


@pytest.mark.parametrize("text", ["aGl=", "aGk", "aGk==", "aG k=", "aGk=\n", "-_8="])
def test_base64_has_one_form(text: str) -> None:
    assert b64_decode(base64.b64encode(b"hi").decode()) == b"hi"
    with pytest.raises(StrictError):
        b64_decode(text)


@pytest.mark.parametrize("text", ["aGl", "aGk=", "aG k", "aGk\n", "+/8"])
def test_base64url_has_one_form(text: str) -> None:
    with pytest.raises(StrictError):
        b64url_decode(text)


LENIENT = {"decode", "loads", "load", "Decoder", "JSONDecoder", "raw_decode"}
BASE64 = {"b64decode", "standard_b64decode", "urlsafe_b64decode", "a2b_base64", "b32decode", "decodebytes"}
HEXADECIMAL = {"fromhex", "unhexlify", "a2b_hex"}
EXCEPTIONS = {
    "core/cji_core/strict.py": "the readers themselves",
    "core/cji_core/documents.py": "the readers themselves, typed",
    "core/cji_core/command/json_output.py": "compares what this process is about to print with its declaration",
    "attestation/cji_attestation/evidence/pcs.py": "finds where a value ends in text that `parse_object` took before",
    "attestation/cji_attestation/evidence/foreign.py": "names what was refused, in any base64 and cut anywhere",
    "attestation/cji_attestation/bundle/private_keys.py": "looks for leaked keys in any form: it must be lenient",
    "engine/cji_engine/messages.py": "imports nothing of ours; compares with the one encoding itself",
}
PLAYED = ("simulator/", "deploy/cji_deploy/check/")
"""The simulator plays the services of others; `check` reads files of this repository alone."""


def _lenient(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, of = node.func.attr, ast.unparse(node.func.value)
        lenient = name in LENIENT and of in {"json", "msgspec.json", "json.JSONDecoder()"}
        constant = bool(node.args) and isinstance(node.args[0], ast.Constant)
        if lenient or name in BASE64 or (name in HEXADECIMAL and not constant):
            found.append(f"line {node.lineno}: {of}.{name}")
    return found


def test_only_the_strict_readers_decode_text() -> None:
    files = [path for folder in PACKAGES.values() for path in sorted(folder.rglob("*.py"))]
    found: dict[str, list[str]] = {}
    for path in files:
        name = str(path.relative_to(ROOT))
        if not name.startswith(PLAYED) and (lines := _lenient(path.read_text())):
            found[name] = lines
    assert found.keys() - EXCEPTIONS.keys() == set(), found
    assert EXCEPTIONS.keys() - found.keys() == set(), "an exception that nothing needs"


@pytest.mark.parametrize(
    "line",
    [
        "msgspec.json.decode(x, type=T)",
        "msgspec.json.Decoder(T)",
        "json.loads(x)",
        "base64.b64decode(x, validate=True)",
        "bytes.fromhex(x)",
    ],
)
def test_the_walk_sees_lenient_readers(line: str) -> None:
    assert len(_lenient(f"def f():\n    return {line}\n")) == 1
    assert not _lenient("documents.decode(x, T, limit=1), bytes.fromhex('00'), msgspec.toml.decode(x)")


def _first_uses(source: str) -> list[str]:
    """Calls that may be the first use of a type of msgspec, outside of the lines that run at import."""
    found = []
    for function in ast.walk(parsed(source, ["msgspec."])):
        for node in ast.walk(function) if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) else ():
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)).startswith("msgspec."):
                typed = any(each.arg == "type" for each in node.keywords)
                if name == "msgspec.convert" or name.endswith("Decoder") or (name.endswith(".decode") and typed):
                    found.append(f"line {node.lineno}: {name}")
    return found


def test_types_are_first_used_by_one_thread_at_a_time() -> None:
    files = [path for folder in PACKAGES.values() for path in sorted(folder.rglob("*.py"))]
    found = {str(path.relative_to(ROOT)): lines for path in files if (lines := _first_uses(path.read_text()))}
    assert found.keys() == {"core/cji_core/documents.py", "engine/cji_engine/cli.py"}, (
        found
    )  # the engine has one thread
    assert (
        len(_first_uses("def f():\n    msgspec.convert(x, T), msgspec.toml.decode(x, type=T), msgspec.json.Decoder(T)"))
        == 3
    )


_THREADS = """
import sys, threading
sys.setswitchinterval(1e-6)
from typing import Annotated
import msgspec
from cji_core.documents import convert, decode, msgpack, toml
def read(value, kind):
    if READER == "convert":
        return convert(value, kind)
    if READER == "toml":
        return toml("\\n".join(f"g{i}.f{j} = 'x'" for i in range(30) for j in range(30)), kind)
    if READER == "msgpack":
        return msgpack(msgspec.msgpack.encode(value), kind)
    return decode(msgspec.json.encode(value), kind, limit=1 << 20)
member = Annotated[str, msgspec.Meta(max_length=9)] | None
for _ in range(10):
    inner = msgspec.defstruct("inner", [(f"f{i}", member, None) for i in range(30)])
    outer = msgspec.defstruct("outer", [(f"g{i}", inner | None, None) for i in range(30)])
    value = {f"g{i}": {f"f{i}": "x" for i in range(30)} for i in range(30)}
    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=lambda: (barrier.wait(), read(value, outer))) for _ in range(8)]
    for each in threads: each.start()
    for each in threads: each.join()
"""


@pytest.mark.parametrize("reader", ["convert", "toml", "msgpack", "decode"])
def test_threads_may_use_a_type_for_the_first_time(reader: str) -> None:
    program = f"READER = {reader!r}\n{_THREADS}"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
