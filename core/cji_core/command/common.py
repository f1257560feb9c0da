"""Shared by all verbs: errors with remedies, and files that several name."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import click
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import REASONS, ClientError, Refusal, SpecError, StartupError, Unverified
from cji_core.format.configuration.worker import Config, load
from cji_core.pairs import SigningPair
from cji_core.printable import printable

_EXTRAS: Final = {
    "aiohttp": ("cji-client", "desk"),
    "azure": ("cji-client", "fleet"),
    "cbor2": ("cji-attestation", "corim"),
    "openpyxl": ("cji-client", "excel"),
    "pkcs11": ("cji-core", "pkcs11"),
    "requests": ("cji-client", "fleet"),
    "rfc3161_client": ("cji-client", "evidence"),
    "tpm2_pytss": ("cji-attestation", "release"),
    "urllib3": ("cji-client", "fleet"),
    "cji_operations": ("cji-client", "local"),
}
"""The distribution and its extra that bring a package."""

_NOTHING: Final = "nothing sent"
"""The state of a job of which nothing was sent."""

P = ParamSpec("P")
T = TypeVar("T")

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Failure(click.ClickException):
    """Ends the command with a message, a remedy and a documented exit status.

    `what` and `remedy` are for programs; people read both, or `text` where there is one.
    """

    def __init__(self, message: str, *, remedy: str, status: int, text: str = "") -> None:
        super().__init__(printable(text or (f"{message}\n{remedy}" if remedy else message), keep="\n"))
        self.what = message
        self.remedy = remedy
        self.status = status

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # a class variable in the base
        """The exit status, which click reads."""
        return self.status


def explained(command: Callable[P, T]) -> Callable[P, T]:
    """Turn errors from the rooms below into a `Failure`."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except click.ClickException:  # is explained
            raise
        except Exception as error:
            failure = _failure(error)
            if failure is None:
                raise
            raise failure from error

    return run


def _failure(error: Exception) -> Failure | None:
    """The failure for an error that has a remedy; None for any other."""
    if isinstance(error, ModuleNotFoundError):
        return lacking(error)
    if isinstance(error, ClientError):
        correlation = getattr(error, "correlation_id", "")
        message = f"{error} (correlation id {correlation})" if correlation else str(error)
        return Failure(message, remedy=error.remedy, status=_status(error))
    if isinstance(error, Refusal) and not isinstance(error, StartupError):
        what, remedy = f"{error.reason.value} at {error.stage.value}", REASONS[error.reason].remedy
        return Failure(what, remedy=remedy, status=1, text=str(error))
    found: str | None = getattr(error, "what", None)  # of a StartupError, an AttestationError: the text has the remedy
    return None if found is None else Failure(found, remedy=getattr(error, "remedy", ""), status=1, text=str(error))


def _status(error: ClientError) -> int:
    if error.exit_status is not None:
        return error.exit_status
    if isinstance(error, SpecError):
        return 2 if getattr(error.standing, "sent", _NOTHING) == _NOTHING else 5
    return 3 if isinstance(error, Unverified) else 4 if error.retryable else 1


def extra_of(error: ModuleNotFoundError) -> tuple[str, str] | None:
    """The distribution and its extra that bring a missing package; None for any other module."""
    return _EXTRAS.get(str(error.name).partition(".")[0])


def lacking(error: ModuleNotFoundError) -> Failure | None:
    """The failure for a package of an extra that is not installed; None for any other module."""
    if (found := extra_of(error)) is None:
        return None
    package = str(error.name).partition(".")[0]
    remedy = f"Install it: pip install '{found[0]}[{found[1]}]'."
    return Failure(f"this verb needs the package {package}", remedy=remedy, status=2)


def configuration(path: Path) -> Config:
    """A worker's configuration, or a Failure that explains what is wrong with the file."""
    try:
        return load(path)
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error


def passphrase_for(path: Path) -> bytes | None:
    """The passphrase of a PEM file if it is encrypted: of the file that the environment names, else from a prompt."""
    from cji_core.format.passphrases import passphrase_of  # noqa: PLC0415 - as above

    return passphrase_of(path, prompt)


def prompt(path: Path) -> bytes:
    """Prompt for the passphrase of a file."""
    text: str = click.prompt(f"Passphrase for {path.name}", hide_input=True, err=True)
    return text.encode()


def signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The P-384 key of somebody who signs decisions or reviews; prompts for a passphrase if it is encrypted."""
    from cji_core.format.keys import load_signing_key  # noqa: PLC0415 - as above

    key = load_signing_key(path, passphrase=passphrase_for(path))
    if isinstance(key, SigningPair):
        remedy = "Make one for this purpose: `cji key new-signing`."
        raise Failure(f"{path.name} is a pair; this needs a P-384 key", remedy=remedy, status=2)
    return key


def plural(number: int, one: str, several: str | None = None) -> str:
    """A number of things for people: `1 line`, `2 lines`; `several` is a plural of its own form."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"
