"""`cji-simulator image`: the worker's image on this machine, its PCRs beside those predicted, and a sealed job."""

import contextlib
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cji_simulator.errors import SimulatorError
from cji_simulator.fault_cli import alone
from cji_simulator.tables import show

if TYPE_CHECKING:
    from cji_simulator.machine.boots import Boot, Job, Machines, Served

__all__ = ["image"]

_DIFFERENT: Final = 3
_DIGITS: Final = 24
"""Of a digest, on a terminal."""
_LOOK_S: Final = 0.2
_SHOWN: Final = re.compile(
    r"Booting initrd of|Reached target initrd-switch-root|^\[ *(OK|FAILED|DEPEND) *\].* cji-|no bundle in force|"
    r"Kernel panic|Access Denied|Security Violation"
)
"""Milestones of a boot, the state of each unit, and the codes of a machine without a bundle."""
_PROVES: Final = """\
What this shows: firmware with Secure Boot started this image and measured what was predicted from its files alone; the
simulated vault released a key to these PCRs, and a submitter who pins them got a receipt from this code. The job's boot
has the same kernel, command line and root, and an initrd with the simulation's roots, so its PCR 4, 7, 9 and 11 differ.
What it does not show: anything of a processor. The TPM is software, the SEV-SNP report is the simulation's, and
its memory is open to the owner of this process."""


@click.command()
@click.argument("build", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--job/--no-job", default=True, show_default=True, help="Boot again with the simulation's roots: a job.")
@click.option("--keep", is_flag=True, help="Leave the second machine on until Ctrl-C, and print how to reach it.")
@click.option("--console", "whole", is_flag=True, help="Print all of the serial console.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for everything that it creates.  [default: a private one, which is removed]",
)
@click.option(
    "--minutes", type=click.IntRange(1, 240), default=30, show_default=True, help="Most time for each boot to come up."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON at the end, progress on stderr.")
def image(build: Path, folder: Path | None, minutes: int, *, job: bool, keep: bool, whole: bool, as_json: bool) -> None:
    """Boot the image of a build in QEMU with a software TPM, and run a sealed job on it; not as root.

    BUILD is what `make image` wrote. First the image boots as it is, under Secure Boot with its signer's certificate in
    db, and its PCRs are shown beside those that were predicted. It trusts no simulation, so the job runs on a second
    boot of the same root and kernel. Exit status 3: a PCR is not the predicted one.

    \b
    Example:
      cji-simulator image build/image
    """
    from cji_simulator.machine.errors import MachineError

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stderr = Console(highlight=False, stderr=as_json)

    def progress(line: str) -> None:
        if whole or _SHOWN.search(line):
            stderr.print(line.rstrip(), style="dim", markup=False, soft_wrap=True)

    try:
        with _folder(folder, keep=keep) as own, _machines(build, own, minutes * 60, progress, stderr) as machines:
            first = machines.as_built()
            _show_boot(stderr, "As it was built", first)
            second = None
            if job and first.as_predicted:
                with machines.served() as served:
                    second = served
                    _show_boot(stderr, "With the simulation's roots", served.boot)
                    _show_job(stderr, served.job)
                    if keep:
                        _stay(stderr, own, served)
    except MachineError as error:
        raise click.ClickException(f"{error}\n{error.remedy}") from error
    except SimulatorError as error:
        raise click.ClickException(str(error)) from error
    boots = [first] + ([second.boot] if second else [])
    if as_json:
        from cji_simulator.machine.boots import Outcome

        outcome = Outcome(
            flavour=machines.build.flavour,
            as_predicted=all(one.as_predicted for one in boots),
            as_built=first,
            simulated=second.boot if second else None,
            job=second.job if second else None,
        )
        click.echo(msgspec.json.format(msgspec.json.encode(outcome), indent=2))
    else:
        stderr.print(_PROVES)
    if not all(one.as_predicted for one in boots):
        raise SystemExit(_DIFFERENT)


@contextlib.contextmanager
def _folder(given: Path | None, *, keep: bool) -> Iterator[Path]:
    """The given one, or a private one that is removed."""
    if given is not None:
        with alone(given):
            yield given.absolute()
        return
    own = Path(tempfile.mkdtemp(prefix="cji-image-"))
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


@contextlib.contextmanager
def _machines(
    build: Path, own: Path, seconds: float, progress: Callable[[str], None], console: Console
) -> Iterator["Machines"]:
    """The simulated Azure and, on it, machines for this build. Raises MachineError for what is missing here."""
    try:
        from cji_simulator.machine.boots import Machines
    except ModuleNotFoundError as error:
        from cji_simulator.machine.errors import MachineError

        raise MachineError(f"{error.name} is not installed", remedy="pip install 'cji-simulator[image]'") from error
    from cji_simulator.machine.built import Build
    from cji_simulator.machine.errors import MachineError
    from cji_simulator.machine.guest import KVM, accelerators, missing_packages
    from cji_simulator.simulation import Simulation

    if missing := missing_packages():
        remedy = f"As root: apt-get install --no-install-recommends {' '.join(missing)}"
        raise MachineError("no image can be booted here: programs are missing", remedy=remedy)
    found, kinds = Build.of(build), accelerators()
    console.print(
        f"{found.uki}, flavour {found.flavour}, signed by {found.signer.subject.rfc4514_string()}", soft_wrap=True
    )
    if kinds == ("tcg",):
        console.print(f"{KVM} cannot be opened: the processor is emulated, and a boot takes minutes.")
    with Simulation(own / "azure") as azure:
        yield Machines(build=found, azure=azure, folder=own, accelerate=kinds, seconds=seconds, show=progress)


def _show_boot(console: Console, title: str, boot: "Boot") -> None:
    table = Table(
        title=f"{title}: {boot.seconds:.0f} s, {boot.accelerator}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("PCR", "predicted", "quoted", "same"):
        table.add_column(name, no_wrap=True)
    for one in boot.pcrs:
        same = {True: "yes", False: "[bold red]no[/]", None: ""}[one.same]
        table.add_row(str(one.pcr), _short(one.predicted or ""), _short(one.quoted), same)
    show(console, table)
    if boot.code:
        console.print(f"The console's code: {boot.code}, since nothing gave it a bundle.")


def _short(value: str) -> str:
    return f"{value[:_DIGITS]}…" if value else "not predicted"


def _show_job(console: Console, job: "Job | None") -> None:
    if job is None:
        console.print("[red]No job was sent: the machine is not the one that was predicted.[/]")
        return
    console.print(
        f"A sealed job of {job.rows_in} rows came back with {job.rows_out}, and its receipt verified under pins of"
        f" these PCRs and this image; code {job.code_sha384[:_DIGITS]}…, job {job.id}."
    )


def _stay(console: Console, own: Path, served: "Served") -> None:
    """Until Ctrl-C."""
    (own / "trust.json").write_bytes(msgspec.json.encode(served.simulation.trust))
    console.print(f"The machine stays on. Its serial console: socat -,raw,echo=0 UNIX-CONNECT:{served.guest.console}")
    console.print(f"A submitter's profile: {served.profile}; in another terminal:")
    console.print(f"  cji-simulator cji --state {own} worker attest --profile {served.profile}", soft_wrap=True)
    console.print("Stop with Ctrl-C.")
    with contextlib.suppress(KeyboardInterrupt):
        while served.guest.running:
            served.guest.look()
            time.sleep(_LOOK_S)
