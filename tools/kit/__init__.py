"""The conformance kit of docs/format.md: `python -m tools.kit` writes docs/vectors from fixed seeds, byte for byte.

`writer` makes every value of the page a second time, from chosen randomness; `groups` has the cases. A case is
`valid`, `invalid` for one broken rule, or `acceptable`, which readers are free to refuse.
"""
