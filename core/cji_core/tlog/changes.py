"""A change of a log's policy, as its readers keep it: an operator's statement, proven under the policy before it.

The file is what `cji log change-policy` writes: the entry of the log, and its proof under a checkpoint that a quorum of
the old witnesses cosigned. Nothing in it counts before `verify`.
"""

from dataclasses import dataclass

from cji_core.tlog.leaves import LeafError, PolicyDecision, StatementLeaf, decode_leaf, verify_decision
from cji_core.tlog.policy import Policy
from cji_core.tlog.proofs import parse_proof
from cji_core.tlog.submissions import Added, read_message
from cji_core.trail.merkle import leaf_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedChange:
    """A change as read."""

    decision: PolicyDecision
    leaf: StatementLeaf
    added: Added

    def verify(self, policy: Policy) -> int:
        """Return the index of the entry if an operator of `policy` stated this as what follows it, under its quorum.

        The age of the cosignatures does not count: a change holds for good. Raises LeafError or CheckpointError.
        """
        verify_decision(self.leaf, policy.operators)
        if self.decision.origin != policy.file.origin or self.decision.previous_sha384 != policy.digest:
            raise LeafError("decision", "it follows another policy than yours")
        proof = parse_proof(self.added.proof.encode())
        proof.verify(leaf_hash(self.added.entry.encode()))
        policy.accept(proof.note, now=None)
        return proof.index


def read_change(data: bytes) -> UnverifiedChange:
    """Read a change; nothing is verified. Raises LeafError."""
    added = read_message(data, Added)
    leaf = decode_leaf(added.entry.encode())
    if not isinstance(leaf, StatementLeaf) or not isinstance(leaf.decision, PolicyDecision):
        raise LeafError("form", "not a statement about a policy")
    return UnverifiedChange(decision=leaf.decision, leaf=leaf, added=added)
