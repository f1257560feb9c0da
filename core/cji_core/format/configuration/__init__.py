"""Configuration: each file of an operator as one frozen value. An unknown key, or a value out of range, is refused.

`worker` is worker.toml, with its sections for a pool in `fleet`; `console` is console.toml; `sinks` are those of
audit.toml. `door_files`, `operator_files`, `policy_files` and `table_files` read the files that worker.toml names.
"""
