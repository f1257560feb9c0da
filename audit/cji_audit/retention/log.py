"""The retention log where it is: a container in which records are created and never changed, and a local copy of it.

The copy is a folder of `0000000000.jws`, `0000000001.jws`, ... A record is read from the container once, and verified
with all before it each time. The last record of the copy must be the same in the container: one of them was changed
otherwise (`RetentionLogError`, fault "previous").

Of many who append, one gets the next number; the others read what it wrote and decide again (`LogMovedError`).
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from cji_audit.errors import AuditError
from cji_audit.retention.chain import Keys, Log, RetentionLogError
from cji_audit.retention.records import Record, sign_record
from cji_core.durable import replace_file
from cji_core.jose import SigningKey
from cji_core.pool.errors import BlobAbsentError
from cji_core.pool.store import Blobs
from cji_core.trail.compact import MAX_BYTES

_PREFIX: Final = "records"
_SUFFIX: Final = ".jws"


class LogMovedError(AuditError):
    """Somebody else appended a record meanwhile."""

    code = "retention-log-moved"
    remedy = "Repeat the command."


class RecordError(AuditError):
    """A record that cannot be made of what was given."""

    code = "retention-record-refused"
    remedy = "Give operator and explanation as plain text of at most 256 characters, a case as letters and digits."


def record_name(number: int) -> str:
    """The blob of a record."""
    return f"{_PREFIX}/{number:010d}"


def _file_name(number: int) -> str:
    return f"{number:010d}{_SUFFIX}"


def local_documents(folder: Path) -> list[str]:
    """The records of a copy, in order. Raises OSError, or RetentionLogError for a file that is not the next one."""
    found = list[str]()
    for number, path in enumerate(sorted(folder.glob(f"*{_SUFFIX}"))):
        if path.name != _file_name(number):
            raise RetentionLogError("number", number)
        try:
            with path.open("rb") as file:
                found.append(file.read(MAX_BYTES + 2).decode("ascii").removesuffix("\n"))
        except UnicodeDecodeError as error:
            raise RetentionLogError("form", number) from error
    return found


class RetentionLog:
    """The log in `blobs`, with its copy in `folder`. Methods raise StoreError, RetentionLogError and OSError."""

    def __init__(self, blobs: Blobs, folder: Path, keys: Keys) -> None:
        self._blobs, self._folder, self._keys = blobs, folder, keys
        self.state = Log(keys)

    @property
    def date(self) -> datetime | None:
        """The service's clock at its last answer."""
        return self._blobs.date

    def load(self) -> Log:
        """Read and verify everything; the state after the last record."""
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.state, last = Log(self._keys), ""
        for last in local_documents(self._folder):
            self.state.take(last)
        if last and self._read(self.state.size - 1) != last:
            raise RetentionLogError("previous", self.state.size - 1)
        self.catch_up()
        return self.state

    def catch_up(self) -> None:
        """Take what was appended since."""
        while True:
            try:
                document = self._read(self.state.size)
            except BlobAbsentError:
                return
            self._take(document)

    def append(self, make: Callable[[int, str], Record], key: SigningKey) -> Record:
        """Create the next record, of this number and previous digest. LogMovedError if another has this number.

        Raises as `signed`.
        """
        number, document = self.state.size, self.signed(make, key)
        if not self._blobs.create(record_name(number), document.encode()) and self._read(number) != document:
            self.catch_up()
            raise LogMovedError(f"record {number} of the retention log is another one")
        return self._take(document)

    def signed(self, make: Callable[[int, str], Record], key: SigningKey) -> str:
        """The next record, which is not appended.

        RecordError for what does not fit, RetentionLogError for what readers would refuse: nobody could take it back.
        """
        try:
            document = sign_record(make(self.state.size, self.state.head), key)
        except ValueError as error:
            raise RecordError("the record does not fit its form") from error
        self.state.check(document)
        return document

    def _take(self, document: str) -> Record:
        number = self.state.size
        record = self.state.take(document)
        replace_file(self._folder / _file_name(number), document.encode() + b"\n")
        return record

    def _read(self, number: int) -> str:
        try:
            return self._blobs.read(record_name(number), most=MAX_BYTES).decode("ascii")
        except UnicodeDecodeError as error:
            raise RetentionLogError("form", number) from error
