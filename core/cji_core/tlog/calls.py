"""Calls to a log over HTTPS: a statement for it, a copy of a log of releases. Nothing in an answer is verified here."""

from cji_core.errors import StartupError
from cji_core.https import Client, ExchangeError, tls_context
from cji_core.tlog.leaves import LeafError, StatementLeaf, encode_leaf
from cji_core.tlog.policy import Policy
from cji_core.tlog.releases import MAX_ENTRIES, ReleaseLog, ReleaseLogError
from cji_core.tlog.submissions import Added, Refused, read_message
from cji_core.tlog.tiles import entry_bundles, split_bundle
from cji_core.trail.checkpoint import CheckpointError, parse_cosigned


class LogUnreachableError(CheckpointError):
    """The log did not answer, or has not what was asked for; the text names the reason."""

    code = "log-unreachable"
    status = 4
    remedy = "Check the address in the policy, the token and the network; then run it again."


def log_client(ca_file: str | None) -> Client:
    """A client with the system's roots, or those of a file. Raises StartupError."""
    try:
        return Client(tls_context(ca_file=ca_file), plain=True)
    except (OSError, ValueError) as error:
        raise StartupError(f"The roots of {ca_file or 'the system'} cannot be read", "Name a PEM file.") from error


def state(client: Client, policy: Policy, token: str, statement: StatementLeaf) -> Added:
    """Give a statement to the log; return its entry and proof. Raises LogUnreachableError, or LeafError if it refuses.

    The same release once more is not refused. Cause `witness-refused`: it is in the log, and has no quorum yet.
    """
    status, body = call(client, "POST", f"{policy.file.url}/statements", token, encode_leaf(statement))
    if status != 200 and body.startswith(b"{"):
        raise LeafError(read_message(body, Refused).cause, "the log did not take the statement")
    if status in range(400, 500):
        raise LeafError(f"HTTP {status}", "the log did not take the statement")
    if status != 200:
        raise LogUnreachableError(f"the log answers with HTTP {status}")
    return read_message(body, Added)


def fetch_copy(client: Client, policy: Policy) -> ReleaseLog:
    """Every entry of a log of releases, with its newest checkpoint. Raises CheckpointError."""
    note = _got(client, f"{policy.file.url}/checkpoint")
    size = parse_cosigned(note).size
    if size > MAX_ENTRIES:
        raise ReleaseLogError(f"a log of {size} entries, of which a reader takes {MAX_ENTRIES}")
    entries: list[bytes] = []
    for tile in entry_bundles(size):
        entries += split_bundle(_got(client, f"{policy.file.url}/{tile.path}"), width=tile.width)
    try:
        return ReleaseLog(entries=tuple(each.decode() for each in entries), checkpoint=note.decode())
    except UnicodeDecodeError:
        raise ReleaseLogError("an entry that is not UTF-8") from None


def call(client: Client, method: str, url: str, token: str | None, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of an answer. Raises LogUnreachableError."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        answer = client.exchange(method, url, headers=headers, body=body)
    except ExchangeError as error:
        raise LogUnreachableError(f"the log cannot be reached: {error}") from error
    return answer.status, answer.body


def _got(client: Client, url: str) -> bytes:
    status, body = call(client, "GET", url, None)
    if status != 200:
        raise LogUnreachableError(f"the log answers with HTTP {status} for {url}")
    return body
