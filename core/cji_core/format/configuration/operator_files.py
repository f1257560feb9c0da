"""The files of an operator that a running worker takes again: the policy, its signatures, and who may call.

The server's own certificate and key are the TLS door's.

They are read at start and at every reload by the same functions, each whole and bounded; a file that is not there, not
a regular one or too large is refused by the name of its key in the configuration. What is in them is checked by the
process that uses them. Files are in memory of the worker only: nobody opens them a second time.
"""

import os
import stat
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.errors import StartupError

FileKey = Literal["policy_file", "policy_signatures", "client_roots", "client_crl", "bundle"]
MAX_BYTES: Final = 1 << 20
"""Of each file."""
MAX_VALUE_BYTES: Final = 2 << 20
"""Of all files together that reference values name."""

_File = Annotated[bytes, Meta(max_length=MAX_BYTES)]
_Value = Annotated[bytes, Meta(max_length=MAX_VALUE_BYTES)]


class PolicyFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bytes of the policy, and of the signatures beside it; no `signatures` if none are required.

    `head` is that of the configuration bundle whose file the policy is, where it came in one, and `values` are the
    files of this bundle that reference values name, by name.
    """

    policy: _File
    signatures: _File | None
    head: _File | None = None
    values: dict[str, _Value] = {}


class ClientFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bytes of the authorities and their revocation lists; no `client_crl` if none is configured."""

    client_roots: _File
    client_crl: _File | None


class FileRefused(StartupError):  # noqa: N818 - the domain's word, as in StartupError's base
    """A file of the operator that cannot be used. `file` is its key in the configuration."""

    def __init__(self, file: FileKey, what: str, remedy: str) -> None:
        super().__init__(f"{file}: {what}", remedy)
        self.file: FileKey = file


def read_file(file: FileKey, path: str, *, limit: int = MAX_BYTES) -> bytes:
    """The bytes of one file. Raises FileRefused."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # never wait for the other end of a pipe
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise FileRefused(file, "it is not a regular file", f"Put a file at {path!a}.")
            with open(fd, "rb", closefd=False) as stream:
                data = stream.read(limit + 1)
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise FileRefused(file, "it does not exist", f"Put a file at {path!a}.") from error
    except OSError as error:
        raise FileRefused(file, "it cannot be read", f"Let the worker's user read {path!a}.") from error
    if len(data) > limit:
        raise FileRefused(file, f"it is larger than {limit >> 20} MiB", f"Put the right file at {path!a}.")
    return data


def signatures_path(policy_file: str) -> str:
    """The file beside a policy that holds its signatures."""
    return f"{policy_file}.signatures"


def head_path(policy_file: str) -> str:
    """The file beside a policy that has the head of its bundle; there is none if it came in none."""
    return os.path.join(os.path.dirname(policy_file), "bundle.head")


def read_policy_files(policy_file: str, *, signed: bool, values: Iterable[str] = ()) -> PolicyFiles:
    """The policy at this path, and if `signed` its signatures. Raises FileRefused for the first that is unreadable.

    `values` are the names of files beside it that reference values name; they are read if it came in a bundle.
    """
    head, folder = head_path(policy_file), os.path.dirname(policy_file)
    bundled = os.path.lexists(head)
    return PolicyFiles(
        policy=read_file("policy_file", policy_file),
        signatures=read_file("policy_signatures", signatures_path(policy_file)) if signed else None,
        head=read_file("bundle", head) if bundled else None,
        values={name: _value(folder, name) for name in (values if bundled else ())},
    )


def _value(folder: str, name: str) -> bytes:
    return read_file("bundle", os.path.join(folder, name), limit=MAX_VALUE_BYTES)


def read_client_files(*, client_roots: str, client_crl: str | None) -> ClientFiles:
    """The files at these paths. Raises FileRefused for the first that cannot be read."""
    return ClientFiles(
        client_roots=read_file("client_roots", client_roots),
        client_crl=None if client_crl is None else read_file("client_crl", client_crl),
    )
