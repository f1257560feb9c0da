"""Transparency logs as C2SP defines them, and the agency's log of its trails' checkpoints. No I/O but for the policy.

keys        keys of logs and witnesses, their note signatures and cosignatures (signed-note, tlog-cosignature)
requests    the body of add-checkpoint (tlog-witness)
tiles       paths and bytes of hash tiles (tlog-tiles)
proofs      an entry's proof under a cosigned checkpoint (tlog-proof)
policy      the pinned keys, and the quorum of cosignatures
leaves      the entries of the agency's log
slots       the rules by which an entry may be added: the log refuses by them, a monitor finds by them
"""
