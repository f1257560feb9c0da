"""Which SVNs of a trust domain's machine are short of the newest level in Intel's statements, by name.

Intel lists levels from the newest to the oldest, and takes the first that a machine reaches in every component (PCS API
v4, "TCB Info V3"). The first level is where a machine is up to date: what is below it there has to be updated.
The statements were verified before (`cji_attestation.appraisal.intel`); a shape that is not Intel's names nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dcap_qvl

from cji_attestation.appraisal.intel import read_statement
from cji_attestation.evidence import TdCollateral, TdStatements, parse_td_quote


def levels_short(quote: bytes, statements: TdStatements | TdCollateral) -> tuple[str, ...]:
    """Such as "SGX component 1: 4 < 5", in the order of the statement; none for a machine at the newest level."""
    try:
        return tuple(_short(quote, read_statement(statements.tcb_info), read_statement(statements.qe_identity)))
    except (KeyError, TypeError, ValueError, IndexError):
        return ()


def _short(quote: bytes, info: dict[str, Any], identity: dict[str, Any]) -> Iterator[str]:
    parsed = parse_td_quote(quote)
    pck = dcap_qvl.parse_quote(quote).pck_extension()
    newest, module = info["tcbLevels"][0]["tcb"], parsed.body[1]
    yield from _components("SGX component", bytes(pck.cpu_svn), newest["sgxtcbcomponents"], skip=0)
    # from version 1 of the module on, its own levels replace the first two components (PCS API v4)
    yield from _components("TDX component", parsed.body[:16], newest["tdxtcbcomponents"], skip=2 if module else 0)
    yield from _one("PCE", int(pck.pce_svn), newest["pcesvn"])
    for one in info.get("tdxModuleIdentities", ()):
        if module and str(one["id"]).upper() == f"TDX_{module:02X}":
            yield from _one("TDX module", parsed.body[0], one["tcbLevels"][0]["tcb"]["isvsvn"])
    yield from _one("quoting enclave", parsed.qe_svn, identity["tcbLevels"][0]["tcb"]["isvsvn"])


def _components(name: str, found: Sequence[int], least: Sequence[dict[str, Any]], *, skip: int) -> Iterator[str]:
    for at in range(skip, len(least)):
        yield from _one(f"{name} {at + 1}", found[at], least[at]["svn"])


def _one(name: str, found: int, least: int) -> Iterator[str]:
    if found < int(least):
        yield f"{name}: {found} < {int(least)}"
