"""What a trust domain's machine lacks of the newest level in Intel's statements, by the names of its parts."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cji_attestation.appraisal.levels import levels_short
from cji_attestation.evidence import TdStatements
from tests.support.tdx_forge import intel, td_report

MODULE = bytes([13, 1, 4]).ljust(16, b"\0")
"""SVN 13 of version 1 of the TDX module."""


def short(change: Callable[[dict[str, Any], dict[str, Any]], None], *, module: bytes = MODULE) -> tuple[str, ...]:
    """Of the simulated machine, with statements that this function has changed."""
    early = intel().collateral().early
    assert isinstance(early, TdStatements)
    info, identity = msgspec.json.decode(early.tcb_info), msgspec.json.decode(early.qe_identity)
    change(info, identity)
    texts = {name: msgspec.json.encode(one).decode() for name, one in (("tcb_info", info), ("qe_identity", identity))}
    quote = intel().quote(td_report(bytes(64), tcb_svn=module))
    return levels_short(quote, msgspec.structs.replace(early, **texts))


def nothing(_: dict[str, Any], __: dict[str, Any]) -> None:
    pass


def newer_pce(info: dict[str, Any], _: dict[str, Any]) -> None:
    info["tcbLevels"][0]["tcb"]["pcesvn"] = 99


def newer_module(info: dict[str, Any], _: dict[str, Any]) -> None:
    info["tdxModuleIdentities"][0]["tcbLevels"][0]["tcb"]["isvsvn"] = 14


def newer_module_of_another_version(info: dict[str, Any], identity: dict[str, Any]) -> None:
    newer_module(info, identity)
    info["tdxModuleIdentities"][0]["id"] = "TDX_03"


def newer_module_before_versions(info: dict[str, Any], identity: dict[str, Any]) -> None:
    newer_module(info, identity)
    info["tdxModuleIdentities"][0]["id"] = "TDX_00"


def newer_enclave(_: dict[str, Any], identity: dict[str, Any]) -> None:
    identity["tcbLevels"][0]["tcb"]["isvsvn"] = 9


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (nothing, ()),
        (newer_pce, ("PCE: 13 < 99",)),
        (newer_module, ("TDX module: 13 < 14",)),
        (newer_module_of_another_version, ()),
        (newer_enclave, ("quoting enclave: 8 < 9",)),
    ],
)
def test_each_part_of_a_level_is_compared(change: Callable[..., None], found: tuple[str, ...]) -> None:
    assert short(change) == found


def test_a_module_without_a_version_has_levels_as_components() -> None:
    """Version 0 of the module has no identity of its own."""
    module = bytes([4, 0, 4]).ljust(16, b"\0")
    assert short(newer_module_before_versions, module=module) == ("TDX component 1: 4 < 5",)
