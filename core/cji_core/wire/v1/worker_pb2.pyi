import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    MALFORMED_HEADER: _ClassVar[Reason]
    HEADER_SIGNATURE_INVALID: _ClassVar[Reason]
    AUDIENCE_MISMATCH: _ClassVar[Reason]
    EXPIRED: _ClassVar[Reason]
    REPLAYED: _ClassVar[Reason]
    ALREADY_EXISTS: _ClassVar[Reason]
    POLICY_DENIED: _ClassVar[Reason]
    UNKNOWN_KEY: _ClassVar[Reason]
    DEK_UNWRAP_FAILED: _ClassVar[Reason]
    SEGMENT_INVALID: _ClassVar[Reason]
    INCOMPLETE: _ClassVar[Reason]
    SCHEMA_MISMATCH: _ClassVar[Reason]
    BAD_PARAMETERS: _ClassVar[Reason]
    LIMIT_EXCEEDED: _ClassVar[Reason]
    OVERLOADED: _ClassVar[Reason]
    NOT_READY: _ClassVar[Reason]
    ATTESTATION_REJECTED: _ClassVar[Reason]
    KEY_RELEASE_DENIED: _ClassVar[Reason]
    KEY_THROTTLED: _ClassVar[Reason]
    AUDIT_UNAVAILABLE: _ClassVar[Reason]
    DEADLINE: _ClassVar[Reason]
    CELL_FAILED: _ClassVar[Reason]
    DRAINING: _ClassVar[Reason]
    INTERNAL: _ClassVar[Reason]
    UNKNOWN_REFERENCE: _ClassVar[Reason]
    CERTIFICATE_REFUSED: _ClassVar[Reason]
    REVOCATION_UNKNOWN: _ClassVar[Reason]
    SUITE_NOT_ACCEPTED: _ClassVar[Reason]
    TOKEN_REFUSED: _ClassVar[Reason]
    LEDGER_UNAVAILABLE: _ClassVar[Reason]
    SUBMITTER_MISMATCH: _ClassVar[Reason]
    ADMISSION_WORKER: _ClassVar[Reason]
    ADMISSION_NONCE: _ClassVar[Reason]
    ADMISSION_ATTEMPT: _ClassVar[Reason]
    ADMISSION_SIGNATURE: _ClassVar[Reason]
    ATTEMPTS_EXHAUSTED: _ClassVar[Reason]
    CANCELLED: _ClassVar[Reason]
    COLUMN_KEY_WRONG: _ClassVar[Reason]
    COLUMN_CELL_INVALID: _ClassVar[Reason]

class Suite(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUITE_UNSPECIFIED: _ClassVar[Suite]
    CLASSICAL_1: _ClassVar[Suite]
    HYBRID_1: _ClassVar[Suite]

class SizeClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIZE_CLASS_UNSPECIFIED: _ClassVar[SizeClass]
    EXACT: _ClassVar[SizeClass]
    POWER_OF_TWO: _ClassVar[SizeClass]

class ColumnFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLUMN_FORMAT_UNSPECIFIED: _ClassVar[ColumnFormat]
    SQL_SERVER: _ClassVar[ColumnFormat]
    COSMOS_DB: _ClassVar[ColumnFormat]

class ColumnEncryption(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLUMN_ENCRYPTION_UNSPECIFIED: _ClassVar[ColumnEncryption]
    DETERMINISTIC: _ClassVar[ColumnEncryption]
    RANDOMIZED: _ClassVar[ColumnEncryption]

class ColumnRight(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLUMN_RIGHT_UNSPECIFIED: _ClassVar[ColumnRight]
    OPEN: _ClassVar[ColumnRight]
    SEAL: _ClassVar[ColumnRight]
    COMPARE: _ClassVar[ColumnRight]

class Release(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_UNSPECIFIED: _ClassVar[Release]
    RELEASED: _ClassVar[Release]
    NOT_RELEASED: _ClassVar[Release]
    UNKNOWN: _ClassVar[Release]
REASON_UNSPECIFIED: Reason
MALFORMED_HEADER: Reason
HEADER_SIGNATURE_INVALID: Reason
AUDIENCE_MISMATCH: Reason
EXPIRED: Reason
REPLAYED: Reason
ALREADY_EXISTS: Reason
POLICY_DENIED: Reason
UNKNOWN_KEY: Reason
DEK_UNWRAP_FAILED: Reason
SEGMENT_INVALID: Reason
INCOMPLETE: Reason
SCHEMA_MISMATCH: Reason
BAD_PARAMETERS: Reason
LIMIT_EXCEEDED: Reason
OVERLOADED: Reason
NOT_READY: Reason
ATTESTATION_REJECTED: Reason
KEY_RELEASE_DENIED: Reason
KEY_THROTTLED: Reason
AUDIT_UNAVAILABLE: Reason
DEADLINE: Reason
CELL_FAILED: Reason
DRAINING: Reason
INTERNAL: Reason
UNKNOWN_REFERENCE: Reason
CERTIFICATE_REFUSED: Reason
REVOCATION_UNKNOWN: Reason
SUITE_NOT_ACCEPTED: Reason
TOKEN_REFUSED: Reason
LEDGER_UNAVAILABLE: Reason
SUBMITTER_MISMATCH: Reason
ADMISSION_WORKER: Reason
ADMISSION_NONCE: Reason
ADMISSION_ATTEMPT: Reason
ADMISSION_SIGNATURE: Reason
ATTEMPTS_EXHAUSTED: Reason
CANCELLED: Reason
COLUMN_KEY_WRONG: Reason
COLUMN_CELL_INVALID: Reason
SUITE_UNSPECIFIED: Suite
CLASSICAL_1: Suite
HYBRID_1: Suite
SIZE_CLASS_UNSPECIFIED: SizeClass
EXACT: SizeClass
POWER_OF_TWO: SizeClass
COLUMN_FORMAT_UNSPECIFIED: ColumnFormat
SQL_SERVER: ColumnFormat
COSMOS_DB: ColumnFormat
COLUMN_ENCRYPTION_UNSPECIFIED: ColumnEncryption
DETERMINISTIC: ColumnEncryption
RANDOMIZED: ColumnEncryption
COLUMN_RIGHT_UNSPECIFIED: ColumnRight
OPEN: ColumnRight
SEAL: ColumnRight
COMPARE: ColumnRight
RELEASE_UNSPECIFIED: Release
RELEASED: Release
NOT_RELEASED: Release
UNKNOWN: Release

class JobHeader(_message.Message):
    __slots__ = ("version", "job_id", "audience", "originating_ori", "requesting_ori", "sealed_attribution", "suite", "submitter", "send_key", "purpose_code", "inputs", "operations", "kek_id", "wrapped_dek", "recipients", "created", "not_after", "size_class", "column_keys", "sealed_outputs")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    ORIGINATING_ORI_FIELD_NUMBER: _ClassVar[int]
    REQUESTING_ORI_FIELD_NUMBER: _ClassVar[int]
    SEALED_ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    SEND_KEY_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_CODE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    KEK_ID_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_DEK_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    SIZE_CLASS_FIELD_NUMBER: _ClassVar[int]
    COLUMN_KEYS_FIELD_NUMBER: _ClassVar[int]
    SEALED_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    version: int
    job_id: bytes
    audience: str
    originating_ori: str
    requesting_ori: str
    sealed_attribution: bytes
    suite: Suite
    submitter: bytes
    send_key: bytes
    purpose_code: str
    inputs: _containers.RepeatedCompositeFieldContainer[InputPart]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    kek_id: str
    wrapped_dek: bytes
    recipients: _containers.RepeatedCompositeFieldContainer[Recipient]
    created: _timestamp_pb2.Timestamp
    not_after: _timestamp_pb2.Timestamp
    size_class: SizeClass
    column_keys: _containers.RepeatedCompositeFieldContainer[ColumnKeys]
    sealed_outputs: _containers.RepeatedCompositeFieldContainer[SealedOutput]
    def __init__(self, version: _Optional[int] = ..., job_id: _Optional[bytes] = ..., audience: _Optional[str] = ..., originating_ori: _Optional[str] = ..., requesting_ori: _Optional[str] = ..., sealed_attribution: _Optional[bytes] = ..., suite: _Optional[_Union[Suite, str]] = ..., submitter: _Optional[bytes] = ..., send_key: _Optional[bytes] = ..., purpose_code: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[InputPart, _Mapping]]] = ..., operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., kek_id: _Optional[str] = ..., wrapped_dek: _Optional[bytes] = ..., recipients: _Optional[_Iterable[_Union[Recipient, _Mapping]]] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., size_class: _Optional[_Union[SizeClass, str]] = ..., column_keys: _Optional[_Iterable[_Union[ColumnKeys, _Mapping]]] = ..., sealed_outputs: _Optional[_Iterable[_Union[SealedOutput, _Mapping]]] = ...) -> None: ...

class Attribution(_message.Message):
    __slots__ = ("operator_id", "requestor", "secondary_recipient", "case_number", "reason")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTOR_FIELD_NUMBER: _ClassVar[int]
    SECONDARY_RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    CASE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    requestor: str
    secondary_recipient: str
    case_number: str
    reason: str
    def __init__(self, operator_id: _Optional[str] = ..., requestor: _Optional[str] = ..., secondary_recipient: _Optional[str] = ..., case_number: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class InputPart(_message.Message):
    __slots__ = ("name", "schema", "rows_declared", "shards", "sealed_columns", "column_keys")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    ROWS_DECLARED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    SEALED_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    COLUMN_KEYS_FIELD_NUMBER: _ClassVar[int]
    name: str
    schema: str
    rows_declared: int
    shards: int
    sealed_columns: _containers.RepeatedScalarFieldContainer[str]
    column_keys: int
    def __init__(self, name: _Optional[str] = ..., schema: _Optional[str] = ..., rows_declared: _Optional[int] = ..., shards: _Optional[int] = ..., sealed_columns: _Optional[_Iterable[str]] = ..., column_keys: _Optional[int] = ...) -> None: ...

class ColumnKeys(_message.Message):
    __slots__ = ("statement", "wrapped_key", "sealed_keys", "signature")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_KEY_FIELD_NUMBER: _ClassVar[int]
    SEALED_KEYS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    statement: bytes
    wrapped_key: bytes
    sealed_keys: bytes
    signature: bytes
    def __init__(self, statement: _Optional[bytes] = ..., wrapped_key: _Optional[bytes] = ..., sealed_keys: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class SealedOutput(_message.Message):
    __slots__ = ("output", "column", "column_keys", "as_column")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    COLUMN_KEYS_FIELD_NUMBER: _ClassVar[int]
    AS_COLUMN_FIELD_NUMBER: _ClassVar[int]
    output: str
    column: str
    column_keys: int
    as_column: str
    def __init__(self, output: _Optional[str] = ..., column: _Optional[str] = ..., column_keys: _Optional[int] = ..., as_column: _Optional[str] = ...) -> None: ...

class ColumnKeyStatement(_message.Message):
    __slots__ = ("version", "format", "table", "keys", "columns", "originating_ori", "purpose_codes", "submitters", "signer", "suite", "kek_id", "created", "not_after")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ORIGINATING_ORI_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_CODES_FIELD_NUMBER: _ClassVar[int]
    SUBMITTERS_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    KEK_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    version: int
    format: ColumnFormat
    table: str
    keys: _containers.RepeatedCompositeFieldContainer[ColumnEncryptionKey]
    columns: _containers.RepeatedCompositeFieldContainer[StatedColumn]
    originating_ori: str
    purpose_codes: _containers.RepeatedScalarFieldContainer[str]
    submitters: _containers.RepeatedScalarFieldContainer[bytes]
    signer: bytes
    suite: Suite
    kek_id: str
    created: _timestamp_pb2.Timestamp
    not_after: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[int] = ..., format: _Optional[_Union[ColumnFormat, str]] = ..., table: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[ColumnEncryptionKey, _Mapping]]] = ..., columns: _Optional[_Iterable[_Union[StatedColumn, _Mapping]]] = ..., originating_ori: _Optional[str] = ..., purpose_codes: _Optional[_Iterable[str]] = ..., submitters: _Optional[_Iterable[bytes]] = ..., signer: _Optional[bytes] = ..., suite: _Optional[_Union[Suite, str]] = ..., kek_id: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ColumnEncryptionKey(_message.Message):
    __slots__ = ("key_path", "cek_sha384")
    KEY_PATH_FIELD_NUMBER: _ClassVar[int]
    CEK_SHA384_FIELD_NUMBER: _ClassVar[int]
    key_path: str
    cek_sha384: bytes
    def __init__(self, key_path: _Optional[str] = ..., cek_sha384: _Optional[bytes] = ...) -> None: ...

class StatedColumn(_message.Message):
    __slots__ = ("column", "type", "data_class", "encryption", "rights", "key")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_CLASS_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTION_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    column: str
    type: str
    data_class: str
    encryption: ColumnEncryption
    rights: _containers.RepeatedScalarFieldContainer[ColumnRight]
    key: int
    def __init__(self, column: _Optional[str] = ..., type: _Optional[str] = ..., data_class: _Optional[str] = ..., encryption: _Optional[_Union[ColumnEncryption, str]] = ..., rights: _Optional[_Iterable[_Union[ColumnRight, str]]] = ..., key: _Optional[int] = ...) -> None: ...

class Recipient(_message.Message):
    __slots__ = ("key_id", "jwk")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    JWK_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    jwk: str
    def __init__(self, key_id: _Optional[str] = ..., jwk: _Optional[str] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("validate", "link", "screen", "deidentify", "aggregate", "disseminate", "clear", "redact", "standardize", "match_orders")
    VALIDATE_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    DEIDENTIFY_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    DISSEMINATE_FIELD_NUMBER: _ClassVar[int]
    CLEAR_FIELD_NUMBER: _ClassVar[int]
    REDACT_FIELD_NUMBER: _ClassVar[int]
    STANDARDIZE_FIELD_NUMBER: _ClassVar[int]
    MATCH_ORDERS_FIELD_NUMBER: _ClassVar[int]
    validate: Validate
    link: Link
    screen: Screen
    deidentify: Deidentify
    aggregate: Aggregate
    disseminate: Disseminate
    clear: Clear
    redact: Redaction
    standardize: Standardize
    match_orders: MatchOrders
    def __init__(self, validate: _Optional[_Union[Validate, _Mapping]] = ..., link: _Optional[_Union[Link, _Mapping]] = ..., screen: _Optional[_Union[Screen, _Mapping]] = ..., deidentify: _Optional[_Union[Deidentify, _Mapping]] = ..., aggregate: _Optional[_Union[Aggregate, _Mapping]] = ..., disseminate: _Optional[_Union[Disseminate, _Mapping]] = ..., clear: _Optional[_Union[Clear, _Mapping]] = ..., redact: _Optional[_Union[Redaction, _Mapping]] = ..., standardize: _Optional[_Union[Standardize, _Mapping]] = ..., match_orders: _Optional[_Union[MatchOrders, _Mapping]] = ...) -> None: ...

class Link(_message.Message):
    __slots__ = ("model", "match", "clerical_review_threshold", "leave_out_oversized", "block_rows", "pairs", "random_pairs", "training_pairs", "seed", "components", "cluster_stop", "record", "separators", "source", "no_duplicates_in_source", "never_differ", "placeholders")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    CLERICAL_REVIEW_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    LEAVE_OUT_OVERSIZED_FIELD_NUMBER: _ClassVar[int]
    BLOCK_ROWS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    RANDOM_PAIRS_FIELD_NUMBER: _ClassVar[int]
    TRAINING_PAIRS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_STOP_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    SEPARATORS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NO_DUPLICATES_IN_SOURCE_FIELD_NUMBER: _ClassVar[int]
    NEVER_DIFFER_FIELD_NUMBER: _ClassVar[int]
    PLACEHOLDERS_FIELD_NUMBER: _ClassVar[int]
    model: bytes
    match: float
    clerical_review_threshold: float
    leave_out_oversized: bool
    block_rows: int
    pairs: int
    random_pairs: int
    training_pairs: int
    seed: int
    components: bool
    cluster_stop: float
    record: str
    separators: _containers.RepeatedCompositeFieldContainer[Separator]
    source: str
    no_duplicates_in_source: bool
    never_differ: _containers.RepeatedScalarFieldContainer[str]
    placeholders: _containers.RepeatedCompositeFieldContainer[Placeholders]
    def __init__(self, model: _Optional[bytes] = ..., match: _Optional[float] = ..., clerical_review_threshold: _Optional[float] = ..., leave_out_oversized: _Optional[bool] = ..., block_rows: _Optional[int] = ..., pairs: _Optional[int] = ..., random_pairs: _Optional[int] = ..., training_pairs: _Optional[int] = ..., seed: _Optional[int] = ..., components: _Optional[bool] = ..., cluster_stop: _Optional[float] = ..., record: _Optional[str] = ..., separators: _Optional[_Iterable[_Union[Separator, _Mapping]]] = ..., source: _Optional[str] = ..., no_duplicates_in_source: _Optional[bool] = ..., never_differ: _Optional[_Iterable[str]] = ..., placeholders: _Optional[_Iterable[_Union[Placeholders, _Mapping]]] = ...) -> None: ...

class Separator(_message.Message):
    __slots__ = ("column", "text")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    column: str
    text: str
    def __init__(self, column: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Placeholders(_message.Message):
    __slots__ = ("column", "values")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    column: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, column: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Screen(_message.Message):
    __slots__ = ("preset", "rules", "max_hits", "min_score", "include_restricted", "status_only", "tables_sha256", "retain_seconds", "resident_reference")
    PRESET_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    MAX_HITS_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    STATUS_ONLY_FIELD_NUMBER: _ClassVar[int]
    TABLES_SHA256_FIELD_NUMBER: _ClassVar[int]
    RETAIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    preset: str
    rules: bytes
    max_hits: int
    min_score: float
    include_restricted: bool
    status_only: bool
    tables_sha256: bytes
    retain_seconds: int
    resident_reference: bytes
    def __init__(self, preset: _Optional[str] = ..., rules: _Optional[bytes] = ..., max_hits: _Optional[int] = ..., min_score: _Optional[float] = ..., include_restricted: _Optional[bool] = ..., status_only: _Optional[bool] = ..., tables_sha256: _Optional[bytes] = ..., retain_seconds: _Optional[int] = ..., resident_reference: _Optional[bytes] = ...) -> None: ...

class Aggregate(_message.Message):
    __slots__ = ("preset", "keys", "person", "sums", "threshold", "base", "dominance", "reports", "months", "privacy")
    class Reports(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REPORTS_UNSPECIFIED: _ClassVar[Aggregate.Reports]
        ACCEPTED: _ClassVar[Aggregate.Reports]
        ALL: _ClassVar[Aggregate.Reports]
    REPORTS_UNSPECIFIED: Aggregate.Reports
    ACCEPTED: Aggregate.Reports
    ALL: Aggregate.Reports
    PRESET_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    DOMINANCE_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    MONTHS_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    preset: str
    keys: _containers.RepeatedCompositeFieldContainer[GroupKey]
    person: str
    sums: _containers.RepeatedScalarFieldContainer[str]
    threshold: int
    base: int
    dominance: Dominance
    reports: Aggregate.Reports
    months: _containers.RepeatedScalarFieldContainer[str]
    privacy: Privacy
    def __init__(self, preset: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[GroupKey, _Mapping]]] = ..., person: _Optional[str] = ..., sums: _Optional[_Iterable[str]] = ..., threshold: _Optional[int] = ..., base: _Optional[int] = ..., dominance: _Optional[_Union[Dominance, _Mapping]] = ..., reports: _Optional[_Union[Aggregate.Reports, str]] = ..., months: _Optional[_Iterable[str]] = ..., privacy: _Optional[_Union[Privacy, _Mapping]] = ...) -> None: ...

class Dominance(_message.Message):
    __slots__ = ("top", "percent")
    TOP_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    top: int
    percent: int
    def __init__(self, top: _Optional[int] = ..., percent: _Optional[int] = ...) -> None: ...

class Privacy(_message.Message):
    __slots__ = ("epsilon_thousandths", "rows_per_person", "project", "wrapped_project_key")
    EPSILON_THOUSANDTHS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_PERSON_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_PROJECT_KEY_FIELD_NUMBER: _ClassVar[int]
    epsilon_thousandths: int
    rows_per_person: int
    project: str
    wrapped_project_key: bytes
    def __init__(self, epsilon_thousandths: _Optional[int] = ..., rows_per_person: _Optional[int] = ..., project: _Optional[str] = ..., wrapped_project_key: _Optional[bytes] = ...) -> None: ...

class GroupKey(_message.Message):
    __slots__ = ("column", "categories")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    column: str
    categories: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, column: _Optional[str] = ..., categories: _Optional[_Iterable[str]] = ...) -> None: ...

class Validate(_message.Message):
    __slots__ = ("rule_set", "as_of", "without", "also", "tables_sha256")
    RULE_SET_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    TABLES_SHA256_FIELD_NUMBER: _ClassVar[int]
    rule_set: str
    as_of: str
    without: _containers.RepeatedScalarFieldContainer[str]
    also: _containers.RepeatedScalarFieldContainer[str]
    tables_sha256: bytes
    def __init__(self, rule_set: _Optional[str] = ..., as_of: _Optional[str] = ..., without: _Optional[_Iterable[str]] = ..., also: _Optional[_Iterable[str]] = ..., tables_sha256: _Optional[bytes] = ...) -> None: ...

class Standardize(_message.Message):
    __slots__ = ("columns",)
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedCompositeFieldContainer[StandardColumn]
    def __init__(self, columns: _Optional[_Iterable[_Union[StandardColumn, _Mapping]]] = ...) -> None: ...

class StandardColumn(_message.Message):
    __slots__ = ("column", "form")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    column: str
    form: str
    def __init__(self, column: _Optional[str] = ..., form: _Optional[str] = ...) -> None: ...

class Redaction(_message.Message):
    __slots__ = ("columns", "classes", "marks", "project", "wrapped_project_key")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MARKS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_PROJECT_KEY_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedScalarFieldContainer[str]
    classes: _containers.RepeatedScalarFieldContainer[str]
    marks: str
    project: str
    wrapped_project_key: bytes
    def __init__(self, columns: _Optional[_Iterable[str]] = ..., classes: _Optional[_Iterable[str]] = ..., marks: _Optional[str] = ..., project: _Optional[str] = ..., wrapped_project_key: _Optional[bytes] = ...) -> None: ...

class Clear(_message.Message):
    __slots__ = ("rules", "as_of", "county")
    RULES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    COUNTY_FIELD_NUMBER: _ClassVar[int]
    rules: bytes
    as_of: str
    county: str
    def __init__(self, rules: _Optional[bytes] = ..., as_of: _Optional[str] = ..., county: _Optional[str] = ...) -> None: ...

class Deidentify(_message.Message):
    __slots__ = ("project", "wrapped_project_key", "columns", "small_classes", "token_map")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_PROJECT_KEY_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SMALL_CLASSES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_MAP_FIELD_NUMBER: _ClassVar[int]
    project: str
    wrapped_project_key: bytes
    columns: _containers.RepeatedCompositeFieldContainer[ColumnRule]
    small_classes: SmallClasses
    token_map: bool
    def __init__(self, project: _Optional[str] = ..., wrapped_project_key: _Optional[bytes] = ..., columns: _Optional[_Iterable[_Union[ColumnRule, _Mapping]]] = ..., small_classes: _Optional[_Union[SmallClasses, _Mapping]] = ..., token_map: _Optional[bool] = ...) -> None: ...

class SmallClasses(_message.Message):
    __slots__ = ("quasi_identifiers", "k", "sensitive", "person")
    QUASI_IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    quasi_identifiers: _containers.RepeatedScalarFieldContainer[str]
    k: int
    sensitive: _containers.RepeatedScalarFieldContainer[str]
    person: str
    def __init__(self, quasi_identifiers: _Optional[_Iterable[str]] = ..., k: _Optional[int] = ..., sensitive: _Optional[_Iterable[str]] = ..., person: _Optional[str] = ...) -> None: ...

class ColumnRule(_message.Message):
    __slots__ = ("column", "keep", "drop", "null", "mask", "hmac_token", "generalise", "date_shift", "aes_token", "ff1", "cmac_token", "redact", "hierarchy")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    DROP_FIELD_NUMBER: _ClassVar[int]
    NULL_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    HMAC_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERALISE_FIELD_NUMBER: _ClassVar[int]
    DATE_SHIFT_FIELD_NUMBER: _ClassVar[int]
    AES_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FF1_FIELD_NUMBER: _ClassVar[int]
    CMAC_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REDACT_FIELD_NUMBER: _ClassVar[int]
    HIERARCHY_FIELD_NUMBER: _ClassVar[int]
    column: str
    keep: Keep
    drop: Drop
    null: Null
    mask: Mask
    hmac_token: HmacToken
    generalise: Generalise
    date_shift: DateShift
    aes_token: AesToken
    ff1: Ff1
    cmac_token: CmacToken
    redact: Redact
    hierarchy: Hierarchy
    def __init__(self, column: _Optional[str] = ..., keep: _Optional[_Union[Keep, _Mapping]] = ..., drop: _Optional[_Union[Drop, _Mapping]] = ..., null: _Optional[_Union[Null, _Mapping]] = ..., mask: _Optional[_Union[Mask, _Mapping]] = ..., hmac_token: _Optional[_Union[HmacToken, _Mapping]] = ..., generalise: _Optional[_Union[Generalise, _Mapping]] = ..., date_shift: _Optional[_Union[DateShift, _Mapping]] = ..., aes_token: _Optional[_Union[AesToken, _Mapping]] = ..., ff1: _Optional[_Union[Ff1, _Mapping]] = ..., cmac_token: _Optional[_Union[CmacToken, _Mapping]] = ..., redact: _Optional[_Union[Redact, _Mapping]] = ..., hierarchy: _Optional[_Union[Hierarchy, _Mapping]] = ...) -> None: ...

class Keep(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Drop(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Null(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Mask(_message.Message):
    __slots__ = ("keep_first", "keep_last")
    KEEP_FIRST_FIELD_NUMBER: _ClassVar[int]
    KEEP_LAST_FIELD_NUMBER: _ClassVar[int]
    WITH_FIELD_NUMBER: _ClassVar[int]
    keep_first: int
    keep_last: int
    def __init__(self, keep_first: _Optional[int] = ..., keep_last: _Optional[int] = ..., **kwargs) -> None: ...

class HmacToken(_message.Message):
    __slots__ = ("domain", "bits")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    domain: str
    bits: int
    def __init__(self, domain: _Optional[str] = ..., bits: _Optional[int] = ...) -> None: ...

class CmacToken(_message.Message):
    __slots__ = ("domain", "bits")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    domain: str
    bits: int
    def __init__(self, domain: _Optional[str] = ..., bits: _Optional[int] = ...) -> None: ...

class Redact(_message.Message):
    __slots__ = ("patterns", "also")
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    patterns: _containers.RepeatedScalarFieldContainer[str]
    also: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, patterns: _Optional[_Iterable[str]] = ..., also: _Optional[_Iterable[str]] = ...) -> None: ...

class Hierarchy(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[ColumnRule]
    def __init__(self, steps: _Optional[_Iterable[_Union[ColumnRule, _Mapping]]] = ...) -> None: ...

class AesToken(_message.Message):
    __slots__ = ("domain",)
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    domain: str
    def __init__(self, domain: _Optional[str] = ...) -> None: ...

class Ff1(_message.Message):
    __slots__ = ("domain", "radix")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    RADIX_FIELD_NUMBER: _ClassVar[int]
    domain: str
    radix: int
    def __init__(self, domain: _Optional[str] = ..., radix: _Optional[int] = ...) -> None: ...

class Generalise(_message.Message):
    __slots__ = ("date_to", "zip_prefix", "age_band", "group")
    DATE_TO_FIELD_NUMBER: _ClassVar[int]
    ZIP_PREFIX_FIELD_NUMBER: _ClassVar[int]
    AGE_BAND_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    date_to: DateTo
    zip_prefix: ZipPrefix
    age_band: AgeBand
    group: Group
    def __init__(self, date_to: _Optional[_Union[DateTo, _Mapping]] = ..., zip_prefix: _Optional[_Union[ZipPrefix, _Mapping]] = ..., age_band: _Optional[_Union[AgeBand, _Mapping]] = ..., group: _Optional[_Union[Group, _Mapping]] = ...) -> None: ...

class DateTo(_message.Message):
    __slots__ = ("unit",)
    class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNIT_UNSPECIFIED: _ClassVar[DateTo.Unit]
        YEAR: _ClassVar[DateTo.Unit]
        MONTH: _ClassVar[DateTo.Unit]
    UNIT_UNSPECIFIED: DateTo.Unit
    YEAR: DateTo.Unit
    MONTH: DateTo.Unit
    UNIT_FIELD_NUMBER: _ClassVar[int]
    unit: DateTo.Unit
    def __init__(self, unit: _Optional[_Union[DateTo.Unit, str]] = ...) -> None: ...

class ZipPrefix(_message.Message):
    __slots__ = ("digits",)
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    digits: int
    def __init__(self, digits: _Optional[int] = ...) -> None: ...

class AgeBand(_message.Message):
    __slots__ = ("width", "top", "as_of")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    width: int
    top: int
    as_of: str
    def __init__(self, width: _Optional[int] = ..., top: _Optional[int] = ..., as_of: _Optional[str] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("categories",)
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    categories: _containers.RepeatedCompositeFieldContainer[Category]
    def __init__(self, categories: _Optional[_Iterable[_Union[Category, _Mapping]]] = ...) -> None: ...

class Category(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class DateShift(_message.Message):
    __slots__ = ("subject_column", "max_days")
    SUBJECT_COLUMN_FIELD_NUMBER: _ClassVar[int]
    MAX_DAYS_FIELD_NUMBER: _ClassVar[int]
    subject_column: str
    max_days: int
    def __init__(self, subject_column: _Optional[str] = ..., max_days: _Optional[int] = ...) -> None: ...

class Disseminate(_message.Message):
    __slots__ = ("recipient_class", "as_of", "tables_sha256")
    RECIPIENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    TABLES_SHA256_FIELD_NUMBER: _ClassVar[int]
    recipient_class: str
    as_of: str
    tables_sha256: bytes
    def __init__(self, recipient_class: _Optional[str] = ..., as_of: _Optional[str] = ..., tables_sha256: _Optional[bytes] = ...) -> None: ...

class MatchOrders(_message.Message):
    __slots__ = ("match", "clerical_review_threshold", "remove", "project", "wrapped_project_key", "seed")
    MATCH_FIELD_NUMBER: _ClassVar[int]
    CLERICAL_REVIEW_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_PROJECT_KEY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    match: float
    clerical_review_threshold: float
    remove: bool
    project: str
    wrapped_project_key: bytes
    seed: int
    def __init__(self, match: _Optional[float] = ..., clerical_review_threshold: _Optional[float] = ..., remove: _Optional[bool] = ..., project: _Optional[str] = ..., wrapped_project_key: _Optional[bytes] = ..., seed: _Optional[int] = ...) -> None: ...

class ResultHeader(_message.Message):
    __slots__ = ("version", "job_id", "job_header_sha384", "worker_id", "outputs", "recipients")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_HEADER_SHA384_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    version: int
    job_id: bytes
    job_header_sha384: bytes
    worker_id: str
    outputs: _containers.RepeatedCompositeFieldContainer[OutputPart]
    recipients: _containers.RepeatedCompositeFieldContainer[WrappedKey]
    def __init__(self, version: _Optional[int] = ..., job_id: _Optional[bytes] = ..., job_header_sha384: _Optional[bytes] = ..., worker_id: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[OutputPart, _Mapping]]] = ..., recipients: _Optional[_Iterable[_Union[WrappedKey, _Mapping]]] = ...) -> None: ...

class OutputPart(_message.Message):
    __slots__ = ("name", "schema", "shards")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    schema: str
    shards: int
    def __init__(self, name: _Optional[str] = ..., schema: _Optional[str] = ..., shards: _Optional[int] = ...) -> None: ...

class WrappedKey(_message.Message):
    __slots__ = ("key_id", "wrapped_dek")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_DEK_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    wrapped_dek: bytes
    def __init__(self, key_id: _Optional[str] = ..., wrapped_dek: _Optional[bytes] = ...) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("open", "segment", "finish")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    open: Open
    segment: Segment
    finish: Finish
    def __init__(self, open: _Optional[_Union[Open, _Mapping]] = ..., segment: _Optional[_Union[Segment, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("header", "signature", "submitter", "attempt", "admission")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ADMISSION_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    signature: bytes
    submitter: str
    attempt: bytes
    admission: Admission
    def __init__(self, header: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., submitter: _Optional[str] = ..., attempt: _Optional[bytes] = ..., admission: _Optional[_Union[Admission, _Mapping]] = ...) -> None: ...

class Admission(_message.Message):
    __slots__ = ("nonce", "receipt_key", "attempt", "signature", "send_jwk")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_KEY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SEND_JWK_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    receipt_key: bytes
    attempt: int
    signature: bytes
    send_jwk: str
    def __init__(self, nonce: _Optional[bytes] = ..., receipt_key: _Optional[bytes] = ..., attempt: _Optional[int] = ..., signature: _Optional[bytes] = ..., send_jwk: _Optional[str] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("part", "index", "data")
    PART_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    part: int
    index: int
    data: bytes
    def __init__(self, part: _Optional[int] = ..., index: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Finish(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunResponse(_message.Message):
    __slots__ = ("accepted", "progress", "segment", "done")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    accepted: Accepted
    progress: Progress
    segment: Segment
    done: Done
    def __init__(self, accepted: _Optional[_Union[Accepted, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., segment: _Optional[_Union[Segment, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Progress(_message.Message):
    __slots__ = ("stage", "per_cent")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    PER_CENT_FIELD_NUMBER: _ClassVar[int]
    stage: str
    per_cent: int
    def __init__(self, stage: _Optional[str] = ..., per_cent: _Optional[int] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("receipt", "result_header", "evidence")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RESULT_HEADER_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    receipt: str
    result_header: bytes
    evidence: AttestResponse
    def __init__(self, receipt: _Optional[str] = ..., result_header: _Optional[bytes] = ..., evidence: _Optional[_Union[AttestResponse, _Mapping]] = ...) -> None: ...

class JobPlan(_message.Message):
    __slots__ = ("version", "header_sha384", "stages", "result_header", "sealed_result_key")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HEADER_SHA384_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    RESULT_HEADER_FIELD_NUMBER: _ClassVar[int]
    SEALED_RESULT_KEY_FIELD_NUMBER: _ClassVar[int]
    version: int
    header_sha384: bytes
    stages: _containers.RepeatedCompositeFieldContainer[PlannedStage]
    result_header: bytes
    sealed_result_key: bytes
    def __init__(self, version: _Optional[int] = ..., header_sha384: _Optional[bytes] = ..., stages: _Optional[_Iterable[_Union[PlannedStage, _Mapping]]] = ..., result_header: _Optional[bytes] = ..., sealed_result_key: _Optional[bytes] = ...) -> None: ...

class PlannedStage(_message.Message):
    __slots__ = ("name", "tasks")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    tasks: int
    def __init__(self, name: _Optional[str] = ..., tasks: _Optional[int] = ...) -> None: ...

class RunTaskRequest(_message.Message):
    __slots__ = ("open", "segment", "finish")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    open: OpenTask
    segment: Segment
    finish: Finish
    def __init__(self, open: _Optional[_Union[OpenTask, _Mapping]] = ..., segment: _Optional[_Union[Segment, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ...) -> None: ...

class OpenTask(_message.Message):
    __slots__ = ("header", "signature", "submitter", "plan", "stage", "task", "attempt", "streams")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    signature: bytes
    submitter: str
    plan: bytes
    stage: str
    task: int
    attempt: bytes
    streams: int
    def __init__(self, header: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., submitter: _Optional[str] = ..., plan: _Optional[bytes] = ..., stage: _Optional[str] = ..., task: _Optional[int] = ..., attempt: _Optional[bytes] = ..., streams: _Optional[int] = ...) -> None: ...

class RunTaskResponse(_message.Message):
    __slots__ = ("accepted", "progress", "segment", "done")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    accepted: Accepted
    progress: Progress
    segment: Segment
    done: TaskDone
    def __init__(self, accepted: _Optional[_Union[Accepted, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., segment: _Optional[_Union[Segment, _Mapping]] = ..., done: _Optional[_Union[TaskDone, _Mapping]] = ...) -> None: ...

class TaskDone(_message.Message):
    __slots__ = ("statement", "plan")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    statement: str
    plan: bytes
    def __init__(self, statement: _Optional[str] = ..., plan: _Optional[bytes] = ...) -> None: ...

class FinishTasksRequest(_message.Message):
    __slots__ = ("open", "statement", "finish")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    open: OpenFinish
    statement: str
    finish: Finish
    def __init__(self, open: _Optional[_Union[OpenFinish, _Mapping]] = ..., statement: _Optional[str] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ...) -> None: ...

class OpenFinish(_message.Message):
    __slots__ = ("header", "signature", "submitter", "plan")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    signature: bytes
    submitter: str
    plan: bytes
    def __init__(self, header: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., submitter: _Optional[str] = ..., plan: _Optional[bytes] = ...) -> None: ...

class FinishTasksResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: str
    def __init__(self, receipt: _Optional[str] = ...) -> None: ...

class Submission(_message.Message):
    __slots__ = ("header", "signature", "submitter")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    signature: bytes
    submitter: str
    def __init__(self, header: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., submitter: _Optional[str] = ...) -> None: ...

class SettleRequest(_message.Message):
    __slots__ = ("job_id", "header_sha384", "whole")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    HEADER_SHA384_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    job_id: bytes
    header_sha384: bytes
    whole: bytes
    def __init__(self, job_id: _Optional[bytes] = ..., header_sha384: _Optional[bytes] = ..., whole: _Optional[bytes] = ...) -> None: ...

class SettleResponse(_message.Message):
    __slots__ = ("receipt", "failure", "attempt")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    receipt: str
    failure: str
    attempt: bytes
    def __init__(self, receipt: _Optional[str] = ..., failure: _Optional[str] = ..., attempt: _Optional[bytes] = ...) -> None: ...

class GetFailureRequest(_message.Message):
    __slots__ = ("submission", "job_id", "reason", "stage", "queued", "fault")
    SUBMISSION_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    submission: Submission
    job_id: bytes
    reason: Reason
    stage: str
    queued: int
    fault: str
    def __init__(self, submission: _Optional[_Union[Submission, _Mapping]] = ..., job_id: _Optional[bytes] = ..., reason: _Optional[_Union[Reason, str]] = ..., stage: _Optional[str] = ..., queued: _Optional[int] = ..., fault: _Optional[str] = ...) -> None: ...

class GetFailureResponse(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: str
    def __init__(self, failure: _Optional[str] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("audience", "worker_id", "operations", "schemas", "keys", "limits")
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    SCHEMAS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    audience: str
    worker_id: str
    operations: _containers.RepeatedScalarFieldContainer[str]
    schemas: _containers.RepeatedScalarFieldContainer[str]
    keys: _containers.RepeatedCompositeFieldContainer[KeyDescription]
    limits: Limits
    def __init__(self, audience: _Optional[str] = ..., worker_id: _Optional[str] = ..., operations: _Optional[_Iterable[str]] = ..., schemas: _Optional[_Iterable[str]] = ..., keys: _Optional[_Iterable[_Union[KeyDescription, _Mapping]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class KeyDescription(_message.Message):
    __slots__ = ("kek_id", "public_jwk", "ml_kem_jwk")
    KEK_ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_JWK_FIELD_NUMBER: _ClassVar[int]
    ML_KEM_JWK_FIELD_NUMBER: _ClassVar[int]
    kek_id: str
    public_jwk: str
    ml_kem_jwk: str
    def __init__(self, kek_id: _Optional[str] = ..., public_jwk: _Optional[str] = ..., ml_kem_jwk: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("header_bytes", "segment_bytes", "batch_rows", "batch_bytes", "parts", "job_bytes", "references", "reference_retain_seconds", "job_seconds", "idle_seconds")
    HEADER_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    JOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_RETAIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    JOB_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IDLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    header_bytes: int
    segment_bytes: int
    batch_rows: int
    batch_bytes: int
    parts: int
    job_bytes: int
    references: int
    reference_retain_seconds: int
    job_seconds: int
    idle_seconds: int
    def __init__(self, header_bytes: _Optional[int] = ..., segment_bytes: _Optional[int] = ..., batch_rows: _Optional[int] = ..., batch_bytes: _Optional[int] = ..., parts: _Optional[int] = ..., job_bytes: _Optional[int] = ..., references: _Optional[int] = ..., reference_retain_seconds: _Optional[int] = ..., job_seconds: _Optional[int] = ..., idle_seconds: _Optional[int] = ...) -> None: ...

class AttestRequest(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    def __init__(self, nonce: _Optional[bytes] = ...) -> None: ...

class AttestResponse(_message.Message):
    __slots__ = ("evidence", "maa_token", "receipt_jwk", "nonce_path", "token_evidence", "token_nonce", "admission_nonce", "bundle_update")
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    MAA_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_JWK_FIELD_NUMBER: _ClassVar[int]
    NONCE_PATH_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_NONCE_FIELD_NUMBER: _ClassVar[int]
    ADMISSION_NONCE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_UPDATE_FIELD_NUMBER: _ClassVar[int]
    evidence: bytes
    maa_token: str
    receipt_jwk: str
    nonce_path: bytes
    token_evidence: bytes
    token_nonce: bytes
    admission_nonce: bytes
    bundle_update: str
    def __init__(self, evidence: _Optional[bytes] = ..., maa_token: _Optional[str] = ..., receipt_jwk: _Optional[str] = ..., nonce_path: _Optional[bytes] = ..., token_evidence: _Optional[bytes] = ..., token_nonce: _Optional[bytes] = ..., admission_nonce: _Optional[bytes] = ..., bundle_update: _Optional[str] = ...) -> None: ...

class VouchRequest(_message.Message):
    __slots__ = ("nonce", "request_sha384")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SHA384_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    request_sha384: bytes
    def __init__(self, nonce: _Optional[bytes] = ..., request_sha384: _Optional[bytes] = ...) -> None: ...

class VouchResponse(_message.Message):
    __slots__ = ("attestation", "signature")
    ATTESTATION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    attestation: AttestResponse
    signature: bytes
    def __init__(self, attestation: _Optional[_Union[AttestResponse, _Mapping]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class GetReceiptRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: bytes
    def __init__(self, job_id: _Optional[bytes] = ...) -> None: ...

class GetReceiptResponse(_message.Message):
    __slots__ = ("receipt", "release")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    receipt: str
    release: Release
    def __init__(self, receipt: _Optional[str] = ..., release: _Optional[_Union[Release, str]] = ...) -> None: ...
