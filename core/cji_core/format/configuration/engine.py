"""engine.toml: the machine that runs scheduler and workers of the engine of jobs in parts. docs/fleet.md explains it.

It is in the bundle of a machine of the engine's image, in place of worker.toml. The engine itself imports nothing of
ours: its units get the addresses as options, which `environment` writes.
"""

from pathlib import Path
from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta

from cji_core.documents import toml
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import EnrollmentSection

ENVIRONMENT: Final = "engine.env"
"""Is written on the machine, beside the files of a bundle."""
ROLES: Final = ("scheduler", "worker")
"""Each has a certificate for `ROLE.cji-engine`, by which the engine knows it."""
_MAX_BYTES: Final = 64 << 10
_Text = Annotated[str, Meta(min_length=1, max_length=253)]
_Name = Annotated[str, Meta(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}\Z", max_length=253)]
_Host = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")]
_NODE_ROOTS: Final = "/run/credentials/cji-engine-worker.service/node-roots.pem"


class NodesSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The workers that run tasks."""

    addresses: Annotated[tuple[_Host, ...], Meta(min_length=1, max_length=64)]
    """Of their machines, or names of them; one that does not answer leaves its tasks to others."""
    name: _Name
    """In the certificates of their doors."""
    roots: _Text
    """PEM certificates of the roots of these."""
    tasks: Annotated[int, Meta(ge=1, le=64)] = 1
    """Tasks at the same time on each of them: its cells."""

    def __post_init__(self) -> None:
        if len(set(self.addresses)) != len(self.addresses):
            raise ValueError("addresses has one twice")


class CertificatesSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the machine obtains the engine's certificates, for keys that it makes: EST, RFC 7030."""

    url: Annotated[
        str, Meta(pattern=r"^https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?/[.]well-known/est(/[A-Za-z0-9._-]{1,64})?\Z")
    ]
    roots: _Text
    """PEM certificates of the engine's authority, which issues for nothing else: each certificate of it runs code."""

    def enrollment(self, role: str) -> EnrollmentSection:
        """That of one role."""
        return EnrollmentSection(url=self.url, roots=self.roots, names=(f"{role}.cji-engine",))


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of engine.toml."""

    cloud: _Text
    pool: _Text
    """Name of the engine in manifests of its bundles."""
    nodes: NodesSection
    certificates: CertificatesSection

    def below(self, folder: Path) -> Self:
        """With absolute paths; relative ones are relative to `folder`."""
        nodes = msgspec.structs.replace(self.nodes, roots=str(folder / self.nodes.roots))
        certificates = msgspec.structs.replace(self.certificates, roots=str(folder / self.certificates.roots))
        return msgspec.structs.replace(self, nodes=nodes, certificates=certificates)

    def environment(self) -> bytes:
        """The variables of the engine's units. Every value is of characters that mean nothing to systemd."""
        options = [part for one in self.nodes.addresses for part in ("--node", one)]
        options += ["--node-name", self.nodes.name, "--node-roots", _NODE_ROOTS]
        variables = {
            "CJI_ENGINE_HOST": "0.0.0.0",  # noqa: S104 - the image's firewall has the private network and one port
            "CJI_ENGINE_SCHEDULER": "tls://127.0.0.1:8786",
            "CJI_ENGINE_TASKS": str(self.nodes.tasks),
            "CJI_ENGINE_NODES": " ".join(options),
        }
        return "".join(f"{name}={value}\n" for name, value in variables.items()).encode()


def load_engine(path: Path) -> EngineConfig:
    """Read and check engine.toml; its relative paths are relative to its folder. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError("it is larger than 64 KiB")
        return toml(data, EngineConfig).below(path.resolve().parent)
    except OSError as error:
        raise StartupError(f"The configuration {path} cannot be read", "Name a readable engine.toml.") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        what = f"The configuration {path} is not valid: {error}"
        raise StartupError(what, 'Compare it with docs/fleet.md, "An engine of the image".') from error
