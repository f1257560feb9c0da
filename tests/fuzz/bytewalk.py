"""`python -m tests.fuzz.bytewalk tdx`: every byte of a bundle of evidence changed, one at a time, and appraised.

One bit of each byte, or with `--bits 8` each of its bits. What is accepted all the same is held against
`indifferent`, the bytes that no check can or need look at, and any other is a failure.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from cji_attestation import AttestationError
from cji_attestation.evidence import Evidence, TdCollateral

__all__ = ["Walk", "parts", "replaced", "walk"]

MAC: Final = range(32 + 224, 32 + 256)
VERSIONS: Final = frozenset({4, 32 + 2})  # of the HCL report, 1 or 2, and of the TDREPORT, 0 or 1


@dataclass(slots=True, kw_only=True)
class Walk:
    """One field: how many changes were refused, and at which offsets one was accepted."""

    name: str
    refused: int = 0
    accepted: set[int] = field(default_factory=set)


def parts(evidence: Evidence) -> dict[str, bytes]:
    """Every field of the bundle as bytes, those of the collateral by dotted names; PCRs as one string."""
    found = msgspec.structs.asdict(evidence) | {"pcrs": b"".join(evidence.pcrs)}
    if isinstance(evidence.collateral, TdCollateral):
        found |= {f"collateral.{name}": value for name, value in msgspec.structs.asdict(evidence.collateral).items()}
    texts = {name: value.encode() if "." in name and isinstance(value, str) else value for name, value in found.items()}
    return {name: value for name, value in texts.items() if isinstance(value, bytes) and value}


def replaced(evidence: Evidence, name: str, value: bytes) -> Evidence:
    """The bundle with other bytes in one field."""
    if name == "pcrs":
        return msgspec.structs.replace(evidence, pcrs=tuple(value[at : at + 32] for at in range(0, len(value), 32)))
    outer, _, inner = name.partition(".")
    if not inner:
        return msgspec.structs.replace(evidence, **{outer: value})
    collateral: Any = evidence.collateral
    text = isinstance(getattr(collateral, inner), str)
    given = value.decode("latin-1") if text else value  # a changed byte is a changed character
    return msgspec.structs.replace(evidence, collateral=msgspec.structs.replace(collateral, **{inner: given}))


def walk(evidence: Evidence, judge: Callable[[Evidence], object], *, name: str, bits: int = 1) -> Walk:
    """Flip bits of each byte of a field; which ones turns with the offset."""
    found, true = Walk(name=name), parts(evidence)[name]
    for at in range(len(true)):
        for bit in range(bits):
            data = bytearray(true)
            data[at] ^= 1 << (at + bit) % 8
            try:
                judge(replaced(evidence, name, bytes(data)))
            except AttestationError:
                found.refused += 1
            else:
                found.accepted.add(at)
    return found


def indifferent(evidence: Evidence, name: str) -> set[int]:
    """Offsets of the bytes of a field that do not matter, each for its reason."""
    data = parts(evidence)[name]
    if name == "hcl_report" and evidence.tee == "tdx":
        # only the processor that made a TDREPORT can check its MAC; what it covers is repeated by the signed quote.
        # Versions add no field that is read, and nothing signs them
        return set(MAC) | VERSIONS
    if name == "td_quote" or name.endswith("chain"):
        # line feeds of PEM, where another kind of white space takes their place
        return {at for at, byte in enumerate(data) if byte == 0x0A}
    return set()


def bundles() -> dict[str, tuple[Evidence, Callable[[Evidence], object]]]:
    """A sound bundle of each kind, and what appraises it."""
    from tests.support.forge import machine
    from tests.support.tdx_forge import intel

    return {
        "snp": (machine().evidence(), machine().appraise),
        "tdx": (intel().evidence(machine()), lambda evidence: machine().appraise(evidence, trust=intel().trust)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk one bundle and print a line for each field."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.bytewalk", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("tee", choices=["snp", "tdx"])
    parser.add_argument("--bits", type=int, default=1, choices=range(1, 9))
    options = parser.parse_args(arguments)
    evidence, judge = bundles()[options.tee]
    judge(evidence)
    began, refused, wrong = time.monotonic(), 0, 0
    for name in parts(evidence):
        found = walk(evidence, judge, name=name, bits=options.bits)
        missed = sorted(found.accepted - indifferent(evidence, name))
        refused, wrong = refused + found.refused, wrong + len(missed)
        print(f"{name:<38}{found.refused:>7} refused {len(found.accepted):>5} indifferent  {missed or ''}", flush=True)
    print(f"{refused} changes refused, {wrong} bytes accepted that matter, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
