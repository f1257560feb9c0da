"""Transparency logs as C2SP defines them: of an agency's trails, and of releases. No I/O but for files and `calls`.

keys        keys of logs and witnesses, their note signatures and cosignatures (signed-note, tlog-cosignature)
requests    the body of add-checkpoint (tlog-witness)
tiles       paths and bytes of hash tiles (tlog-tiles)
proofs      an entry's proof under a cosigned checkpoint (tlog-proof)
policy      the pinned keys, and the quorum of cosignatures
changes     another policy follows, under the quorum of the one before
leaves      the entries of the agency's log
slots       the rules by which an entry may be added: the log refuses by them, a monitor finds by them
releases    the same for a log of releases, and what a reader of all its entries finds
calls       exchanges with a log
"""
