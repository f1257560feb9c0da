"""The peer behind each ratio, as a picture names it, goals, and what else is compared with earlier results.

docs/benchmarks.md has the whole definition.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["COSTS", "GOALS", "PEERS", "WALL"]

_ECHO: Final = "a grpc.aio echo behind TLS"
_LEAST: Final = "the least CPU that it could cost"

PEERS: Final[Mapping[tuple[str, str], str]] = {
    **{("pipeline", f"echo{kind}"): _ECHO for kind in ("", "_copy", "_tokens", "_cmac_tokens", "_all_cores")},
    **{("pipeline", f"floor{kind}"): _LEAST for kind in ("", "_copy", "_tokens", "_cmac_tokens")},
    ("pipeline", "peak"): "a job a hundred times larger",
    ("start", "serving"): "an interpreter that imports the libraries",
    ("start", "cpu"): "the CPU of importing the libraries once",
    ("door", "door"): "gRPC's own TLS",
    ("door", "cpu"): "gRPC's own TLS, CPU seconds",
    ("door", "door_counting"): "gRPC's own TLS",
    ("door", "cpu_counting"): "gRPC's own TLS, CPU seconds",
    ("isolation", "isolation"): "an ordinary process, without sandbox",
    ("isolation", "isolation_copy"): "an ordinary process, without sandbox",
    ("load", "fair"): "an equal share for each submitter",
    ("validate", "floor"): "finding lines and gathering fields",
    ("validate", "twin"): "the same rules in plain Python",
    ("validate", "xml"): "the flat form, by segments",
    ("validate", "xml_bytes"): "the flat form, by bytes",
    ("deidentify", "loop"): "a loop of one block a value",
    ("deidentify", "cmac"): "HMAC tokens",
    ("deidentify", "ff3"): "PyPI ff3, one value at a time",
    ("deidentify", "copy"): "the same job with every column kept",
    ("kernels", "cpdist"): "rapidfuzz, pairs of names",
    ("kernels", "cdist"): "rapidfuzz, pairs of a vocabulary",
    ("kernels", "soundex"): "jellyfish, names of letters",
    ("kernels", "nysiis"): "jellyfish, names of letters",
    ("audit", "tree_vs_pymerkle"): "pymerkle, leaves added",
    ("audit", "prove_vs_pymerkle"): "pymerkle, from memory",
    ("link", "splink"): "Splink on DuckDB",
    ("fleet", "link"): "its parts, CPU seconds",
    ("fleet", "plain"): "parts with sealed streams",
    ("fleet", "splink"): "Splink, comparisons a CPU second",
    ("screen", "duckdb"): "the same search in SQL, DuckDB",
    ("screen", "duckdb_iii"): "the same III search in SQL, DuckDB",
    ("aggregate", "duckdb"): "GROUP BY in DuckDB",
    ("aggregate", "duckdb_cube"): "CUBE in DuckDB",
    ("aggregate", "polars"): "group-by in polars",
    ("aggregate", "twin"): "the slow Return A",
    ("clear", "twin"): "a slow twin with the same outcomes",
    ("redact", "twin"): "a slow twin with the same finds",
    ("columns", "tedious"): "npm tedious, cells of nine characters",
    ("columns", "tedious_4_kib"): "npm tedious, values of 4 KiB",
    ("columns", "floor"): "bare AES and SHA-256, values of 4 KiB",
    ("columns", "floor_short"): "bare AES and SHA-256, cells of nine characters",
    ("standardize", "twin"): "a slow twin with the same forms",
    ("standardize", "usaddress"): "PyPI usaddress, which labels words of addresses",
    ("small", "p50_quiet"): "a grpc.aio echo, medians",
    ("small", "p99_quiet"): "the median of that echo, 99th percentile",
    ("small", "p50_beside_load"): "a grpc.aio echo, medians, beside other load",
    ("small", "p99_beside_load"): "the median of that echo, 99th percentile",
    ("inquiry", "p50_quiet"): "three echoes and the kernel, medians",
    ("inquiry", "p50_beside_load"): "three echoes and the kernel, medians, beside other load",
}

GOALS: Final[Mapping[tuple[str, str], float]] = {
    ("pipeline", "floor"): 0.65,
    ("pipeline", "floor_copy"): 0.75,
    ("pipeline", "floor_tokens"): 0.3,
    ("door", "door"): 0.9,
    ("door", "cpu"): 0.87,
    ("pipeline", "echo_cmac_tokens"): 0.27,
    ("isolation", "isolation"): 0.95,
    ("isolation", "isolation_copy"): 0.95,
    ("load", "fair"): 0.9,
    ("validate", "floor"): 0.5,
    ("validate", "xml"): 0.3,
    ("link", "splink"): 6.0,
    ("aggregate", "duckdb"): 1.2,
    ("aggregate", "duckdb_cube"): 2.0,
    ("kernels", "cpdist"): 3.0,
    ("kernels", "cdist"): 5.0,
    ("kernels", "soundex"): 3.0,
    ("kernels", "nysiis"): 3.0,
    ("screen", "duckdb"): 4.0,
    ("screen", "duckdb_iii"): 3.0,
    ("columns", "tedious"): 5.0,
    ("columns", "floor"): 0.6,
    ("small", "p50_quiet"): 0.33,
    ("small", "p99_beside_load"): 0.17,
    ("inquiry", "p50_quiet"): 1.0,
    ("inquiry", "p50_beside_load"): 1.0,
}
"""The least that a ratio should be."""

COSTS: Final = frozenset(
    {
        *(("start", name) for name in ("seconds", "cpu_s", "client_import_cpu_s", "help_cpu_s")),
        ("audit", "verify_million_cpu_s"),
        *(("fleet", name) for name in ("us_per_row", "sealed_us_per_row")),
        *(("pipeline", name) for name in ("p50_ms", "hybrid_added_ms")),
        *(("history", name) for name in ("start_s", "job_ms")),
        ("screen", "sealed_inquiry_ms"),
        ("small", "cpu_ms"),
    }
)
"""Figures of which less is better and which are compared with earlier ones of the same class of machine."""

WALL: Final = frozenset(
    {
        *((name, ratio) for name, ratio in PEERS if name in {"isolation", "load", "small"}),
        *((name, ratio) for name, ratio in PEERS if name == "pipeline" and ratio.startswith("echo")),
        ("deidentify", "copy"),
        ("door", "door"),
        ("start", "serving"),
    }
)
"""Ratios of times on the wall, of several processes: compared, as costs are, only where the window was quiet."""
