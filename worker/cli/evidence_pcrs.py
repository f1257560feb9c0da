"""`cji evidence pcrs`: what golden machines booted, as reference values to pin, or event by event."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from attestation.appraisal import BootImage, verity_roots
from worker.cli.common import FILE, explained, trust_named
from worker.cli.evidence_file import Golden, golden
from worker.cli.evidence_options import CLOUD
from worker.cli.evidence_rows import event_rows
from worker.cli.reference_values import CONFIG, PROFILE, reference_values

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


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--pcr", "chosen", type=click.IntRange(0, 15), multiple=True, help="Only these; may be given again.")
@click.option("--events", is_flag=True, help="Print the events of these PCRs instead, in the order of the logs.")
@PROFILE
@CONFIG
@CLOUD
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
    cloud: str,
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
    )
    lines = _events(found, chosen) if events else _values(found, chosen)
    click.echo("\n".join(lines))


def _events(found: Golden, chosen: tuple[int, ...]) -> Iterator[str]:
    for boot in found.boots:
        for label, text in event_rows([one for one in boot.events if not chosen or one.pcr in chosen]):
            yield f"{label:6}  {text}"


def _values(found: Golden, chosen: tuple[int, ...]) -> Iterator[str]:
    shown = set(found.pcrs) & set(chosen) if chosen else set(found.pcrs) - set(_OWN)
    return value_lines({pcr: found.pcrs[pcr] for pcr in shown}, () if chosen else found.images)


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
