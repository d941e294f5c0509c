from coterie_common.wire.pb import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_ACCEPTED: _ClassVar[Decision]
    DECISION_HELD: _ClassVar[Decision]
    DECISION_REFUSED: _ClassVar[Decision]

class JobOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_OUTCOME_UNSPECIFIED: _ClassVar[JobOutcome]
    JOB_OUTCOME_COMPLETED: _ClassVar[JobOutcome]
    JOB_OUTCOME_FAILED: _ClassVar[JobOutcome]
    JOB_OUTCOME_CANCELLED: _ClassVar[JobOutcome]
DECISION_UNSPECIFIED: Decision
DECISION_ACCEPTED: Decision
DECISION_HELD: Decision
DECISION_REFUSED: Decision
JOB_OUTCOME_UNSPECIFIED: JobOutcome
JOB_OUTCOME_COMPLETED: JobOutcome
JOB_OUTCOME_FAILED: JobOutcome
JOB_OUTCOME_CANCELLED: JobOutcome

class PartyEnvelope(_message.Message):
    __slots__ = ("hello", "job_reply", "encrypted_reply", "partial_decryption", "model_receipt", "rejection", "padded_part", "encapsulations", "masked_reply")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    JOB_REPLY_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_REPLY_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_DECRYPTION_FIELD_NUMBER: _ClassVar[int]
    MODEL_RECEIPT_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    PADDED_PART_FIELD_NUMBER: _ClassVar[int]
    ENCAPSULATIONS_FIELD_NUMBER: _ClassVar[int]
    MASKED_REPLY_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    job_reply: JobReply
    encrypted_reply: EncryptedReply
    partial_decryption: PartialDecryption
    model_receipt: ModelReceipt
    rejection: _types_pb2.Rejection
    padded_part: PaddedPart
    encapsulations: Encapsulations
    masked_reply: MaskedReply
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., job_reply: _Optional[_Union[JobReply, _Mapping]] = ..., encrypted_reply: _Optional[_Union[EncryptedReply, _Mapping]] = ..., partial_decryption: _Optional[_Union[PartialDecryption, _Mapping]] = ..., model_receipt: _Optional[_Union[ModelReceipt, _Mapping]] = ..., rejection: _Optional[_Union[_types_pb2.Rejection, _Mapping]] = ..., padded_part: _Optional[_Union[PaddedPart, _Mapping]] = ..., encapsulations: _Optional[_Union[Encapsulations, _Mapping]] = ..., masked_reply: _Optional[_Union[MaskedReply, _Mapping]] = ...) -> None: ...

class AggregatorEnvelope(_message.Message):
    __slots__ = ("welcome", "job_proposal", "query", "decryption_request", "model_delivery", "job_end", "rejection", "acceptances", "relayed_encapsulations")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    JOB_PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    DECRYPTION_REQUEST_FIELD_NUMBER: _ClassVar[int]
    MODEL_DELIVERY_FIELD_NUMBER: _ClassVar[int]
    JOB_END_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCES_FIELD_NUMBER: _ClassVar[int]
    RELAYED_ENCAPSULATIONS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    job_proposal: JobProposal
    query: Query
    decryption_request: DecryptionRequest
    model_delivery: ModelDelivery
    job_end: JobEnd
    rejection: _types_pb2.Rejection
    acceptances: Acceptances
    relayed_encapsulations: RelayedEncapsulations
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., job_proposal: _Optional[_Union[JobProposal, _Mapping]] = ..., query: _Optional[_Union[Query, _Mapping]] = ..., decryption_request: _Optional[_Union[DecryptionRequest, _Mapping]] = ..., model_delivery: _Optional[_Union[ModelDelivery, _Mapping]] = ..., job_end: _Optional[_Union[JobEnd, _Mapping]] = ..., rejection: _Optional[_Union[_types_pb2.Rejection, _Mapping]] = ..., acceptances: _Optional[_Union[Acceptances, _Mapping]] = ..., relayed_encapsulations: _Optional[_Union[RelayedEncapsulations, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_version", "party_id", "roster_serial", "roster_digest")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    ROSTER_SERIAL_FIELD_NUMBER: _ClassVar[int]
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    party_id: str
    roster_serial: int
    roster_digest: bytes
    def __init__(self, protocol_version: _Optional[int] = ..., party_id: _Optional[str] = ..., roster_serial: _Optional[int] = ..., roster_digest: _Optional[bytes] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol_version", "roster_serial", "roster_digest")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROSTER_SERIAL_FIELD_NUMBER: _ClassVar[int]
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    roster_serial: int
    roster_digest: bytes
    def __init__(self, protocol_version: _Optional[int] = ..., roster_serial: _Optional[int] = ..., roster_digest: _Optional[bytes] = ...) -> None: ...

class JobProposal(_message.Message):
    __slots__ = ("job_id", "roster_digest", "spec", "terms", "signature")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    roster_digest: bytes
    spec: bytes
    terms: bytes
    signature: bytes
    def __init__(self, job_id: _Optional[str] = ..., roster_digest: _Optional[bytes] = ..., spec: _Optional[bytes] = ..., terms: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class JobReply(_message.Message):
    __slots__ = ("job_id", "party_id", "spec_digest", "terms_digest", "decision", "code", "detail", "signature", "ephemeral_key")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TERMS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    EPHEMERAL_KEY_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    party_id: str
    spec_digest: bytes
    terms_digest: bytes
    decision: Decision
    code: str
    detail: str
    signature: bytes
    ephemeral_key: bytes
    def __init__(self, job_id: _Optional[str] = ..., party_id: _Optional[str] = ..., spec_digest: _Optional[bytes] = ..., terms_digest: _Optional[bytes] = ..., decision: _Optional[_Union[Decision, str]] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., signature: _Optional[bytes] = ..., ephemeral_key: _Optional[bytes] = ...) -> None: ...

class Acceptances(_message.Message):
    __slots__ = ("job_id", "replies", "signature")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    replies: _containers.RepeatedCompositeFieldContainer[JobReply]
    signature: bytes
    def __init__(self, job_id: _Optional[str] = ..., replies: _Optional[_Iterable[_Union[JobReply, _Mapping]]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Encapsulation(_message.Message):
    __slots__ = ("job_id", "sender", "recipient", "sender_acceptance", "recipient_acceptance", "ciphertext", "signature")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    SENDER_ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    sender: str
    recipient: str
    sender_acceptance: bytes
    recipient_acceptance: bytes
    ciphertext: bytes
    signature: bytes
    def __init__(self, job_id: _Optional[str] = ..., sender: _Optional[str] = ..., recipient: _Optional[str] = ..., sender_acceptance: _Optional[bytes] = ..., recipient_acceptance: _Optional[bytes] = ..., ciphertext: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Encapsulations(_message.Message):
    __slots__ = ("job_id", "party_id", "encapsulations")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    ENCAPSULATIONS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    party_id: str
    encapsulations: _containers.RepeatedCompositeFieldContainer[Encapsulation]
    def __init__(self, job_id: _Optional[str] = ..., party_id: _Optional[str] = ..., encapsulations: _Optional[_Iterable[_Union[Encapsulation, _Mapping]]] = ...) -> None: ...

class RelayedEncapsulations(_message.Message):
    __slots__ = ("job_id", "encapsulations")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ENCAPSULATIONS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    encapsulations: _containers.RepeatedCompositeFieldContainer[Encapsulation]
    def __init__(self, job_id: _Optional[str] = ..., encapsulations: _Optional[_Iterable[_Union[Encapsulation, _Mapping]]] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("fields", "body", "signature", "previous")
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    fields: _types_pb2.SessionFields
    body: bytes
    signature: bytes
    previous: ReplyList
    def __init__(self, fields: _Optional[_Union[_types_pb2.SessionFields, _Mapping]] = ..., body: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., previous: _Optional[_Union[ReplyList, _Mapping]] = ...) -> None: ...

class ReplyList(_message.Message):
    __slots__ = ("session_id", "replies")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    replies: _containers.RepeatedCompositeFieldContainer[ListedReply]
    def __init__(self, session_id: _Optional[bytes] = ..., replies: _Optional[_Iterable[_Union[ListedReply, _Mapping]]] = ...) -> None: ...

class ListedReply(_message.Message):
    __slots__ = ("party_id", "digest")
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    party_id: str
    digest: bytes
    def __init__(self, party_id: _Optional[str] = ..., digest: _Optional[bytes] = ...) -> None: ...

class EncryptedReply(_message.Message):
    __slots__ = ("job_id", "round_number", "session_id", "contribution")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    round_number: int
    session_id: bytes
    contribution: _types_pb2.Contribution
    def __init__(self, job_id: _Optional[str] = ..., round_number: _Optional[int] = ..., session_id: _Optional[bytes] = ..., contribution: _Optional[_Union[_types_pb2.Contribution, _Mapping]] = ...) -> None: ...

class MaskedReply(_message.Message):
    __slots__ = ("job_id", "round_number", "session_id", "party_id", "masked", "padded_digest", "signature")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    PADDED_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    round_number: int
    session_id: bytes
    party_id: str
    masked: bytes
    padded_digest: bytes
    signature: bytes
    def __init__(self, job_id: _Optional[str] = ..., round_number: _Optional[int] = ..., session_id: _Optional[bytes] = ..., party_id: _Optional[str] = ..., masked: _Optional[bytes] = ..., padded_digest: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class PaddedPart(_message.Message):
    __slots__ = ("job_id", "round_number", "session_id", "party_id", "size")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    round_number: int
    session_id: bytes
    party_id: str
    size: int
    def __init__(self, job_id: _Optional[str] = ..., round_number: _Optional[int] = ..., session_id: _Optional[bytes] = ..., party_id: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class DecryptionRequest(_message.Message):
    __slots__ = ("fields", "contributions", "signature")
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    fields: _types_pb2.SessionFields
    contributions: _containers.RepeatedCompositeFieldContainer[_types_pb2.Contribution]
    signature: bytes
    def __init__(self, fields: _Optional[_Union[_types_pb2.SessionFields, _Mapping]] = ..., contributions: _Optional[_Iterable[_Union[_types_pb2.Contribution, _Mapping]]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class PartialDecryption(_message.Message):
    __slots__ = ("job_id", "round_number", "session_id", "transcript_digest", "party_id", "values", "proof", "signature", "transcript_signature")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    round_number: int
    session_id: bytes
    transcript_digest: bytes
    party_id: str
    values: _containers.RepeatedScalarFieldContainer[bytes]
    proof: bytes
    signature: bytes
    transcript_signature: bytes
    def __init__(self, job_id: _Optional[str] = ..., round_number: _Optional[int] = ..., session_id: _Optional[bytes] = ..., transcript_digest: _Optional[bytes] = ..., party_id: _Optional[str] = ..., values: _Optional[_Iterable[bytes]] = ..., proof: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., transcript_signature: _Optional[bytes] = ...) -> None: ...

class ModelDelivery(_message.Message):
    __slots__ = ("job_id", "model", "signature")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    model: bytes
    signature: bytes
    def __init__(self, job_id: _Optional[str] = ..., model: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ModelReceipt(_message.Message):
    __slots__ = ("job_id", "party_id", "model_digest", "signature")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    party_id: str
    model_digest: bytes
    signature: bytes
    def __init__(self, job_id: _Optional[str] = ..., party_id: _Optional[str] = ..., model_digest: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class JobEnd(_message.Message):
    __slots__ = ("job_id", "outcome", "reason", "signature")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    outcome: JobOutcome
    reason: str
    signature: bytes
    def __init__(self, job_id: _Optional[str] = ..., outcome: _Optional[_Union[JobOutcome, str]] = ..., reason: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...
