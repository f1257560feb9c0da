"""A trail's checkpoints in the agency's log, where witnesses of other organisations cosign them.

The log takes a checkpoint that continues the one before, and returns the entry with its proof under a cosigned
checkpoint; a record of both is kept under `state/log/`. Anyone who holds any one checkpoint finds a cut tail, a fork, a
rollback or a rewritten line (`examination`, `cji audit witness verify`).
"""
