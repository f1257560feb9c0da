"""Measured boots of the session's machine: logs by the simulator's writer, both quotes, and evidence of it all."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from cji_attestation.evidence import Evidence, MeasuredBoot
from cji_attestation.evidence.tpm_structures import SYSTEM_SELECTION
from cji_simulator.measured_boot import BOOT, COMMAND_LINE, USERSPACE, Measurement, encode, record, said
from tests.support.forge import QUALIFYING, RECEIPT_KEY, Machine, machine, quote_structure, sign

__all__ = ["IMA", "LINE", "SELECTION", "VERITY", "firmware", "replayed", "second_quote", "start_of", "with_boot"]

VERITY = "ab" * 32
LINE = f"root=/dev/mapper/root roothash={VERITY} ro"
IMA = b"\x1a" * 32
SELECTION = SYSTEM_SELECTION


def firmware(line: str = LINE) -> tuple[Measurement, ...]:
    """The boot of a unified kernel image with this command line."""
    old, new = ((text.encode(), text.encode("utf-16-le") + b"\0\0") for text in (COMMAND_LINE, line))
    digests = {hashlib.sha256(a).digest(): hashlib.sha256(b).digest() for a, b in zip(old, new, strict=True)}
    return tuple(
        Measurement(pcr=one.pcr, kind=one.kind, data=one.data, digest=digests.get(one.digest, one.digest))
        for one in BOOT
    )


def start_of(receipt_key: bytes) -> Measurement:
    """The start of a worker, as its own program writes it in PCR 15."""
    return said(15, f"cji-worker-start:{receipt_key.hex()}")


def replayed(events: Sequence[Measurement]) -> tuple[bytes, ...]:
    """PCRs 0 to 15, one extension after the other; PCR 10 as the kernel leaves it."""
    values = [bytes(32)] * 16
    for one in events:
        values[one.pcr] = hashlib.sha256(values[one.pcr] + one.digest).digest()
    return (*values[:10], IMA, *values[11:])


def second_quote(pcrs: tuple[bytes, ...], *, m: Machine | None = None, **parts: Any) -> dict[str, bytes]:
    """`quote` and `quote_signature` of PCRs 8 to 15; `parts` are those of `quote_structure`."""
    given = {"extra": QUALIFYING, "selection": SELECTION, "clock": (482, 3, 1)} | parts
    quote = quote_structure(pcrs, **given)
    return {"quote": quote, "quote_signature": sign((m or machine()).ak, quote)}


def with_boot(
    make: Callable[..., Evidence] | None = None,
    *,
    start: bytes = RECEIPT_KEY,
    extra: bytes = QUALIFYING,
    line: str = LINE,
    events: Sequence[Measurement] | None = None,
    userspace: Sequence[Measurement] = USERSPACE,
    m: Machine | None = None,
    **fields: Any,
) -> Evidence:
    """Evidence of a machine that booted like this and then started the worker with this receipt key, if any.

    `fields` replace members of the `MeasuredBoot`; `make` builds the rest of the bundle, by default an SNP machine's.
    """
    m = m or machine()
    booted = firmware(line) if events is None else tuple(events)
    later = (*userspace, *([start_of(start)] if start else []))
    pcrs = replayed((*booted, *later))
    quote = quote_structure(pcrs[:8], extra=extra)
    evidence = (make or m.evidence)(pcrs=pcrs[:8], quote=quote)
    values: dict[str, Any] = {
        **second_quote(pcrs[8:], m=m, extra=extra),
        "pcrs": pcrs[8:],
        "firmware_log": encode(booted),
        "userspace_log": b"".join(map(record, later)),
        "command_line": line,
    }
    return replace(evidence, version=3, boot=MeasuredBoot(**(values | fields)))
