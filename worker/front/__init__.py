"""The gRPC server: sizes, deadlines, admission and back-pressure. It moves ciphertext and has no key.

* `server` is the process: TLS, health, drain.
* `service` answers the four calls; `run` serves one job; `witness` counts and digests what passes of it.
* `guard` turns every failure into a Reason; `status` maps Reasons to gRPC.
* `keyholder_client` is the front's end of the channel to the keyholder.
"""
