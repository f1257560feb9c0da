"""Three-valued truth (Kleene): NO, UNKNOWN and YES, in this order.

That all hold is the least of several values, that any holds the greatest. A missing fact is UNKNOWN, and so is all that
depends on it; it becomes YES nowhere.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints

Truth = npt.NDArray[np.int8]
NO: Final = np.int8(0)
UNKNOWN: Final = np.int8(1)
YES: Final = np.int8(2)


def truth(holds: Bools, known: Bools) -> Truth:
    """Truth[n]: `holds`, where it is `known`."""
    return ((holds & known).astype(np.int8) << 1) | (~known).astype(np.int8)


def opposite(of: Truth) -> Truth:
    """Truth[n]: yes where it was no, and no where it was yes."""
    return (YES - of).astype(np.int8)


def any_of(of: Truth, group: Ints, k: int) -> Truth:
    """Truth[k]: it holds for any member of each group; `group` int64[n] is below k. An empty group has NO."""
    found = np.full(k, NO)
    found[group[of == UNKNOWN]] = UNKNOWN
    found[group[of == YES]] = YES
    return found
