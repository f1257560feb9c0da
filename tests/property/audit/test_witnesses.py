"""What delivery to the log builds on: proofs of a follower, files that are written once."""

import contextlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.trail.merkle import leaf_hash, verify_consistency
from cji_core.trail.witnesses.follower import Follower
from cji_core.trail.witnesses.keys import ReceiptKeys
from cji_core.trail.witnesses.records import (
    LogReceipt,
    Offer,
    Position,
    RecordError,
    Witnessed,
    decode_witnessed,
    write_once,
)
from tests.property.audit.test_merkle import slow_root
from tests.support.witness_trails import Trail

KEY = ec.generate_private_key(ec.SECP384R1())


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=9))
def test_the_proofs_of_a_follower(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, bool]]
) -> None:
    """Whenever it reads, restarts or rebases: each proof leads from the last rebase to the newest checkpoint."""
    trail = Trail(path=tmp_path_factory.mktemp("trail") / "audit.log", key=KEY)
    trail.path.touch()
    keys = ReceiptKeys([KEY.public_key()])
    follower, base = Follower(trail.path, keys=lambda: keys), 0
    for count, read, restart in steps:
        trail.write(count).checkpoint()
        if not read:
            continue
        follower.read()
        found = follower.newest
        assert follower.root() == slow_root([leaf_hash(line) for line in trail.lines])
        if found is None:
            assert len(trail.lines) - 1 <= base
            continue
        size, leaves = found.checkpoint.size, [leaf_hash(line) for line in trail.lines]
        assert found.checkpoint.root == slow_root(leaves[:size])
        if base:
            verify_consistency(
                earlier=base,
                earlier_root=slow_root(leaves[:base]),
                size=size,
                root=slow_root(leaves[:size]),
                proof=follower.proof(size),
            )
        follower.rebase(found.position)
        base = size
        if restart:
            follower = Follower(trail.path, keys=lambda: keys, at=found.position)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), there=st.binary(max_size=200) | st.none(), prefix=st.integers(0, 200))
def test_a_file_is_written_once(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, there: bytes | None, prefix: int
) -> None:
    """What a crash left of it is completed; anything else is left as it is."""
    path = tmp_path_factory.mktemp("once") / "file"
    for content in (there, data[:prefix]):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        begun = content is None or data.startswith(content)
        with contextlib.nullcontext() if begun else pytest.raises(FileExistsError):
            write_once(path, data)
        assert path.read_bytes() == (data if begun else content)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"")
    os.symlink("target", tmp_path / "link")
    with pytest.raises(OSError, match=r"."):
        write_once(tmp_path / "link", b"data")
    assert (tmp_path / "target").read_bytes() == b""


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), at=st.integers(0, 400), cut=st.integers(0, 8))
def test_no_bytes_but_canonical_ones_are_a_record(data: bytes, at: int, cut: int) -> None:
    good = Witnessed(
        offer=Offer(previous=0, consistency=("00" * 32,), note="a note"),
        receipt=LogReceipt(trail="00" * 48, entry="an entry", proof="a proof"),
        position=Position(seq=1, hash="00" * 48, start=0, peaks=("00" * 32,)),
    ).encode()
    for changed in (data, good[:at] + data[:4] + good[at + cut :]):
        with contextlib.suppress(RecordError):
            assert decode_witnessed(changed).encode() == changed
