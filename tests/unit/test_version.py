"""The version that trails and status state is that of every distribution."""

from importlib.metadata import distributions

from cji_core.manifest import VERSION


def test_the_version_is_that_of_all_our_distributions() -> None:
    ours = {each.name: each.version for each in distributions() if each.name.startswith("cji-")}
    assert {"cji-core", "cji-worker"} <= ours.keys()
    assert set(ours.values()) == {VERSION}
