"""Runs a job in parts over many machines with Dask, outside the trust boundary: it moves names and sizes, no records.

The scheduler, the engine's workers and the conductor have no key and no access to Blob Storage. A worker of the engine
hands the name of a task to the fleet process of its node over a Unix socket, and returns what that answers: digests,
sizes and times. Whoever takes over the engine can delay jobs and see names, sizes and times.

Dask unpickles what its peers send, by design: whoever holds a conductor's certificate runs code as the engine's users.
Those users can read no record and no key. `roles` limits what each certificate may do; the units in deploy/systemd
limit what the processes may.

`messages`, `estimate` and `conductor` need no Dask; `roles`, `nodes`, `task` and `cluster` are what Dask runs.
"""
