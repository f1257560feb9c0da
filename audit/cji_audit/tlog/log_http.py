"""A log over HTTP: tiles and checkpoint for everybody, entries of trails for who has the reader's token.

GET  <prefix>/checkpoint, <prefix>/tile/...      C2SP tlog-tiles: the newest published tree and no later hash
GET  <prefix>/tile/entries/...                   with the reader's token; of a log of releases, for everybody
POST <prefix>/statements                         with the reader's token: a `StatementLeaf`
POST <prefix>/entries, GET <prefix>/trails/<id>  with the submitter's token: `cji_core.tlog.submissions`
"""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cji_audit.tlog.cosigning import CosigningError
from cji_audit.tlog.http_server import Answer, Request
from cji_audit.tlog.log import AgencyLog
from cji_core.log import log
from cji_core.tlog.leaves import LeafError, StatementLeaf, decode_leaf
from cji_core.tlog.submissions import Refused, Submission, bears, read_message
from cji_core.tlog.tiles import Tile, encode_bundle, parse_path
from cji_core.trail.checkpoint import CheckpointError, parse_checkpoint

_JSON: Final = "application/json"
_BYTES: Final = "application/octet-stream"
_IMMUTABLE: Final = {"Cache-Control": "max-age=31536000, immutable"}
_MUTABLE: Final = {"Cache-Control": "no-store"}
_STATUS: Final = {
    "form": 400,
    "evidence": 403,
    "signature": 403,
    "identity": 403,
    "unknown_key": 428,
    "unknown_trail": 428,
    "consistency": 422,
}
_TRAIL: Final = re.compile(r"trails/([0-9a-f]{96})")
RETRY_SECONDS: Final = 30


class LogHandler:
    """Answers requests for one log."""

    def __init__(self, agency_log: AgencyLog, *, reader: str, submitter: str | None) -> None:
        """`reader` and `submitter` are bearer tokens; without the latter nothing is submitted."""
        self._log, self._reader, self._submitter = agency_log, reader, submitter
        self._prefix = urlsplit(agency_log.policy.file.url).path.rstrip("/") + "/"

    def __call__(self, request: Request) -> Answer:
        """The answer to a request."""
        if not request.path.startswith(self._prefix):
            return Answer(status=404)
        path = request.path.removeprefix(self._prefix)
        if request.method == "POST":
            return self._posted(path, request)
        if path == "checkpoint":
            note = self._log.published()
            return Answer(status=404) if note is None else Answer(status=200, body=note.encode(), headers=_MUTABLE)
        if path.startswith("tile/"):
            return self._tile(path, request)
        if trail := _TRAIL.fullmatch(path):
            return self._newest(trail[1], request)
        return Answer(status=404)

    def _tile(self, path: str, request: Request) -> Answer:
        try:
            tile = parse_path(path)
        except CheckpointError:
            return Answer(status=404)
        of_trails = not self._log.policy.publishers
        if tile.level is None and of_trails and not bears(request.authorization, self._reader):
            return Answer(status=403)
        note = self._log.published()
        if note is None or not tile.is_in(note.size):
            return Answer(status=404)
        return Answer(status=200, body=self._bytes(tile), kind=_BYTES, headers=_IMMUTABLE)

    def _bytes(self, tile: Tile) -> bytes:
        store = self._log.store
        if tile.level is None:
            return encode_bundle(store.entries(tile.first, tile.width))
        return b"".join(store.hashes(tile.level, tile.first, tile.width))

    def _newest(self, trail: str, request: Request) -> Answer:
        if not any(each and bears(request.authorization, each) for each in (self._submitter, self._reader)):
            return Answer(status=403)
        found = self._log.newest(trail)
        return Answer(status=404) if found is None else _json(200, found)

    def _posted(self, path: str, request: Request) -> Answer:
        token = {"entries": self._submitter, "statements": self._reader}.get(path)
        if token is None:
            return Answer(status=404)
        if not bears(request.authorization, token):
            return Answer(status=403)
        size = 0
        try:
            if path == "statements":
                leaf = decode_leaf(request.body)
                if not isinstance(leaf, StatementLeaf):
                    raise LeafError("form", "not a statement")
                return _json(200, self._log.state(leaf))
            submission = read_message(request.body, Submission)
            newest = self._log.newest(submission.trail)
            size = 0 if newest is None else parse_checkpoint(newest.note.encode()).size
            return _json(200, self._log.add(submission))
        except LeafError as error:
            log("entry refused", what=error.cause)
            return _json(_STATUS.get(error.cause, 409), Refused(cause=error.cause, size=size))
        except CosigningError as error:
            body = msgspec.json.encode(Refused(cause=error.code, size=size))
            return Answer(status=503, body=body, kind=_JSON, headers={"Retry-After": str(RETRY_SECONDS)})


def _json(status: int, message: msgspec.Struct) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(message), kind=_JSON, headers=_MUTABLE)
