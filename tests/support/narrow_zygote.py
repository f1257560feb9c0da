"""The worker's own zygote, whose cells plan `link` for few rows a task: a module in place of `cji_worker.cell.zygote`.

In production a task gets 300 000 rows, so a job of a test would have one task in each planned stage. Here it has
several on different nodes, and one value can have more rows than a task should have.
"""

import sys
from typing import Final

from cji_operations.link import operation
from cji_operations.link.stages import stage_functions
from cji_worker.cell import zygote
from cji_worker.ipc import receive_boot

ROWS_OF_TASK: Final = 300

if __name__ == "__main__":
    operation.FUNCTIONS = stage_functions(ROWS_OF_TASK)  # type: ignore[misc]
    sys.exit(zygote.main(receive_boot(int(sys.argv[1]))))
