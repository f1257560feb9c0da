"""Operations on records, over numpy: `registry` lists them, `operations` has a folder for each.

`operation` defines what an operation is, `nibrs` reads NIBRS submissions, `kernels` are pure functions on arrays, and
`tables` holds the rules that an agency may replace.
"""
