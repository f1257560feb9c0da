"""The rooms whose checks are removed: their modules, the tests that must see it, and what is a check in each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Modules of a distribution that are tested together. Patterns are those of `Path.glob`.

    In all of them what is removed is each `raise`, each result (`yield`), each operand of `and` and `or`, and each
    element of a `Final` set or tuple. `calls` is a pattern of the functions whose calls are checks.
    """

    name: str
    folder: str
    """Of the distribution."""
    modules: tuple[str, ...]
    """Below the package of the distribution."""
    tests: tuple[str, ...]
    calls: str
    tables: tuple[str, ...] = ()
    """Modules whose dictionaries are tables of checks."""
    ranges: bool = False
    """Also each end of a range."""
    members: bool = False
    """Also each member of joined bytes, of a digest, of an intersection, and of `min` and `max`."""
    branches: bool = False
    """Also each branch that is taken, and each event that a rule is registered for."""
    declarations: bool = False
    """Also each keyword of a declaration or a message that may be left out."""
    rules: bool = False
    """Also each rule of `RULES`, its field and its topic."""
    served: frozenset[str] = frozenset()
    """Modules that call a service: they are also tested against the simulation, which costs seconds per mutant."""
    served_tests: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    """Modules of other rooms that read its tables; patterns are below the repository."""
    tests_of_tables: tuple[str, ...] = ()
    """Tests that read its tables through a registry: they are tried for each table."""
    leaves_out: str = ""
    """Names of tests that would only repeat what others find."""

    @property
    def package(self) -> Path:
        """The folder of its distribution's package."""
        return ROOT / self.folder / f"cji_{self.folder}"

    @property
    def paths(self) -> list[Path]:
        """Its modules."""
        return sorted({path for pattern in self.modules for path in self.package.glob(pattern)})

    @property
    def reading(self) -> list[Path]:
        """The modules of other rooms that read its tables."""
        return sorted({path for pattern in self.readers for path in ROOT.glob(pattern)} - {*self.paths})

    def has_tables(self, module: str) -> bool:
        """Whether the dictionaries of this module are tables."""
        return any(Path(module).match(f"cji_{self.folder}/{pattern}") for pattern in self.tables)


ATTESTATION: Final = Room(
    name="attestation",
    folder="attestation",
    modules=(
        *(
            f"{one}.py"
            for one in ("attested", "errors", "evidence_file", "fetch", "findings", "strict", "times", "trust")
        ),
        *(f"{one}/**/*.py" for one in ("appraisal", "checks", "evidence", "maa", "provider_policy", "release")),
    ),
    tests=(
        *(f"{kind}/attestation/**/test_*.py" for kind in ("unit", "adversarial", "conformance", "property")),
        "property/client/test_parsers.py",
        "fuzz/test_fuzz_found.py",
    ),
    calls=r"_require|_distinct|record\.add",
    tables=("maa/agreement.py", "maa/claims.py", "appraisal/reference.py", "appraisal/advisories/products.py"),
    served=frozenset(
        {
            *(f"cji_attestation/evidence/{one}.py" for one in ("boot_logs", "collect", "imds", "kds")),
            *(f"cji_attestation/evidence/{one}.py" for one in ("measured_bundle", "service")),
            *(f"cji_attestation/evidence/tpm{one}.py" for one in ("", "_counter", "_response", "_templates")),
            *(
                f"cji_attestation/{one}.py"
                for one in ("attested", "fetch", "maa/jwks", "release/flow", "release/vault")
            ),
            *(f"cji_attestation/provider_policy/{one}.py" for one in ("administration", "provider")),
        }
    ),
    served_tests=(
        *(
            f"integration/attestation/test_{one}.py"
            for one in ("flow", "jwks", "kds", "provider", "tpm", "tpm_counter")
        ),
        "integration/bundle/test_apply.py",
        "integration/client/test_attest.py",
    ),
    leaves_out="every_changed_byte or evidence_mutation",
)
BUNDLE: Final = Room(
    name="bundle",
    folder="attestation",
    modules=("bundle/*.py",),
    tests=("unit/bundle/test_*.py", "property/bundle/test_*.py", "unit/verbs/test_bundle.py"),
    calls=r"(.*\.)?_?(require|check|distinct|verify)\w*",
    tables=("bundle/*.py",),
    ranges=True,
)
CORE: Final = Room(
    name="core",
    folder="core",
    modules=("certs.py", "hosts.py", "https.py", "jose.py", "pairs.py", "strict.py", "verified.py"),
    tests=(
        "unit/test_*.py",
        "property/attestation/test_parsers.py",
        "property/job/test_parsers.py",
        "adversarial/attestation/test_mutants_checks.py",
        "unit/attestation/**/test_*.py",
        "unit/job/test_*.py",
        "unit/audit/test_sinks.py",
        "unit/audit/test_receipts.py",
        "unit/envelope/test_*.py",
        "property/envelope/test_*.py",
        "fuzz/test_fuzz_found.py",
    ),
    calls=r"(.*\.)?_?(require|check|distinct|verify|es384_verify)\w*",
    ranges=True,
    served=frozenset({"cji_core/https.py"}),
    served_tests=("integration/test_https.py",),
)
RULES: Final = Room(
    name="rules",
    folder="core",
    modules=("trail/rules/*.py",),
    tests=(
        *(
            f"unit/audit/test_{one}.py"
            for one in ("checkpoint", "one_verdict", "receipts", "retention", "review", "rule*")
        ),
        "adversarial/audit/test_*.py",
    ),
    calls=r"(watcher|self)\.(note|require_key|_step_back|_other_worker)|receipts\.examine"
    r"|_order|_compare|_follow|_raise_gap|_outage|unexplained|found\.verify",
    tables=("trail/rules/*.py",),
    ranges=True,
    branches=True,
    rules=True,
)
ENVELOPE: Final = Room(
    name="envelope",
    folder="core",
    modules=("format/envelope/*.py",),
    tests=(
        "unit/keyholder/test_admissions.py",
        *(f"{kind}/envelope/**/test_*.py" for kind in ("unit", "conformance", "property")),
        *(f"{kind}/job/**/test_*.py" for kind in ("unit", "adversarial")),
        "unit/keyholder/test_admissions.py",
    ),
    calls=r"verify|_open_into|self\.seal_into",
    ranges=True,
    members=True,
)
ADMISSION: Final = Room(
    name="admission",
    folder="worker",
    modules=(
        *(f"keyholder/{one}.py" for one in ("admission", "admissions", "holdings", "replay", "tasks", "token_buckets")),
        "keyholder/entra/*.py",
    ),
    tests=("unit/keyholder/**/test_*.py", "property/keyholder/**/test_*.py"),
    calls=r"(.*\.)?_?(require|check|accept|verify|take|decide)\w*",
    ranges=True,
)
BROKER: Final = Room(
    name="broker",
    folder="worker",
    modules=(
        "broker/grants.py",
        "broker/request.py",
        "broker/tokens.py",
    ),  # its server is tested in threads and processes
    tests=("unit/broker/test_*.py",),
    calls=r"(.*\.)?_?(require|check)\w*",
)
POLICY: Final = Room(
    name="policy",
    folder="core",
    modules=("format/job/policy/*.py",),
    tests=(
        *(f"{kind}/job/**/test_*.py" for kind in ("unit", "adversarial", "property")),
        "unit/verbs/test_worker_policy.py",
    ),
    calls=r"(.*\.)?_?(require|check|distinct|es384_verify)\w*",
    tables=("format/job/policy/*.py",),
    ranges=True,
    members=True,
)
OPERATIONS: Final = Room(
    name="operations",
    folder="core",
    modules=("operations/**/*.py",),
    tests=(
        "unit/operations/test_*.py",
        *(
            f"unit/operations/{one}/test_*.py"
            for one in (
                "aggregate",
                "clear",
                "deidentify",
                "disseminate",
                "match_orders",
                "redact",
                "standardize",
                "tables",
            )
        ),
        *(f"unit/operations/link/test_{one}.py" for one in ("columns", "model", "person_model", "report")),
        "unit/operations/link/test_splink_import.py",
        *(f"unit/operations/screen/test_{one}.py" for one in ("declaration", "reader", "search")),
        "unit/operations/validate/test_declaration.py",
        *(f"unit/client/test_{one}.py" for one in ("bounds", "link", "spec")),
        *(f"unit/cell/test_{one}.py" for one in ("aligned_streams", "tasks")),
        *(f"unit/verbs/test_{one}.py" for one in ("clear", "link")),
        *(f"unit/keyholder/test_{one}.py" for one in ("admission", "tasks")),
        *(f"property/operations/{one}.py" for one in ("clear/test_rules", "deidentify/test_k_anonymity", "test_parts")),
        "property/job/test_job_plans.py",
    ),
    calls=r"(.*\.)?_?(require|check|distinct)\w*",
    tables=("operations/*.py", "operations/*/*.py"),
    ranges=True,
    declarations=True,
    tests_of_tables=tuple(f"tests/unit/operations/test_{one}.py" for one in ("declared", "documentation", "registry")),
    readers=("operations/cji_operations/[!kn]*/*.py", "worker/cji_worker/cell/*.py", "client/cji_client/spec*.py"),
)
ROOMS: Final = (ATTESTATION, BUNDLE, CORE, RULES, ENVELOPE, ADMISSION, BROKER, POLICY, OPERATIONS)

EQUIVALENT: Final[dict[tuple[str, str], str]] = {
    (
        "cji_attestation/appraisal/vcek.py",
        "isinstance(extension.value, x509.UnrecognizedExtension)   of   isinstance(extension.value, "
        "x509.UnrecognizedExtension) and extension.oid.dotted_string.startswith(_AMD)",
    ): "none of AMD's extensions is recognized; this is for the type checker",
    (
        "cji_attestation/appraisal/vtpm.py",
        "attest.kind != 'certify'   of   attest.kind != 'certify' or attest.name != key.name",
    ): "a quote has no name, and every key has one",
    **{
        (
            "cji_attestation/maa/agreement.py",
            f"entry '{name}'",
        ): "T10 demands the value that the appraisal demands of the report"
        for name in ("migration-allowed", "is-debuggable", "debug", "migratable", "vmpl")
    },
    (
        "cji_core/format/envelope/floe.py",
        "self._cipher is None   of   self._cipher is None or epoch != self._epoch",
    ): "the first epoch is another one than -1; this is for the type checker",
    **{
        (
            "cji_core/format/envelope/keywrap.py",
            f"{operand}   of   len(wrapped) == size and int.from_bytes(wrapped, 'big') < modulus",
        ): "OpenSSL refuses such a ciphertext too: only the time that it takes is another one"
        for operand in ("len(wrapped) == size", "int.from_bytes(wrapped, 'big') < modulus")
    },
    (
        "cji_core/jose.py",
        "len(signature) > COMPOSITE_MAX_BYTES   of   not isinstance(key, VerifyingPair) or "
        "len(signature) > COMPOSITE_MAX_BYTES",
    ): "no longer signature in DER fits a key: only the time to find out is another one",
    (
        "cji_core/trail/rules/watcher.py",
        "if not self._findings",
    ): "an empty list is as empty as an empty tuple; most lines need none",
    (
        "cji_worker/keyholder/entra/key_sets.py",
        "now   of   found.tried or now",
    ): "a set that was fetched was tried; this is for the type checker",
}
"""(module, what was taken out): why nothing can tell."""
