"""Known answers of three other FLOE implementations (folder `floe` of the vectors)."""

from pathlib import Path

import pytest

from cji_core.format.envelope import FLOE_HEADER_BYTES, OVERHEAD_BYTES, Unsealer

pytestmark = pytest.mark.vectors

SEGMENT = {"64": 64, "4K": 4096, "rotation": 40, "lastSegAligned": 40, "lastSegEmpty": 40}
NAMES = [
    *(
        f"{lang}_{kind}"
        for lang in ("cpp", "go", "java")
        for kind in ("GCM256_IV256_64", "GCM256_IV256_4K", "rotation")
    ),
    "java_lastSegAligned",
    "java_lastSegEmpty",
]


@pytest.mark.parametrize("name", NAMES)
def test_known_answer(vectors: Path, name: str) -> None:
    sealed = bytes.fromhex((vectors / f"floe/{name}_ct.txt").read_text())
    expected = bytes.fromhex((vectors / f"floe/{name}_pt.txt").read_text())
    segment = SEGMENT[name.rsplit("_", 1)[1]]
    stream = Unsealer(
        bytes(32),
        b"This is AAD",
        sealed[:FLOE_HEADER_BYTES],
        segment=segment,
        rotation_bits=2 if name.endswith("rotation") else 20,
    )
    plain, out = b"", memoryview(bytearray(segment))
    for at in range(FLOE_HEADER_BYTES, len(sealed), segment):
        piece = memoryview(sealed)[at : at + segment]
        n = stream.unseal_into(out[: len(piece) - OVERHEAD_BYTES], piece)
        plain += bytes(out[:n])
    assert stream.complete
    assert plain == expected
