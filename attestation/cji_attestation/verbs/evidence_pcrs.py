"""`cji evidence pcrs`: what golden machines booted, as reference values to pin, or event by event."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_attestation.appraisal import BootImage, verity_roots
from cji_attestation.evidence.event_log import Event
from cji_attestation.verbs.evidence_file import golden
from cji_attestation.verbs.evidence_options import CLOUD, UNKNOWN_PARAVISOR
from cji_attestation.verbs.evidence_rows import event_rows
from cji_attestation.verbs.reference_values import CONFIG, PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, member, print_answer

# TCG PC Client Platform Firmware Profile, "PCR Usage"; UAPI.7, Linux TPM PCR Registry
_PCR_USAGE: Final = (
    "firmware code",
    "firmware configuration",
    "option ROM code",
    "option ROM configuration",
    "boot loader and kernel as loaded by the firmware",
    "boot manager configuration, partition table",
    "events of the host platform",
    "secure boot policy and the authorities that were used",
    "GRUB: commands and kernel command line",
    "GRUB: files; kernel: command line and initrd",
    "kernel: IMA, which grows while the machine runs if it has a policy",
    "systemd-stub: the unified kernel image; systemd: phases of the boot",
    "systemd-stub: command line, credentials and add-ons from outside of the image",
    "systemd-stub: system extensions",
    "shim: keys of the machine's owner",
    "systemd: identity of the machine, before a worker starts",
)
_OWN: Final = (10, 15)
"""PCRs whose values are those of one machine or one moment."""


class BootEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One extension of a PCR."""

    pcr: Annotated[int, member("number of the PCR")]
    digest: Annotated[str, member("SHA-256 that it was extended with, hexadecimal")]
    data: Annotated[str, member("what the log says about it, hexadecimal")]
    measured: Annotated[bool, member("whether the digest is that of the data")]


class GoldenImage(msgspec.Struct, frozen=True, kw_only=True):
    """A unified kernel image, as `boot_images` of reference values pins it."""

    parts: Annotated[dict[str, str], member("SHA-256 of each section that is measured, hexadecimal")]
    command_line: Annotated[str, member("command line of the kernel")]
    initrds: Annotated[tuple[str, ...], member("SHA-256 of other initrds than its own, hexadecimal")]


class GoldenValues(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji evidence pcrs`: what golden machines booted, as reference values."""

    pcrs: Annotated[dict[str, tuple[str, ...]], member("values of each PCR by its number, hexadecimal")]
    boot_images: Annotated[tuple[GoldenImage, ...], member("unified kernel images; absent with --pcr")] = ()
    events: Annotated[
        tuple[tuple[BootEvent, ...], ...], member("with --events: those of each machine, in the order of its logs")
    ] = ()


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--pcr", "chosen", type=click.IntRange(0, 15), multiple=True, help="Only these; may be given again.")
@click.option("--events", is_flag=True, help="Print the events of these PCRs instead, in the order of the logs.")
@PROFILE
@CONFIG
@UNKNOWN_PARAVISOR
@CLOUD
@answers(GoldenValues)
@click.pass_context
@explained
def pcrs(
    context: click.Context,
    files: tuple[Path, ...],
    *,
    chosen: tuple[int, ...],
    events: bool,
    profile: Path | None,
    config: Path | None,
    unknown_paravisor: bool,
    cloud: str,
    as_json: bool,
) -> None:
    """Print what golden machines booted as reference values for a worker's machine.

    Each FILE is appraised first, at its own time: its event logs are replayed. Several machines give lists of allowed
    values. PCRs 10 and 15 are printed only if they are chosen. Without --pcr a unified kernel image is printed, too.

    \b
    Examples:
      cji evidence pcrs golden-1.json golden-2.json >> worker.toml
      cji evidence pcrs golden.json --pcr 4 --pcr 7
      cji evidence pcrs golden.json --pcr 11 --events
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found = golden(
        files,
        trust_of=lambda name: trust_named(context, name),
        cloud=cloud,
        reference=reference_values(profile, config),
        unknown_paravisor=unknown_paravisor,
    )
    shown = set(found.pcrs) & set(chosen) if chosen else set(found.pcrs) - set(_OWN)
    values, images = {pcr: found.pcrs[pcr] for pcr in sorted(shown)}, () if chosen else found.images
    logs = [[one for one in boot.events if not chosen or one.pcr in chosen] for boot in found.boots] if events else []
    answer = GoldenValues(
        pcrs={str(pcr): tuple(value.hex() for value in listed) for pcr, listed in values.items()},
        boot_images=tuple(GoldenImage(**msgspec.structs.asdict(image)) for image in images),
        events=tuple(tuple(map(_event, log)) for log in logs),
    )
    lines = _event_lines(logs) if events else value_lines(values, images)
    print_answer(answer, "\n".join(lines), as_json=as_json)


def _event(one: Event) -> BootEvent:
    return BootEvent(pcr=one.pcr, digest=one.digest.hex(), data=one.data.hex(), measured=one.measured is not None)


def _event_lines(logs: Iterable[Iterable[Event]]) -> Iterator[str]:
    for log in logs:
        for label, text in event_rows(log):
            yield f"{label:6}  {text}"


def value_lines(pcrs: Mapping[int, Iterable[bytes]], images: Iterable[BootImage]) -> Iterator[str]:
    """Lines of TOML: allowed values of PCRs, and allowed images, as reference values name them."""
    yield "[attestation.reference_values.pcrs]  # in client.toml: [reference.pcrs]"
    for pcr, values in sorted(pcrs.items()):
        listed = ", ".join(f'"{value.hex()}"' for value in values)
        yield f"{pcr} = [{listed}]  # {_PCR_USAGE[pcr]}"
    for image in images:
        yield from _image(image)


def _image(image: BootImage) -> Iterator[str]:
    yield ""
    yield "[[attestation.reference_values.boot_images]]  # in client.toml: [[reference.boot_images]]"
    roots = " ".join(verity_roots(image.command_line)) or "none"
    yield f"command_line = {_toml(image.command_line)}  # dm-verity root: {roots}"
    if image.initrds:
        yield f"initrds = [{', '.join(map(_toml, image.initrds))}]  # as the kernel loaded them"
    yield f"parts = {{ {', '.join(f'{_toml(name)} = {_toml(digest)}' for name, digest in image.parts.items())} }}"


def _toml(text: str) -> str:
    r"""A basic string: every character that TOML would not take as it is becomes a \\u."""
    return '"' + "".join(one if one.isprintable() and one not in '"\\' else f"\\U{ord(one):08x}" for one in text) + '"'
