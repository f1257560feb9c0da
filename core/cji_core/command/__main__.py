"""`python -m cji_core.command` is `cji`."""

from cji_core.command import main

main()
