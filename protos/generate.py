"""Generate `core/cji_core/wire/v1` from the contract, or check that the committed files are up to date.

python protos/generate.py            write stubs and the descriptor snapshot
python protos/generate.py --check    exit 1 when they differ, or when the contract broke compatibility
"""

import argparse
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
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
    """Every message field, enum value and method of a contract, with what a peer depends on."""
    facts: dict[str, str] = {}

    def message(prefix: str, messages: object) -> None:
        for m in messages:  # type: ignore[attr-defined]
            name = f"{prefix}.{m.name}"
            for f in m.field:
                facts[f"{name} field {f.number}"] = f"{f.name} type {f.type} {f.type_name} label {f.label}"
            for e in m.enum_type:
                enum(name, e)
            message(name, m.nested_type)

    def enum(prefix: str, e: object) -> None:
        for v in e.value:  # type: ignore[attr-defined]
            facts[f"{prefix}.{e.name} value {v.number}"] = v.name  # type: ignore[attr-defined]

    message(file.package, file.message_type)
    for e in file.enum_type:
        enum(file.package, e)
    for s in file.service:
        for m in s.method:
            facts[f"{s.name}.{m.name}"] = f"{m.input_type} {m.client_streaming} -> {m.output_type} {m.server_streaming}"
    return facts


def broken(old: FileDescriptorProto, new: FileDescriptorProto) -> list[str]:
    """The parts of `old` that peers rely on and that `new` no longer offers unchanged."""
    after = _numbers(new)
    before = _numbers(old)
    return [f"{what}: {was!r} became {after.get(what)!r}" for what, was in before.items() if after.get(what) != was]


def main() -> int:
    """Command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp)
        generate(out)
        if check:
            drift = [
                n for n in GENERATED if (STUBS / n).read_bytes() != (out / "core/cji_core/wire/v1" / n).read_bytes()
            ]
            breaks = broken(contract(SNAPSHOT), contract(out / "worker.binpb"))
            for line in [*(f"{n} is not what the contract generates" for n in drift), *breaks]:
                print(line, file=sys.stderr)
            return 1 if drift or breaks else 0
        STUBS.mkdir(parents=True, exist_ok=True)
        for name in GENERATED:
            (STUBS / name).write_bytes((out / "core/cji_core/wire/v1" / name).read_bytes())
        SNAPSHOT.write_bytes((out / "worker.binpb").read_bytes())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
