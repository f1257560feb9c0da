"""Witnesses of a trail: they keep its checkpoints where nobody on this machine can change them.

A witness takes a checkpoint that continues the one before, and returns a receipt; a record of both is kept under
`state/witnesses/<name>/`. Anyone who holds any one checkpoint finds a cut tail, a fork, a rollback or a rewritten line
(`examination`, `cji audit witness verify`). `configured` makes a destination of each `[[witnesses]]` table.
"""
