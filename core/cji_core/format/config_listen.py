"""The sections of worker.toml for the TLS door: its address and files, and how its certificate is obtained."""

from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from cji_core.format.config_fleet import ClientId

_Text = Annotated[str, Meta(min_length=1, max_length=1024)]


class EnrollmentSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How `cji door enroll` obtains the server's certificate for a key that this machine makes: EST, RFC 7030."""

    url: Annotated[
        str, Meta(pattern=r"^https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?/[.]well-known/est(/[A-Za-z0-9._-]{1,64})?\Z")
    ]
    """Of the EST service, with the label of the authority if it has several."""
    roots: _Text
    """PEM certificates of the roots that both the EST service and the issued certificate must lead to."""
    names: Annotated[
        tuple[
            Annotated[str, Meta(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}\Z", max_length=253)], ...
        ],
        Meta(min_length=1, max_length=16),
    ]
    """DNS names of the certificate, as submitters call the pool."""
    audience: _Text | None = None
    """Audience of the managed identity's token, by which the EST service knows the machine. Without it none is sent."""
    client_id: ClientId | None = None
    """Client id of the user-assigned identity, if the machine has several."""

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError("names has one twice")

    def below(self, folder: Path) -> Self:
        """The section with absolute paths; relative ones are relative to `folder`."""
        return msgspec.structs.replace(self, roots=str(folder / self.roots))


class ListenSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The TLS door, and the socket behind it."""

    host: _Text = "0.0.0.0"  # noqa: S104 - a server on the operator's private network
    port: Annotated[int, Meta(ge=1, le=65535)] = 8443
    socket: Annotated[str, Meta(min_length=1, max_length=100)] = "/run/cji-door/front.sock"
    """Unix socket of the front, in a folder that only the door's group may enter."""
    certificate: _Text
    private_key: _Text
    """Of the server, PEM; the door alone reads both."""
    client_roots: _Text
    """PEM certificates of the authorities that issue the submitters' client certificates, each by itself."""
    client_crl: _Text | None = None
    """PEM revocation lists, one of each authority in `client_roots`. Without them no certificate can be revoked."""
    enrollment: EnrollmentSection | None = None
    """Without this section, somebody else puts certificate and key where they are named."""

    def below(self, folder: Path) -> Self:
        """The section with absolute paths; relative ones are relative to `folder`."""
        return msgspec.structs.replace(
            self,
            certificate=str(folder / self.certificate),
            private_key=str(folder / self.private_key),
            client_roots=str(folder / self.client_roots),
            client_crl=None if self.client_crl is None else str(folder / self.client_crl),
            socket=str(folder / self.socket),
            enrollment=None if self.enrollment is None else self.enrollment.below(folder),
        )
