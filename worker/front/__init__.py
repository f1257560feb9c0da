"""The gRPC door: sizes, deadlines, admission and back-pressure. It moves ciphertext and has no key.

* `server` is the process: TLS, health, drain.
* `service` answers the four calls; `run` is the way of one job through this process.
* `guard` turns everything that goes wrong into a Reason; `status` is the map to gRPC.
* `keyholder_client` is the front's end of the channel to the keyholder.
"""
