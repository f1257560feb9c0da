"""Operations on records, declared: parameters, outputs, row status codes, stages and tables, as data.

`registry` lists them and plans jobs; `declaration` defines what each of them states. A process that admits, moves or
seals jobs needs nothing else. What computes is in `cji_operations`, which only cells load.
"""
