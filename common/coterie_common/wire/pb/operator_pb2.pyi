from coterie_common.wire.pb import federation_pb2 as _federation_pb2
from coterie_common.wire.pb import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_PROPOSED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_DELIVERING: _ClassVar[JobState]
    JOB_STATE_COMPLETED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]

class RoundPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROUND_PHASE_UNSPECIFIED: _ClassVar[RoundPhase]
    ROUND_PHASE_COLLECTING: _ClassVar[RoundPhase]
    ROUND_PHASE_DECRYPTING: _ClassVar[RoundPhase]
    ROUND_PHASE_RELEASED: _ClassVar[RoundPhase]
    ROUND_PHASE_ABORTED: _ClassVar[RoundPhase]
    ROUND_PHASE_ABANDONED: _ClassVar[RoundPhase]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_PROPOSED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_DELIVERING: JobState
JOB_STATE_COMPLETED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
ROUND_PHASE_UNSPECIFIED: RoundPhase
ROUND_PHASE_COLLECTING: RoundPhase
ROUND_PHASE_DECRYPTING: RoundPhase
ROUND_PHASE_RELEASED: RoundPhase
ROUND_PHASE_ABORTED: RoundPhase
ROUND_PHASE_ABANDONED: RoundPhase

class ListPartiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SubmitJobRequest(_message.Message):
    __slots__ = ("spec", "again", "despite_noise")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    DESPITE_NOISE_FIELD_NUMBER: _ClassVar[int]
    spec: bytes
    again: bool
    despite_noise: bool
    def __init__(self, spec: _Optional[bytes] = ..., again: _Optional[bool] = ..., despite_noise: _Optional[bool] = ...) -> None: ...

class SubmitJobResponse(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FetchModelRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class PartyStatus(_message.Message):
    __slots__ = ("party_id", "index", "connected", "since_us")
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    party_id: str
    index: int
    connected: bool
    since_us: int
    def __init__(self, party_id: _Optional[str] = ..., index: _Optional[int] = ..., connected: _Optional[bool] = ..., since_us: _Optional[int] = ...) -> None: ...

class JobStatus(_message.Message):
    __slots__ = ("job_id", "name", "algorithm", "dataset", "state", "reason", "rounds_planned", "round", "privacy", "parties", "submitted_by", "submitted_us", "finished_us", "waiting_for", "spare_rounds", "spare_rounds_used", "is_complete", "steps_epsilon")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_PLANNED_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_BY_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_US_FIELD_NUMBER: _ClassVar[int]
    FINISHED_US_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    SPARE_ROUNDS_FIELD_NUMBER: _ClassVar[int]
    SPARE_ROUNDS_USED_FIELD_NUMBER: _ClassVar[int]
    IS_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    STEPS_EPSILON_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    name: str
    algorithm: str
    dataset: str
    state: JobState
    reason: str
    rounds_planned: int
    round: RoundProgress
    privacy: Privacy
    parties: _containers.RepeatedCompositeFieldContainer[JobParty]
    submitted_by: str
    submitted_us: int
    finished_us: int
    waiting_for: int
    spare_rounds: int
    spare_rounds_used: int
    is_complete: bool
    steps_epsilon: str
    def __init__(self, job_id: _Optional[str] = ..., name: _Optional[str] = ..., algorithm: _Optional[str] = ..., dataset: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., reason: _Optional[str] = ..., rounds_planned: _Optional[int] = ..., round: _Optional[_Union[RoundProgress, _Mapping]] = ..., privacy: _Optional[_Union[Privacy, _Mapping]] = ..., parties: _Optional[_Iterable[_Union[JobParty, _Mapping]]] = ..., submitted_by: _Optional[str] = ..., submitted_us: _Optional[int] = ..., finished_us: _Optional[int] = ..., waiting_for: _Optional[int] = ..., spare_rounds: _Optional[int] = ..., spare_rounds_used: _Optional[int] = ..., is_complete: _Optional[bool] = ..., steps_epsilon: _Optional[str] = ...) -> None: ...

class RoundProgress(_message.Message):
    __slots__ = ("number", "phase", "contributed", "decrypted", "plan_step", "quorum")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTED_FIELD_NUMBER: _ClassVar[int]
    DECRYPTED_FIELD_NUMBER: _ClassVar[int]
    PLAN_STEP_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    number: int
    phase: RoundPhase
    contributed: _containers.RepeatedScalarFieldContainer[str]
    decrypted: _containers.RepeatedScalarFieldContainer[str]
    plan_step: int
    quorum: int
    def __init__(self, number: _Optional[int] = ..., phase: _Optional[_Union[RoundPhase, str]] = ..., contributed: _Optional[_Iterable[str]] = ..., decrypted: _Optional[_Iterable[str]] = ..., plan_step: _Optional[int] = ..., quorum: _Optional[int] = ...) -> None: ...

class Privacy(_message.Message):
    __slots__ = ("epsilon", "delta", "unit", "mechanism", "placement")
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MECHANISM_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    epsilon: str
    delta: str
    unit: str
    mechanism: str
    placement: str
    def __init__(self, epsilon: _Optional[str] = ..., delta: _Optional[str] = ..., unit: _Optional[str] = ..., mechanism: _Optional[str] = ..., placement: _Optional[str] = ...) -> None: ...

class JobParty(_message.Message):
    __slots__ = ("party_id", "decision", "code", "detail", "model_received", "connected", "waiting")
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    MODEL_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    party_id: str
    decision: _federation_pb2.Decision
    code: str
    detail: str
    model_received: bool
    connected: bool
    waiting: str
    def __init__(self, party_id: _Optional[str] = ..., decision: _Optional[_Union[_federation_pb2.Decision, str]] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., model_received: _Optional[bool] = ..., connected: _Optional[bool] = ..., waiting: _Optional[str] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("job_id", "name", "algorithm", "digest", "size_bytes", "rounds", "privacy", "finished_us", "state", "rounds_planned")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    FINISHED_US_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_PLANNED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    name: str
    algorithm: str
    digest: bytes
    size_bytes: int
    rounds: int
    privacy: Privacy
    finished_us: int
    state: JobState
    rounds_planned: int
    def __init__(self, job_id: _Optional[str] = ..., name: _Optional[str] = ..., algorithm: _Optional[str] = ..., digest: _Optional[bytes] = ..., size_bytes: _Optional[int] = ..., rounds: _Optional[int] = ..., privacy: _Optional[_Union[Privacy, _Mapping]] = ..., finished_us: _Optional[int] = ..., state: _Optional[_Union[JobState, str]] = ..., rounds_planned: _Optional[int] = ...) -> None: ...
