"""The client of cji-worker: `worker.client`, under the name of the distribution that ships it.

    from cji_client import connect

    with connect("client.toml") as worker:
        result = worker.run("people.csv", spec="job.toml")
        frame = result.pandas()

`cji_client.operations` has the parameters of the operations.
"""

from worker.client import *  # noqa: F403 - exactly the public names
from worker.client import __all__ as __all__
