"""`python -m cji_deploy.expected`: write what a deployment must be into the worker's distribution."""

from pathlib import Path

from cji_deploy.check.expected import FILE, build, encoded

if __name__ == "__main__":
    FILE.write_bytes(encoded(build(Path(__file__).parents[1])))
