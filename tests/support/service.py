"""Start a command as the unit of deploy/systemd does: an ordinary user with three capabilities, no others to be had.

python -m tests.support.service COMMAND...

Needs root. The command sees files as `cji_simulator.view` shows them.
"""

import os
import resource
import sys
from contextlib import suppress
from typing import Final

from cji_simulator.view import let_others_reach_the_code

__all__ = ["UNDER", "USER"]

USER: Final = 12001
"""In place of `cji`."""
UNDER: Final = (sys.executable, "-m", "tests.support.service")
_CAPABILITIES: Final = "+setuid,+setgid,+kill"


def main() -> None:
    """Never returns."""
    let_others_reach_the_code()
    with suppress(ValueError):  # root in a container; the simulator then takes ordinary memory
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sets = ("--inh-caps", f"-all,{_CAPABILITIES}", "--ambient-caps", _CAPABILITIES)
    bound = ("--bounding-set", f"-all,{_CAPABILITIES}", "--no-new-privs")
    user = ("--reuid", str(USER), "--regid", str(USER), "--clear-groups")
    os.execvp("setpriv", ["setpriv", *user, *sets, *bound, *sys.argv[1:]])


if __name__ == "__main__":
    main()
