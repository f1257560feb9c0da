"""The configuration bundle: how worker.toml, policy and certificates reach a machine whose image has none of them.

* `archive` is the format and its reader, `signatures` what makes a bundle trustworthy, `names` what may be in one.
* `private_keys` finds what must never be in one; `contents` checks the files by the readers that a worker uses.
* `source` fetches a bundle from user data or Blob Storage, trusted for nothing; `apply` measures and writes it.
* `vault_signer` signs by a key of Key Vault.

`cji bundle` is its command, deploy/systemd/cji-bundle.service runs `cji bundle apply`, docs/bundle.md explains it.
"""
