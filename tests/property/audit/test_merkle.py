"""The Merkle tree against its definition in RFC 9162 §2.1.1, written out slowly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.trail.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    Subtree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    range_proof,
    verify_consistency,
    verify_inclusion,
    verify_range,
)

LEAVES = [leaf_hash(str(i).encode()) for i in range(70)]


def slow_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(slow_root(leaves[:split]), slow_root(leaves[split:]))


def subtrees(leaves: list[bytes]) -> Subtree:
    def subtree(start: int, level: int) -> bytes:
        assert start % (1 << level) == 0
        assert start + (1 << level) <= len(leaves)
        return slow_root(leaves[start : start + (1 << level)])

    return subtree


def test_every_size() -> None:
    tree = Frontier()
    for size, leaf in enumerate([b"", *LEAVES]):
        if size:
            tree.append(leaf)
        assert (tree.size, tree.root()) == (size, slow_root(LEAVES[:size]))
        again = Frontier.decode(tree.encode())
        assert (again.size, again.root()) == (size, tree.root())


def test_every_inclusion() -> None:
    for size in range(1, 34):
        root = slow_root(LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(index, size, subtrees(LEAVES[:size]))
            verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=root)
            for wrong in (index - 1, index + 1):
                with pytest.raises(ProofError):
                    verify_inclusion(LEAVES[index], index=wrong, size=size, proof=proof, root=root)
            with pytest.raises(ProofError):
                verify_inclusion(LEAVES[-1], index=index, size=size, proof=proof, root=root)
            with pytest.raises(ProofError):
                verify_inclusion(LEAVES[index], index=index, size=size, proof=[*proof, root], root=root)
            for i in range(len(proof)):
                short = proof[:i] + proof[i + 1 :]
                with pytest.raises(ProofError):
                    verify_inclusion(LEAVES[index], index=index, size=size, proof=short, root=root)


def test_every_range() -> None:
    for size in range(1, 16):
        tree = subtrees(LEAVES[:size])
        root = slow_root(LEAVES[:size])
        for first in range(size):
            for end in range(first + 1, size + 1):
                proof, part = range_proof(first, end, size, tree), LEAVES[first:end]
                verify_range(part, first=first, end=end, size=size, proof=proof, root=root)
                assert bool(proof) == (end - first < size)
                wrong_lines = (part[:-1], part[1:], [*part, LEAVES[-1]], [*part[:-1], LEAVES[-1]], part[::-1])
                for wrong in wrong_lines:
                    if wrong == part:
                        continue
                    with pytest.raises(ProofError):
                        verify_range(wrong, first=first, end=end, size=size, proof=proof, root=root)
                for damaged in ([*proof, root], *(proof[:i] + proof[i + 1 :] for i in range(len(proof)))):
                    with pytest.raises(ProofError):
                        verify_range(part, first=first, end=end, size=size, proof=damaged, root=root)
                for low, high in ((first + 1, end + 1), (first - 1, end - 1), (end, first), (first, first)):
                    with pytest.raises(ProofError):
                        verify_range(part, first=low, end=high, size=size, proof=proof, root=root)


def test_every_consistency() -> None:
    for size in range(1, 34):
        root = slow_root(LEAVES[:size])
        for earlier in range(1, size + 1):
            before = slow_root(LEAVES[:earlier])
            proof = consistency_proof(earlier, size, subtrees(LEAVES[:size]))
            verify_consistency(earlier=earlier, earlier_root=before, size=size, root=root, proof=proof)
            for damaged in ([*proof, root], [root, *proof], *(proof[:i] + proof[i + 1 :] for i in range(len(proof)))):
                with pytest.raises(ProofError):
                    verify_consistency(earlier=earlier, earlier_root=before, size=size, root=root, proof=damaged)
            with pytest.raises(ProofError):
                verify_consistency(earlier=earlier, earlier_root=LEAVES[-1], size=size, root=root, proof=proof)
            with pytest.raises(ProofError):
                verify_consistency(earlier=earlier, earlier_root=before, size=size, root=LEAVES[-1], proof=proof)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_hash_is_found(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, subtrees(LEAVES[:size]))
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    proof[at] = (int.from_bytes(proof[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    with pytest.raises(ProofError):
        verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=slow_root(LEAVES[:size]))


@given(st.binary(max_size=200))
def test_a_frontier_has_one_form(data: bytes) -> None:
    try:
        tree = Frontier.decode(data)
    except ValueError:
        return
    assert tree.encode() == data
