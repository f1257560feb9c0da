"""`python -m cji_engine` is `cji-cluster`."""

from cji_engine.cli import main

main()
