"""The gRPC server: sizes, deadlines, admission and back-pressure. It moves ciphertext and has no key.

* `server` is the process: its socket behind the TLS door (`cji_worker.door`), drain, its own clock.
* `guard` is passed by every call: identity (`peer`), the caller's share (`submitters`), a Reason for every failure;
  `status` maps Reasons to gRPC, `refused` counts what is refused before a job is known, `patience` limits waits for a
  caller.
* `service` answers the four calls, `health` those of grpc.health.v1. `run` takes jobs and tasks,
  `job_stream` serves one, `frames` reads its segments, `witness` counts and digests what passes of it.
* `finish` ends jobs in parts.
* `fleet_door` has the calls of the fleet process, at a socket of its own.
* `keyholder_client` is the front's end of the channel to the keyholder.
"""
