"""Whether the files of a bundle make a machine of the engine, which runs jobs in parts and opens nothing.

A bundle has worker.toml or engine.toml, and is of a worker or of an engine by that. The image decides which of both its
machine takes: `require_kind`.
"""

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from cji_attestation.appraisal.boot_image import ENGINE as ENGINES
from cji_attestation.appraisal.boot_image import FLAVOUR, PRODUCTION, flavours_of
from cji_attestation.bundle.contents import MAX_ROOTS, Contents, check_contents, write_files
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.names import ENGINE, WORKER
from cji_core.certs import CertificateRefused, load_pem_chain
from cji_core.errors import StartupError
from cji_core.format.configuration.engine import EngineConfig, load_engine

COMMAND_LINE: Final = Path("/proc/cmdline")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContents:
    """The configuration in a bundle of an engine."""

    config: EngineConfig
    notes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def pool(self) -> str:
        """The name that its manifest must have."""
        return self.config.pool


def check_files(files: Mapping[str, bytes], *, clouds: Collection[str]) -> Contents | EngineContents:
    """Check the files of a bundle of either kind. Raises BundleRefused with the reader's own reason and remedy."""
    if ENGINE not in files:
        return check_contents(files, clouds=clouds)
    if WORKER in files:
        raise BundleRefused(f"There are both {WORKER} and {ENGINE}", "Make a bundle for each kind of machine.")
    with tempfile.TemporaryDirectory(prefix="cji-bundle-") as name:
        folder = Path(name).resolve()
        write_files(folder, files)
        try:
            config = load_engine(folder / ENGINE)
        except StartupError as error:
            raise BundleRefused(error.what.replace(f"{folder}/", ""), error.remedy) from error
        _check(config, folder, files, clouds)
        return EngineContents(config=config)


def _check(config: EngineConfig, folder: Path, files: Mapping[str, bytes], clouds: Collection[str]) -> None:
    if config.cloud not in clouds:
        raise BundleRefused(f'cloud = "{config.cloud}" is unknown', f"Use one of {', '.join(clouds)}.")
    wanted = {"nodes.roots": ("tls/node-roots.pem", config.nodes.roots)}
    wanted["certificates.roots"] = ("tls/engine-roots.pem", config.certificates.roots)
    roots = list[set[x509.Certificate]]()
    for key, (name, path) in wanted.items():
        if path != str(folder / name) or name not in files:
            raise BundleRefused(f"{key}: not {name} of the bundle", f'Set it to "{name}", and put that file there.')
        try:
            roots.append(set(load_pem_chain(files[name], limit=MAX_ROOTS)))
        except CertificateRefused as error:
            raise BundleRefused(f"{name}: it is not PEM certificates", "Put the authority's root into it.") from error
    if not roots[0].isdisjoint(roots[1]):
        raise BundleRefused(
            "The engine's authority is that of the workers' doors",
            "Give the engine an authority of its own: each certificate of it is the right to run code on this machine.",
        )
    if unknown := sorted(set(files) - {ENGINE, *(name for name, _ in wanted.values())}):
        raise BundleRefused(f"A bundle of an engine has no {', '.join(unknown)}", "Leave it out.")


def require_kind(contents: Contents | EngineContents, command_line: Path = COMMAND_LINE) -> None:
    """Raise BundleRefused for a bundle of the kind that this machine's image does not take.

    Machines of the flavour `engine` take an engine's, those of every other one a worker's.
    """
    flavours = flavours_of(command_line.read_text())
    machine = ENGINES if ENGINES in flavours else "worker"
    kind = ENGINES if isinstance(contents, EngineContents) else "worker"
    if kind != machine:
        shown = "" if flavours == (PRODUCTION,) else f", {FLAVOUR}={'+'.join(flavours)}"
        raise BundleRefused(
            f"The bundle is of a machine of kind {kind}, and this one is of kind {machine}{shown}",
            "Deploy a bundle of its kind, or the image of the other kind.",
        )
