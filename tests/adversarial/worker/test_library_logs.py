"""What a library reports of a hostile peer's bytes: an event without them, however often, and no line of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.hostile_http import BEHAVIOURS, hostile

_HTTP: Final = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\nx-ms-version: SMITH\r\n\r\n%s"
_XML: Final = b"Content-Type: application/xml\r\n"


def _answer(status: bytes, head: bytes, body: bytes) -> bytes:
    return _HTTP % (status, head, len(body), body)


_ANSWERS: Final = {
    "error without a body": _answer(b"404 SMITH", _XML, b""),
    "error that is no XML": _answer(b"409 SMITH", _XML, b"<SMITH"),
    "entity": _answer(b"500 SMITH", _XML, b"<!DOCTYPE a [<!ENTITY b 'SMITH'>]><a>&b;</a>"),
    "answer that is no XML": _answer(b"200 OK", _XML, b"SMITH"),
    "redirect with a name": _answer(b"307 SMITH", b"Location: https://SMITH/\r\n", b"SMITH"),
    "header without a colon": _answer(b"200 OK", b"SMITH\r\n", b""),
    "header that is no text": _answer(b"200 OK", b"\xff\xfeSMITH: \x00\r\n", b""),
    "challenge": _answer(b"401 SMITH", b'WWW-Authenticate: Bearer authorization_uri="https://SMITH"\r\n', b"SMITH"),
}
_PROGRAM: Final = """
import sys
from contextlib import suppress
from typing import Any
from cji_core.log import events_only
from cji_core.pool.errors import StoreError
from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from tests.support.fixed_credential import FixedCredential

events_only()
url, ca_file = sys.argv[1:]
given: Any = {"credential": FixedCredential(), "ca_file": ca_file, "seconds": 0.4}
queue, blobs = Queue(f"{url}/a", "jobs", **given), Blobs(f"{url}/a", "jobs", **given)
for ask in (
    lambda: queue.receive(lease=9), queue.state, lambda: queue.send("x"), lambda: blobs.read("x", most=10),
    lambda: blobs.create("x", b"1"), lambda: blobs.staged("x"),
):
    with suppress(StoreError):
        ask()
print("ended")
"""


@pytest.mark.parametrize("answer", [*_ANSWERS, "garbage", "cut", "chunk that lies"])
def test_l01_a_hostile_storage_writes_no_text_of_its_own(
    tmp_path: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _ANSWERS.get(answer)
    if data is not None:
        monkeypatch.setitem(BEHAVIOURS, answer, lambda send, _: send(data))
    with hostile(tmp_path, answer, tls=True) as at:
        ran = subprocess.run(
            [sys.executable, "-c", _PROGRAM, f"https://127.0.0.1:{at.port}", at.ca_file],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ran.stdout, ran.returncode) == ("ended\n", 0), ran.stderr
    assert "SMITH" not in ran.stderr
    for line in ran.stderr.splitlines():
        assert json.loads(line)["event"] == "library"


_FLOOD: Final = """
import logging, warnings
from cji_core.log import events_only
own = logging.getLogger("azure.SMITH")
own.addHandler(logging.StreamHandler())
own.propagate = False
own.setLevel(logging.DEBUG)
def fails():
    raise ValueError("SMITH")
events_only()
for number in range(10_000):
    own.warning("of %s", "SMITH")
    own.debug("SMITH")
    try:
        fails()
    except ValueError:
        logging.getLogger("SMITH").exception("SMITH")
for number in range(200):
    exec(compile("\\n" * number + "own.error('SMITH')", "SMITH.py"[:0] + "places.py", "exec"))
"""


def test_l01_a_library_that_is_made_to_complain_fills_no_disk() -> None:
    ran = subprocess.run([sys.executable, "-c", _FLOOD], capture_output=True, text=True, timeout=60, check=True)
    assert "SMITH" not in ran.stderr + ran.stdout
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert {line["event"] for line in lines} == {"library"}
    assert len(lines) <= 70
    counts = dict[tuple[str, str | None], int]()
    for line in lines:
        key = line["what"].partition(":")[0], line.get("error")
        counts[key] = counts.get(key, 0) + line["count"]
    assert counts[("other", "ValueError")] == 10_000
    assert counts[("azure", None)] + counts[("other", None)] == 10_200
