"""Files and blobs of a job by reference: whatever is in them, and however they are cut."""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_client.errors import SpecError
from cji_client.job_folder import load_job
from cji_client.spool import Spool
from cji_client.transfer import block_bytes
from tests.support.job_headers import make

MIB = 1 << 20
ABOUT = {"version": 1, "submitter": "spiffe://a", "parts": [], "columns": {}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ABOUT, "x"]), inner, max_size=4),
    max_leaves=8,
)


@given(size=st.integers(1, 1 << 42))
def test_blocks_are_as_small_as_their_number_allows(size: int) -> None:
    """The twin tries one length after the other."""
    length = 4 * MIB
    if -(-size // length) > 50_000:
        length = next(n * MIB for n in range(5, 1 << 20) if -(-size // (n * MIB)) <= 50_000)
    assert block_bytes(size) == length


@settings(max_examples=40)
@given(
    about=st.binary(max_size=60) | JSON.map(msgspec.json.encode), header=st.binary(max_size=40), cut=st.integers(0, 3)
)
def test_a_folder_that_is_no_job_is_refused_as_such(
    about: bytes, header: bytes, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("job")
    for number, (name, data) in enumerate((("job.json", about), ("header.bin", header), ("signature.bin", b"s"))):
        if number != cut:
            (folder / name).write_bytes(data)
    with pytest.raises(SpecError):
        load_job(folder)


def test_a_folder_must_have_the_parts_of_its_header(tmp_path: Path) -> None:
    (tmp_path / "header.bin").write_bytes(make())
    (tmp_path / "signature.bin").write_bytes(b"s")
    part = {"name": "people", "sha256": "0" * 64, "bytes": 1}
    for about in (ABOUT, ABOUT | {"parts": [part]}, ABOUT | {"columns": {"people": ["a"]}}):
        (tmp_path / "job.json").write_bytes(msgspec.json.encode(about))
        with pytest.raises(SpecError, match="other parts"):
            load_job(tmp_path)
    (tmp_path / "job.json").write_bytes(b" " * (MIB + 1))
    with pytest.raises(SpecError, match="too long"):
        load_job(tmp_path)


@given(parts=st.lists(st.lists(st.binary(max_size=50), max_size=4), min_size=1, max_size=8), data=st.data())
def test_a_spool_gives_each_part_back(parts: list[list[bytes]], data: st.DataObject) -> None:
    """Against one buffer for each part; reads interleave."""
    spool, files = Spool(), []
    for pieces in parts:
        files.append(spool.part())
        for piece in pieces:
            files[-1].write(piece)
    whole = [b"".join(pieces) for pieces in parts]
    places = [0] * len(parts)
    for file in files:
        file.seek(0)
    for _ in range(10):
        number, count = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 60))
        expected = whole[number][places[number] : places[number] + count]
        assert files[number].read(count) == expected
        places[number] += len(expected)
    if spool.end > len(whole[0]):
        with pytest.raises(OSError, match="another part"):
            files[0].write(b"late")
    for file in files:
        file.close()
        file.close()


def test_many_parts_take_one_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    spool = Spool()
    files = [spool.part() for _ in range(2000)]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    for file in files:
        file.close()
    assert len(os.listdir("/proc/self/fd")) == before
