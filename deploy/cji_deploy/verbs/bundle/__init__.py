"""`cji bundle`: the signed configuration of a pool, from a folder on somebody's desk to a worker's machine."""

from cji_core.command.verbs import Verbs

_HELP = """Make, sign, verify and apply configuration bundles.

A bundle is one file with worker.toml, policy and certificates, which a machine of the image takes at its start if a key
in the image signed it. It has no secret: the machine makes its own TLS key, and the CMK is released to it.

\b
At the desk, once:
  cji key new-signing bundle.key                     # or a P-384 key in Key Vault
  cji bundle key bundle.key > bundle-keys/me.pem     # into the image: /usr/share/cji/bundle-keys
For each change:
  cji bundle make config/ --serial 8 -o pool.bundle
  cji bundle sign pool.bundle --key bundle.key
  cji bundle verify pool.bundle --keys bundle-keys/
  # deploy it as user data (up to 64 KiB) or as a blob, then restart the machines one by one
On the machine, by cji-bundle.service:
  cji bundle apply

\b
Exit status: 0 success, 2 unusable input, 3 do not trust the bundle, 4 try again later.
"""

bundle = Verbs(
    "bundle",
    package=__name__,
    verbs={
        "make": "make",
        "sign": "sign",
        "key": "sign:key",
        "verify": "show:verify",
        "show": "show",
        "apply": "apply",
    },
    help=_HELP,
)
