"""`python -m tools.mutants`: remove each check of the rooms in `rooms.ROOMS`, one at a time, and expect a test to fail.

    rooms      the rooms: their modules, their tests, and what is removed from them; mutants that change nothing
    changes    the mutants of a module
    place      a mutant in the place of its module, in a forked child that runs tests
    run        the tests of a room, measured as they are and then run for each mutant
    kept       the results of a run, for the next one

A mutant is a module without one `raise`, one recorded check, one finding, one result of policy or lint, one operand of
an `and` or `or`, or one entry of a table from which checks are built; delays are not checks. The tests run unchanged
once, to record the lines that each one reaches and its duration. Then each mutant runs the test that killed it last and
those that reach it, in a forked child, until one fails; its code replaces the original in memory, and no file is
changed. A mutant that no test fails on has survived: a check whose removal no test detects. A test that fails in a
child without a mutation is ignored. `build/mutants` keeps what killed each mutant: a second run repeats only what has
changed, and what survived.
"""
