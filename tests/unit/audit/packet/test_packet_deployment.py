"""The section "Deployment in Azure" of a packet: what holds, what deviates, and a gap where no export was given."""

import pytest

from cji_audit.packet.errors import PacketError
from cji_audit.packet.inputs import read_deployment
from tests.support.deployed import as_file, changed, good, named


def test_an_export_as_described_has_no_deviation() -> None:
    found = read_deployment({"export.json": as_file(good())})
    assert found.deviations == ()
    assert found.holds > 40


def test_a_deviation_is_a_fact() -> None:
    def public(export: dict[str, object]) -> None:
        named(export, "Microsoft.KeyVault/vaults")["properties"]["publicNetworkAccess"] = "Enabled"

    (one,) = read_deployment({"export.json": changed(public)}).deviations
    assert (one.requirement, one.state, one.found) == ("vaults properties.publicNetworkAccess", "failed", '"Enabled"')


def test_another_file_is_refused() -> None:
    with pytest.raises(PacketError):
        read_deployment({"export.json": b"{}"})
