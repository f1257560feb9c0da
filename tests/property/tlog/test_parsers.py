"""Any bytes are a value of the format, which encodes back, or our error."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from cji_audit.tlog.store import LogStore
from cji_core.tlog.leaves import LeafError, decode_leaf, encode_leaf
from cji_core.tlog.proofs import LogProof, parse_proof
from cji_core.tlog.requests import AddCheckpoint, parse_body
from cji_core.tlog.slots import identity_of
from cji_core.tlog.tiles import Tile, parse_path, split_bundle
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, NoteSignature, parse_cosigned, parse_signatures
from cji_core.trail.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from cji_core.trail.witnesses.agency_log import first_line
from tests.support.tlog_site import root_of_lines, subtree_of
from tests.unit.tlog.test_formats import BODY, COSIGNED

hashes = st.binary(min_size=32, max_size=32)
names = st.text(alphabet="abcdefé./0", min_size=1, max_size=20)
signatures = st.builds(
    NoteSignature, name=names, key_id=st.binary(min_size=4, max_size=4), signature=st.binary(min_size=1, max_size=90)
)


@st.composite
def notes(draw: st.DrawFn) -> Checkpoint:
    import base64

    origin, size, root = draw(names), draw(st.integers(0, (1 << 63) - 1)), draw(hashes)
    extensions = draw(st.lists(st.text(alphabet="ab é—", min_size=1, max_size=9), max_size=2))
    lines = [origin, str(size), base64.b64encode(root).decode(), *extensions]
    text = "".join(f"{each}\n" for each in lines).encode()
    found = tuple(draw(st.lists(signatures, min_size=1, max_size=4)))
    return Checkpoint(origin=origin, size=size, root=root, text=text, signatures=found)


@given(notes())
def test_a_note_reads_back(note: Checkpoint) -> None:
    assert parse_cosigned(note.encode()) == note


@given(notes(), st.integers(0, (1 << 63) - 1), st.lists(hashes, max_size=63))
def test_bodies_and_proofs_read_back(note: Checkpoint, number: int, proof: list[bytes]) -> None:
    request = AddCheckpoint(old=number, proof=tuple(proof), note=note)
    assert parse_body(request.encode()) == request
    found = LogProof(index=number, hashes=tuple(proof), note=note)
    assert parse_proof(found.encode()) == found


@given(st.sampled_from([BODY, COSIGNED, b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + COSIGNED]), st.data())
def test_any_change_is_refused_or_reads_back(whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.integers(0, 3))
    changed = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + cut :]
    for parse in (parse_body, parse_cosigned, parse_proof):
        try:
            found = parse(changed)
        except CheckpointError:
            continue
        assert found.encode() == changed


@given(st.binary(max_size=200), st.text(max_size=40), st.integers(1, 256))
def test_any_bytes_are_refused_by_name(data: bytes, path: str, width: int) -> None:
    for parse in (parse_body, parse_cosigned, parse_proof, parse_signatures, decode_leaf, identity_of):
        try:
            parse(data)
        except (CheckpointError, LeafError):
            continue
    with contextlib.suppress(CheckpointError):
        assert parse_path(path).path == path
    with contextlib.suppress(CheckpointError):
        split_bundle(data, width=width)
    with contextlib.suppress(LeafError):
        assert encode_leaf(decode_leaf(data)) == data


@given(st.one_of(st.none(), st.integers(0, 7)), st.integers(0, 1 << 40), st.integers(1, 256))
def test_a_tile_has_one_path(level: int | None, index: int, width: int) -> None:
    tile = Tile(level=level, index=index, width=width)
    assert parse_path(tile.path) == tile


@given(st.integers(1, 70))
def test_the_first_line_has_its_proof(size: int) -> None:
    lines = [b'{"seq":%d}\n' % each for each in range(80)]
    found = first_line(lines, size)
    root = root_of_lines(lines[:size])
    proof = [bytes.fromhex(each) for each in found.inclusion]
    assert proof == inclusion_proof(0, size, subtree_of(lines))
    verify_inclusion(leaf_hash(lines[0]), index=0, size=size, proof=proof, root=root)


def test_a_store_proves_as_the_whole_tree_does() -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        store, tree, roots = LogStore(Path(folder) / "log.db", origin="o"), Frontier(), [Frontier().root()]
        for start in range(0, 700, 70):
            with store.writing():
                for number in range(start, start + 70):
                    store.append(b"%d" % number)
                    tree.append(leaf_hash(b"%d" % number))
                    roots.append(tree.root())
        for size in (1, 2, 255, 256, 257, 511, 512, 513, 700):
            assert store.root(size) == roots[size]
            proof = consistency_proof(size, 700, store.subtree)
            verify_consistency(earlier=size, earlier_root=roots[size], size=700, root=roots[700], proof=proof)
            path = inclusion_proof(size - 1, 700, store.subtree)
            leaf = leaf_hash(b"%d" % (size - 1))
            verify_inclusion(leaf, index=size - 1, size=700, proof=path, root=roots[700])
        store.close()
        again = LogStore(Path(folder) / "log.db", origin="o")
        assert (again.size, again.root(700)) == (700, roots[700])
        again.close()
