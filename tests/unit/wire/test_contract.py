"""The contract in its three places: proto, generated code, and the tables of Reasons."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from cji_core.errors import REASONS, Reason
from cji_core.wire.v1 import worker_pb2
from cji_worker.front.status import CODES
from tests.support.paths import ROOT


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_stubs_are_what_the_contract_generates() -> None:
    done = subprocess.run(
        [sys.executable, "protos/generate.py", "--check"], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def _header(contract: FileDescriptorProto) -> DescriptorProto:
    return next(m for m in contract.message_type if m.name == "JobHeader")


def _renumber(new: FileDescriptorProto) -> None:
    _header(new).field[0].number = 99


def _retype(new: FileDescriptorProto) -> None:
    _header(new).field[0].type = _header(new).field[1].type


def _rename(new: FileDescriptorProto) -> None:
    _header(new).field[0].name = "form"


def _remove(new: FileDescriptorProto) -> None:
    del _header(new).field[0]


def _leave_oneof(new: FileDescriptorProto) -> None:
    next(m for m in new.message_type if m.name == "Operation").field[0].ClearField("oneof_index")


def _use_reserved(new: FileDescriptorProto) -> None:
    del _header(new).reserved_range[:]


def _rename_value(new: FileDescriptorProto) -> None:
    next(e for e in new.enum_type if e.name == "Reason").value[1].name = "BAD_HEADER"


def _unary(new: FileDescriptorProto) -> None:
    next(m for m in new.service[0].method if m.name == "Run").client_streaming = False


def _other_package(new: FileDescriptorProto) -> None:
    new.options.csharp_namespace = "Cji"


BREAKS = (
    _renumber,
    _retype,
    _rename,
    _remove,
    _leave_oneof,
    _use_reserved,
    _rename_value,
    _unary,
    _other_package,
)


@pytest.mark.parametrize("change", BREAKS, ids=lambda change: change.__name__.lstrip("_"))
def test_what_breaks_older_programs_is_seen(change: Callable[[FileDescriptorProto], None]) -> None:
    generate = generator()
    old = generate.contract(generate.SNAPSHOT)
    new = FileDescriptorProto()
    new.CopyFrom(old)
    assert generate.broken(old, new) == []
    change(new)
    assert len(generate.broken(old, new)) == 1


def test_a_break_is_not_written(tmp_path: Path) -> None:
    """Without `--break`, stubs and snapshot stay as they are."""
    for folder in ("protos", "core/cji_core/wire"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    source = tmp_path / "protos/cji/worker/v1/worker.proto"
    source.write_text(source.read_text().replace("string audience = 3;", "string audience = 99;", 1))
    snapshot = (tmp_path / "protos/worker.binpb").read_bytes()

    def run(*flags: str) -> int:
        return subprocess.run(
            [sys.executable, "protos/generate.py", *flags], check=False, cwd=tmp_path, capture_output=True
        ).returncode

    assert (run(), (tmp_path / "protos/worker.binpb").read_bytes()) == (1, snapshot)
    assert run("--check") == 1
    assert (run("--break"), run("--check")) == (0, 0)
    assert (tmp_path / "protos/worker.binpb").read_bytes() != snapshot


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def test_generated_names_are_distinct_in_every_language() -> None:
    """As C# and Java write them: members of a message, values of an enum, and types of the package in any case."""
    contract = generator().contract(generator().SNAPSHOT)
    types = [each.name for each in (*contract.message_type, *contract.enum_type, *contract.service)]
    types.append(contract.options.java_outer_classname)
    assert len({name.lower() for name in types}) == len(types)
    for message in contract.message_type:
        members = [_pascal(each.name) for each in (*message.field, *message.oneof_decl) if each.name[0] != "_"]
        assert len(set(members)) == len(members), message.name
    for enum in contract.enum_type:
        assert len({_pascal(value.name) for value in enum.value}) == len(enum.value), enum.name


def test_reasons_are_one_closed_set() -> None:
    in_proto = {value.name for value in worker_pb2.Reason.DESCRIPTOR.values} - {"REASON_UNSPECIFIED"}
    assert in_proto == {reason.value for reason in Reason} == {r.name for r in Reason}
    assert set(REASONS) == set(CODES) == set(Reason)


def test_every_reason_says_what_to_do() -> None:
    assert all(info.remedy.endswith(".") and len(info.remedy) > 20 for info in REASONS.values())
