import pytest

from cji_engine.estimate import estimate


def test_the_models_own_figure() -> None:
    """100 M rows at 20 pairs a row: about 0.45 CPU hours for rows and pairs."""
    found = estimate(rows=100_000_000, shards=1, stages=0, input_bytes=0, cells=1, pairs_per_row=20)
    assert found.pairs == 2_000_000_000
    assert found.cpu_seconds / 3600 == pytest.approx(0.45, abs=0.01)


@pytest.mark.parametrize(("cells", "shards", "speed"), [(1, 64, 1), (16, 64, 16), (64, 16, 16), (0, 4, 1)])
def test_more_cells_than_shards_are_of_no_use(cells: int, shards: int, speed: int) -> None:
    found = estimate(rows=1000, shards=shards, stages=4, input_bytes=7, cells=cells, pairs_per_row=1)
    assert found.wall_seconds == pytest.approx(found.cpu_seconds / speed)
    assert found.tasks == 4 * shards
