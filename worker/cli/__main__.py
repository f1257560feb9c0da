"""`python -m worker.cli` is `cji`."""

from worker.cli import main

main()
