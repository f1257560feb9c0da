"""A cell takes exactly as much input as the policy allows its job, over all parts together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Denied, DeniedBy, Stage
from cji_worker.cell.allowance import Allowance

counts = st.lists(st.integers(0, 30), max_size=12)


@given(st.integers(1, 100), counts)
def test_the_sum_counts(most: int, given_counts: list[int]) -> None:
    for take, by, stage in (("take_rows", DeniedBy.ROWS, Stage.COMPUTE), ("take_bytes", DeniedBy.BYTES, Stage.UNSEAL)):
        allowance = Allowance(rows=most, max_bytes=most)
        for n, count in enumerate(given_counts, 1):
            if sum(given_counts[:n]) <= most:
                getattr(allowance, take)(count)
                continue
            with pytest.raises(Denied) as caught:
                getattr(allowance, take)(count)
            assert (caught.value.by, caught.value.stage) == (by, stage)
            break
