"""The contract in its three places: proto, generated code, and the tables of Reasons."""

import importlib.util
import subprocess
import sys
from types import ModuleType

from google.protobuf.descriptor_pb2 import FileDescriptorProto

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


def test_a_changed_field_breaks_the_snapshot() -> None:
    """Sharpness of the compatibility check: a renumbered, a retyped and a removed field are all seen."""
    generate = generator()
    old = generate.contract(generate.SNAPSHOT)
    assert generate.broken(old, old) == []
    for change in ("number", "type", "remove"):
        new = FileDescriptorProto()
        new.CopyFrom(old)
        header = next(m for m in new.message_type if m.name == "JobHeader")
        if change == "number":
            header.field[0].number = 99
        elif change == "type":
            header.field[0].type = header.field[1].type
        else:
            del header.field[0]
        assert len(generate.broken(old, new)) == 1


def test_reasons_are_one_closed_set() -> None:
    in_proto = {value.name for value in worker_pb2.Reason.DESCRIPTOR.values} - {"REASON_UNSPECIFIED"}
    assert in_proto == {reason.value for reason in Reason} == {r.name for r in Reason}
    assert set(REASONS) == set(CODES) == set(Reason)


def test_every_reason_says_what_to_do() -> None:
    assert all(info.remedy.endswith(".") and len(info.remedy) > 20 for info in REASONS.values())
