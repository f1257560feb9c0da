"""The SDK of upstream apps: seal records, run them on an attested worker, verify the receipt, open the result.

    with connect("client.toml") as worker:
        with worker.run("people.csv", "job.toml") as result:
            frame = result.pandas()

Each step refuses on any doubt: evidence that fails a check, a key other than the pinned one, a receipt that does not
match the exact bytes sent and received. All errors are `ClientError`s and carry a remedy.

`cji_client`, in the distribution of that name, has the names that most programs need; this package has none, so that a
module loads no more than it uses. `asynchronous.Client` and `transport.SyncClient` are the calls below `connect`, for
programs that hold their keys and specs otherwise. The parameters of an operation are in
`cji_operations.NAME`, everything else in the module that its name suggests: `keys`, `sources`, `verify`.
"""
