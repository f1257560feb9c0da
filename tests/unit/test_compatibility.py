"""What version 0.2.0 wrote, later versions read: tests/compatibility/0.2.0 is not made again."""

from cji_core.tlog.policy import read_policy
from cji_core.tlog.releases import decode_copy, read_releases
from tests.support.paths import ROOT
from tests.support.release_log import NOW

FOLDER = ROOT / "tests/compatibility/0.2.0"


def test_a_log_of_releases_of_0_2_0_is_read() -> None:
    policy = read_policy((FOLDER / "release-policy.toml").read_bytes())
    data = (FOLDER / "releases.json").read_bytes()
    found = read_releases(data, policy, now=NOW).releases.all()
    assert [(each.release.version, each.withdrawn is None) for each in found] == [("0.1.9", False), ("0.2.0", True)]
    assert decode_copy(data).encode() == data
