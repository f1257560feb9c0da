"""Suppression leaves every hidden cell a second value."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.aggregate.suppression import protect
from cji_operations.kernels.group_by import with_totals


@given(st.data())
def test_every_hidden_cell_has_a_second_table_with_that_output(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    flat = data.draw(st.lists(st.integers(0, 15), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    rows = with_totals(np.array(flat, np.int64).reshape(shape))
    done = protect([rows], rows, 11)
    gone = done.hidden
    small = (rows > 0) & (rows < 11)
    assert (gone | ~small).all()
    assert not gone[rows == 0].any()
    if done.only_total:  # all that is listed is the total, and who could be hidden behind it is everybody
        assert rows.ravel()[-1] - np.count_nonzero(flat) + 1 < 11
        return
    gone.ravel()[-1] = False  # the total of all is known
    for axis in range(rows.ndim):  # in every other line at least two are hidden wherever one is
        assert (np.delete(gone.sum(axis=axis), -1) != 1).all()
