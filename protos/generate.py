"""Generate `core/cji_core/wire/v1` from the contract, or check that the committed files are up to date.

python protos/generate.py            write stubs and the descriptor snapshot
python protos/generate.py --check    exit 1 when they differ, or when the contract broke compatibility
python protos/generate.py --break    write them although it did

Compatibility is that of programs generated from an older contract, in any language: numbers, names, types and the oneof
of each field, names and numbers of enum values, methods, the packages pinned for languages, and reserved numbers.
"""

import argparse
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "protos/cji/worker/v1"
STUBS = ROOT / "core/cji_core/wire/v1"
SNAPSHOT = ROOT / "protos/worker.binpb"
GENERATED = ("worker_pb2.py", "worker_pb2.pyi", "worker_pb2_grpc.py")


def generate(out: Path) -> None:
    """Write the three stubs and `worker.binpb` below `out`."""
    stubs = out / "core/cji_core/wire/v1"
    stubs.mkdir(parents=True, exist_ok=True)
    well_known = files("grpc_tools") / "_proto"
    code = protoc.main(
        [
            "protoc",
            f"-Icji_core/wire/v1={SOURCE}",
            f"-I{well_known}",
            f"--python_out={out / 'core'}",
            f"--pyi_out={out / 'core'}",
            f"--grpc_python_out={out / 'core'}",
            f"--descriptor_set_out={out / 'worker.binpb'}",
            "cji_core/wire/v1/worker.proto",
        ]
    )
    if code:
        raise SystemExit(f"protoc failed with {code}")


def contract(path: Path) -> FileDescriptorProto:
    """The one file descriptor in a snapshot."""
    return FileDescriptorSet.FromString(path.read_bytes()).file[0]


def _numbers(file: FileDescriptorProto) -> dict[str, str]:
    """Every message field, enum value, method and pinned package of a contract, with what a peer depends on."""
    facts: dict[str, str] = {f"option {name.name}": str(value) for name, value in file.options.ListFields()}
    for m in file.message_type:
        facts |= _message(f"{file.package}.{m.name}", m)
    for e in file.enum_type:
        facts |= _enum(f"{file.package}.{e.name}", e)
    for service in file.service:
        for call in service.method:
            types = f"{call.input_type} {call.client_streaming} -> {call.output_type} {call.server_streaming}"
            facts[f"{service.name}.{call.name}"] = types
    return facts


def _message(name: str, message: DescriptorProto) -> dict[str, str]:
    facts = _reserved(name, message)
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "none"
        facts[f"{name} field {field.number}"] = (
            f"{field.name} type {field.type} {field.type_name} label {field.label} oneof {oneof}"
        )
    for enum in message.enum_type:
        facts |= _enum(f"{name}.{enum.name}", enum)
    for nested in message.nested_type:
        facts |= _message(f"{name}.{nested.name}", nested)
    return facts


def _enum(name: str, enum: EnumDescriptorProto) -> dict[str, str]:
    return _reserved(name, enum) | {f"{name} value {value.number}": value.name for value in enum.value}


def _reserved(name: str, kind: DescriptorProto | EnumDescriptorProto) -> dict[str, str]:
    return {f"{name} reserved {span.start}": str(span.end) for span in kind.reserved_range}


def broken(old: FileDescriptorProto, new: FileDescriptorProto) -> list[str]:
    """The parts of `old` that peers rely on and that `new` no longer offers unchanged."""
    after = _numbers(new)
    before = _numbers(old)
    return [f"{what}: {was!r} became {after.get(what)!r}" for what, was in before.items() if after.get(what) != was]


def main() -> int:
    """Command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--break", action="store_true", help="write a contract that older programs cannot speak")
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp)
        generate(out)
        drift = [n for n in GENERATED if (STUBS / n).read_bytes() != (out / "core/cji_core/wire/v1" / n).read_bytes()]
        breaks = [] if given["break"] else broken(contract(SNAPSHOT), contract(out / "worker.binpb"))
        for line in [*(f"{n} is not what the contract generates" for n in drift if given["check"]), *breaks]:
            print(line, file=sys.stderr)
        if given["check"] or breaks:
            return 1 if drift or breaks else 0
        for name in GENERATED:
            (STUBS / name).write_bytes((out / "core/cji_core/wire/v1" / name).read_bytes())
        SNAPSHOT.write_bytes((out / "worker.binpb").read_bytes())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
