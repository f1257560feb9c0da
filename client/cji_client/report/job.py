"""The source of a page: a job's outputs as their recipient reads them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from cji_core.operations.parameters import Parameters

Read = Callable[[str], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """A job with a verified receipt, opened by a recipient.

    `operations` are the parameters in the order of the job, `outputs` schema ids by name. `read` and `sides` give the
    batches of an output and of the submitter's own side table, from the start at each call. `facts` name the job and
    its receipt; `simulated` as in the receipt. `rows` are those of the input.
    """

    operations: Sequence[Parameters]
    outputs: Mapping[str, str]
    read: Read = field(repr=False)
    sides: Mapping[str, Callable[[], Iterator[pa.RecordBatch]]] = field(default_factory=dict, repr=False)
    facts: Mapping[str, str]
    simulated: bool
    rows: int
