"""The processes of a log and of a witness: from their files to servers that run until SIGTERM."""

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_audit.tlog.attesting import appraiser
from cji_audit.tlog.cosigning import CosigningError
from cji_audit.tlog.http_server import Handle, Server
from cji_audit.tlog.log import AgencyLog
from cji_audit.tlog.log_http import LogHandler
from cji_audit.tlog.settings import LogFile, WitnessFile
from cji_audit.tlog.store import LogStore
from cji_audit.tlog.witness import Witness, WitnessState
from cji_core.errors import StartupError
from cji_core.log import log
from cji_core.tlog.calls import log_client
from cji_core.tlog.keys import LOG_TYPES, WITNESS_TYPES
from cji_core.tlog.policy import Policy, load_policy
from cji_core.tlog.requests import MAX_BODY
from cji_core.tlog.submissions import MAX_SUBMISSION_BYTES, read_token

REFRESH_SECONDS: Final = 60.0


@contextmanager
def log_server(file: LogFile, *, trusts: Mapping[str, Trust], reference: ReferenceValues) -> Iterator[Server]:
    """The server of a log, listening; it refreshes the cosignatures until the block ends.

    Raises StartupError or SpecError.
    """
    policy = load_policy(Path(file.policy))
    with alone(Path(file.state)), file.signers(LOG_TYPES) as signers:
        store = LogStore(Path(file.state), origin=policy.file.origin)
        stop = threading.Event()
        try:
            found = AgencyLog(
                store,
                policy,
                signers,
                appraise=appraiser(trusts, reference),
                client=log_client(file.ca_file),
            )
            reader, submitter = read_token(Path(file.reader_token_file)), _submitter(file, policy)
            if reader == submitter:
                raise StartupError("Readers and submitters have one token", "Make another one for readers.")
            handler = LogHandler(found, reader=reader, submitter=submitter)
            server = _listening(handler, file, max_body=MAX_SUBMISSION_BYTES)
            threading.Thread(target=_refresh, args=(found, stop), daemon=True).start()
            yield server
        finally:
            stop.set()
            store.close()


@contextmanager
def witness_server(file: WitnessFile) -> Iterator[Server]:
    """The server of a witness, listening. Raises StartupError, SpecError or WitnessStateError."""
    with alone(Path(file.state)), file.signers(WITNESS_TYPES) as signers:
        state = WitnessState(Path(file.state))
        try:
            witness = Witness(state, signers, file.keys())
            yield _listening(witness, file, max_body=MAX_BODY)
        finally:
            state.close()


def _submitter(file: LogFile, policy: Policy) -> str | None:
    """The token of deliverers, None for a log of releases."""
    if (file.submitter_token_file is None) is not bool(policy.publishers):
        kind = "releases, which nobody delivers" if policy.publishers else "trails"
        raise StartupError(
            f"The log is of {kind}, by its policy's publishers, and submitter_token_file does not fit",
            "Name submitter_token_file for a log of trails, and leave it out for one of releases.",
        )
    return None if file.submitter_token_file is None else read_token(Path(file.submitter_token_file))


def _listening(handle: Handle, file: LogFile | WitnessFile, *, max_body: int) -> Server:
    return Server(
        handle,
        host=file.host,
        port=file.port,
        max_body=max_body,
        tls=file.tls,
        per_address=file.connections_per_address,
    )


def run(server: Server, *, started: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: threading.Thread(target=server.stop).start())
    started()
    server.serve()


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the lock beside a state file. Raises StartupError if another process has it."""
    try:
        fd = os.open(f"{state}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(f"The folder of {state} cannot be written", "Make it, for this user.") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise StartupError(f"Another process has {state} open", "Stop it first.") from error
    finally:
        os.close(fd)


def _refresh(found: AgencyLog, stop: threading.Event) -> None:
    while True:
        try:
            found.refresh()
        except CosigningError as error:
            log("log not cosigned", what=str(error), remedy=error.remedy)
        except Exception as fault:  # noqa: BLE001 - the server goes on, and submissions have their own attempt
            log("log not cosigned", what=type(fault).__name__)
        if stop.wait(REFRESH_SECONDS):
            return
