"""The TLS door: nginx in front of the worker's socket, with a user of its own and no network but its listener.

* `report` is what the front reads: names and values that the door states about a caller.
* `config` makes the configuration from worker.toml; `program` is nginx on this machine, `files` the server's TLS files.

`cji door` writes the configuration; `deploy/systemd/cji-door.service` runs it, and the simulator in the same way.
"""
