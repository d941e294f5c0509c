from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("announcement", "chunk")
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    announcement: Announcement
    chunk: bytes
    def __init__(self, announcement: _Optional[_Union[Announcement, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class Announcement(_message.Message):
    __slots__ = ("length", "digest", "is_content")
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    IS_CONTENT_FIELD_NUMBER: _ClassVar[int]
    length: int
    digest: bytes
    is_content: bool
    def __init__(self, length: _Optional[int] = ..., digest: _Optional[bytes] = ..., is_content: _Optional[bool] = ...) -> None: ...

class SessionFields(_message.Message):
    __slots__ = ("roster_digest", "key_epoch", "job_id", "spec_digest", "round_number", "body_digest", "cohort", "round_quorum", "terms", "previous_transcript", "plan_step", "acceptances")
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    KEY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BODY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COHORT_FIELD_NUMBER: _ClassVar[int]
    ROUND_QUORUM_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    PLAN_STEP_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCES_FIELD_NUMBER: _ClassVar[int]
    roster_digest: bytes
    key_epoch: int
    job_id: str
    spec_digest: bytes
    round_number: int
    body_digest: bytes
    cohort: _containers.RepeatedScalarFieldContainer[str]
    round_quorum: int
    terms: bytes
    previous_transcript: bytes
    plan_step: int
    acceptances: bytes
    def __init__(self, roster_digest: _Optional[bytes] = ..., key_epoch: _Optional[int] = ..., job_id: _Optional[str] = ..., spec_digest: _Optional[bytes] = ..., round_number: _Optional[int] = ..., body_digest: _Optional[bytes] = ..., cohort: _Optional[_Iterable[str]] = ..., round_quorum: _Optional[int] = ..., terms: _Optional[bytes] = ..., previous_transcript: _Optional[bytes] = ..., plan_step: _Optional[int] = ..., acceptances: _Optional[bytes] = ...) -> None: ...

class KeyPart(_message.Message):
    __slots__ = ("ciphertexts", "proof")
    CIPHERTEXTS_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    ciphertexts: _containers.RepeatedScalarFieldContainer[bytes]
    proof: bytes
    def __init__(self, ciphertexts: _Optional[_Iterable[bytes]] = ..., proof: _Optional[bytes] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("party_id", "key_part", "padded_digest", "signature")
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_PART_FIELD_NUMBER: _ClassVar[int]
    PADDED_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    party_id: str
    key_part: KeyPart
    padded_digest: bytes
    signature: bytes
    def __init__(self, party_id: _Optional[str] = ..., key_part: _Optional[_Union[KeyPart, _Mapping]] = ..., padded_digest: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("code", "detail", "job_id", "round_number")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    code: str
    detail: str
    job_id: str
    round_number: int
    def __init__(self, code: _Optional[str] = ..., detail: _Optional[str] = ..., job_id: _Optional[str] = ..., round_number: _Optional[int] = ...) -> None: ...
