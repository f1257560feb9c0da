"""A pool under the control of others, over HTTP on loopback, as a scale set is under the resource manager's.

| request | does |
|---|---|
| GET /instances, /model, /rolling-upgrade | the instances; the image of the model; the state of the last upgrade |
| PUT /model `{"image": ID}` | sets the image; only images of the gallery |
| POST /instances/N/restart | drains, reboots, starts |
| POST /deallocate, /start | all instances |
| DELETE / | drains all instances and forgets them: from then on the scale set does not exist |
| POST /rolling-upgrade | upgrades all instances to the model, in the background |
| POST /operator/add-key, /operator/renew | a bundle with the key's newest version; with a new certificate |

It protects nothing. `pool.json` in the state folder has its address.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

from cji_simulator.endpoints import POOL
from cji_simulator.launch import renew_certificate
from cji_simulator.pool import Instance, Pool
from cji_simulator.releases import Release
from cji_simulator.roots import HOST
from cji_simulator.worker import WorkerDied

__all__ = ["PoolService"]

_INSTANCE: Final = re.compile(r"/instances/([0-9]{1,4})/restart")


class PoolService:
    """The interface of one pool; a context manager. `images` are the releases of the gallery, by image id."""

    def __init__(self, pool: Pool, *, state: Path, images: dict[str, Release], image: str) -> None:
        self._pool, self._images, self._image = pool, images, image
        self._upgrade, self._lock, self._exists = "Completed", threading.Lock(), True
        self._file = state / POOL
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer((HOST, 0), handler)
        self._threads = [threading.Thread(target=self._server.serve_forever, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        self._file.write_text(json.dumps({"url": f"http://{HOST}:{self._server.server_address[1]}"}))
        return self

    def __exit__(self, *_: object) -> None:
        self._file.unlink(missing_ok=True)
        self._server.shutdown()
        self._server.server_close()
        for each in self._threads[1:]:
            each.join()

    def answer(self, method: str, path: str, body: Any) -> Any:
        """The answer to a request. Raises LookupError for what does not exist, WorkerDied."""
        if not self._exists:
            raise LookupError("the scale set was not found")
        match method, path:
            case "GET", "/instances":
                return [
                    {"instanceId": str(each.number), "running": each.worker is not None}
                    for each in self._pool.instances
                ]
            case "GET", "/model":
                return {"image": self._image}
            case "GET", "/rolling-upgrade":
                return {"code": self._upgrade}
            case "PUT", "/model":
                self._images[body["image"]]
                self._image = body["image"]
                return {}
        with self._lock:
            return self._act(method, path)

    def _act(self, method: str, path: str) -> Any:
        pool = self._pool
        match method, path:
            case "POST", "/deallocate":
                for each in pool.instances:
                    pool.stop(each)
            case "DELETE", "/":
                for each in pool.instances:
                    pool.stop(each)
                pool.instances.clear()
                self._exists = False
            case "POST", "/start":
                for each in pool.instances:
                    if each.worker is None:
                        pool.reboot(each)
            case "POST", "/rolling-upgrade":
                self._upgrade = "RollingForward"
                self._threads.append(threading.Thread(target=self._roll, args=(self._images[self._image],)))
                self._threads[-1].start()
            case "POST", "/operator/add-key":
                name = pool.cmk.kek_id.rpartition("/")[0].rpartition("/")[2]
                pool.use_keys([pool.simulation.cmk(name), pool.cmk])
            case "POST", "/operator/renew":
                for each in pool.instances:
                    renew_certificate(each.files)
            case "POST", _ if (found := _INSTANCE.fullmatch(path)) is not None:
                pool.reboot(self._instance(int(found[1])))
            case _:
                raise LookupError(path)
        return {}

    def _instance(self, number: int) -> Instance:
        return next(each for each in self._pool.instances if each.number == number)

    def _roll(self, release: Release) -> None:
        try:
            self._pool.roll(release)
        except WorkerDied:
            self._upgrade = "Faulted"
        else:
            self._upgrade = "Completed"


class _Handler(BaseHTTPRequestHandler):
    service: PoolService

    def do_GET(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: the pool has logs of its own."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            status, document = 200, self.service.answer(self.command, self.path, body)
        except (LookupError, StopIteration) as error:
            status, document = 404, {"error": str(error)}
        except WorkerDied as error:
            status, document = 500, {"error": str(error)}
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
