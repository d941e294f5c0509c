# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Collects every word that the product stores, signs, sends or reads from a file, from the code as it is.

``tests/packaging/stored_words.json`` keeps the list; a test compares the two. After a change that is meant:

    .venv/bin/python -m tests.support.stored_words

The list names no class, function or module, so that renaming or moving one does not change it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator
from enum import Enum, StrEnum
from functools import cache
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor
from hypothesis import Phase, find, settings
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel
from sqlalchemy import MetaData

import coterie.founding.leaving
import coterie_aggregator.machines.job_events
import coterie_aggregator.machines.job_machine
import coterie_aggregator.machines.round_events
import coterie_aggregator.machines.round_state
import coterie_party.round
from coterie.founding.home import FederationRecord
from coterie.founding.register import Register
from coterie.simulation.method import Method
from coterie_aggregator.home.config import AggregatorConfig
from coterie_aggregator.store.event_codec import EventCodec
from coterie_aggregator.store.tables import METADATA as AGGREGATOR_TABLES
from coterie_common.audit.entry import Entry, Kind
from coterie_common.audit.export import Export
from coterie_common.audit.ledger import LineStatus, ledger_details
from coterie_common.audit.told import told
from coterie_common.crypto import keystore
from coterie_common.crypto.certificates import Role
from coterie_common.crypto.generation.steps.messages import Step
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.masks.mask import Purpose
from coterie_common.crypto.threshold import KeyKind, ThresholdPublicKey
from coterie_common.errors import CoterieError, KeyFileError, MalformedMessage
from coterie_common.host.telemetry import LogFormat
from coterie_common.learning import model as model_file
from coterie_common.learning.algorithm import BUILT_IN_ALGORITHMS, get_algorithm
from coterie_common.learning.algorithms.descent_config import Phase as DescentPhase
from coterie_common.learning.algorithms.descent_config import ScalingKind
from coterie_common.learning.algorithms.linear_losses import Loss
from coterie_common.learning.algorithms.optimiser import Optimiser
from coterie_common.learning.data.column import CategoricalColumn, NumericColumn
from coterie_common.learning.data.file_format import FileFormat
from coterie_common.learning.data.schema import Schema, SchemaTable
from coterie_common.learning.plan import Records
from coterie_common.membership.bundle import Bundle
from coterie_common.membership.credential import IssuedCredential
from coterie_common.membership.enrolment import EnrolmentRequest
from coterie_common.membership.invitations.application import Application
from coterie_common.membership.invitations.channel import DocumentKind
from coterie_common.membership.membership import Membership
from coterie_common.privacy.accounting.cost import Cost
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.event import event_from_document
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.privacy.vector_encoding import Rounding, VectorEncoding
from coterie_common.protocol import acceptance, messages
from coterie_common.protocol.job_spec import JobSealing, JobTable, PrivacyGoal, RoundSettings
from coterie_common.protocol.parameters import AggregatorTrust, FederationParameters
from coterie_common.protocol.progress import JobState, RoundPhase
from coterie_common.protocol.roster import Roster, SignedRoster
from coterie_common.protocol.roster.key_making import KeyMaking
from coterie_common.protocol.roster.members import AggregatorMember, Member
from coterie_common.protocol.terms import CountTerms, RoundTerms, SealingKind, VectorTerms
from coterie_common.wire.pb import enrolment_pb2, federation_pb2, operator_pb2, types_pb2
from coterie_party.home.config import DatasetBinding, PartyConfig, TrainingConfig
from coterie_party.live import proposals, recording
from coterie_party.policy.hours import Hours
from coterie_party.policy.policy import Budget, Confinement, DatasetRules, Period, Policy
from coterie_party.store import audit, promises
from coterie_party.store.ledger import carried_record
from coterie_party.store.party_store import PartyStore
from coterie_party.store.records import ReservationStatus
from coterie_party.store.tables import METADATA as PARTY_TABLES
from tests.support import message_strategies
from tests.support.repository import PACKAGES, ROOT, module_name, sources
from tests.support.spelled_words import Spelled, text_of

FILE: Final = ROOT / "tests/packaging/stored_words.json"

T = TypeVar("T")


def _configs() -> Iterator[tuple[str, type[BaseModel]]]:
    for name in BUILT_IN_ALGORITHMS:
        algorithm: Any = get_algorithm(name)
        if kind := getattr(algorithm, "config_type", None):  # evaluation takes a whole model instead
            yield name, kind


_LISTED_ENUMERATIONS: Final[dict[str, type[StrEnum]]] = {
    "aggregator trust": AggregatorTrust,
    "kind of key": KeyKind,
    "audit entries": Kind,
    "certificate roles": Role,
    "confinement in policies": Confinement,
    "decisions": acceptance.Decision,
    "descent: phases": DescentPhase,
    "descent: scaling": ScalingKind,
    "documents published for a request": DocumentKind,
    "hashing labels": Label,
    "job outcomes": messages.JobOutcome,
    "job sealings": JobSealing,
    "job states": JobState,
    "ledger lines in audit records": LineStatus,
    "log formats": LogFormat,
    "losses": Loss,
    "machine of a job at the aggregator: phases": coterie_aggregator.machines.job_machine.Phase,
    "machine of a round at a party: phases": coterie_party.round.Phase,
    "machine of a round at the aggregator: phases": coterie_aggregator.machines.round_state.Phase,
    "machine of a round at the aggregator: reasons to abort": coterie_aggregator.machines.round_state.AbortReason,
    "machine of a round at the aggregator: standings of parties": coterie_aggregator.machines.round_state.Standing,
    "masked vectors": Purpose,
    "mechanisms": Mechanism,
    "optimisers": Optimiser,
    "placements of noise": Placement,
    "privacy units": Unit,
    "records": Records,
    "reservations": ReservationStatus,
    "rounding": Rounding,
    "round phases shown to people": RoundPhase,
    "sealings": SealingKind,
    "simulation: methods": Method,
    "standings of parties that leave": coterie.founding.leaving.Standing,
    "steps of a key generation": Step,
}
_LISTED_MODELS: Final[dict[str, type[BaseModel]]] = {
    "aggregator.toml": AggregatorConfig,
    "job": JobTable,
    "job [privacy]": PrivacyGoal,
    "job [rounds]": RoundSettings,
    "key files: header": keystore._Header,
    "models: content": model_file._ModelFile,
    "models: lineage": model_file.Lineage,
    "party.toml": PartyConfig,
    "party.toml [datasets.NAME]": DatasetBinding,
    "party.toml [training]": TrainingConfig,
    "policy.toml": Policy,
    "policy.toml [[hours]]": Hours,
    "policy.toml [[periods]]": Period,
    "policy.toml [datasets.NAME]": DatasetRules,
    "policy.toml [lifetime]": Budget,
    "schema": Schema,
    "schema in a job": SchemaTable,
    "schema: column of few known texts": CategoricalColumn,
    "schema: column of numbers": NumericColumn,
    "schema: file format": FileFormat,
    **{f"job [config] of {name}": kind for name, kind in _configs()},
}
_RECORDED_BY: Final[dict[Kind, tuple[Callable[..., object], ...]]] = {
    Kind.STARTED: (recording.record_start, recording._roster),
    Kind.DECISION: (promises.decision, PartyStore.record_job, proposals._told, audit.Recorder.refused_job),
    Kind.LEDGER: (ledger_details, carried_record.append_new),
    Kind.QUERY: (promises.query,),
    Kind.REPLY: (promises.reply, PartyStore.store_reply),
    Kind.DECRYPTION: (promises.decryption,),
    Kind.PARTIAL: (promises.partial, PartyStore.store_partial),
    Kind.REFUSAL: (recording.record_refusal, audit.Recorder.refusal),
    Kind.MODEL: (),
    Kind.JOB_END: (promises.job_end,),
}
"""Where the details of an entry come from, besides what the aggregator said."""
_SAID: Final[dict[Kind, SearchStrategy[messages.AggregatorMessage]]] = {
    Kind.DECISION: message_strategies.proposals,
    Kind.QUERY: message_strategies.queries,
    Kind.DECRYPTION: message_strategies.decryption_requests,
    Kind.MODEL: message_strategies.deliveries,
    Kind.JOB_END: message_strategies.ends,
}
_DOCUMENTS: Final[dict[str, Callable[[], object]]] = {
    "admissions": lambda: Register.from_bytes(b"{}"),
    "application": lambda: Application.from_bytes(b"{}"),
    "audit entry": lambda: Entry.from_document({}),
    "audit record": lambda: Export.from_bytes(b"{}"),
    "bundle": lambda: Bundle.from_bytes(b"{}"),
    "credential": lambda: IssuedCredential.from_bytes(b"{}"),
    "encoding of counts": lambda: CountEncoding.from_document({}),
    "encoding of vectors": lambda: VectorEncoding.from_document({}),
    "enrolment request": lambda: EnrolmentRequest.from_document({}),
    "federation": lambda: FederationRecord.from_bytes(b"{}"),
    "federation: parameters": lambda: FederationParameters.from_document({}),
    "membership": lambda: Membership.from_document({}),
    "privacy cost": lambda: Cost.from_document({}),
    "release of counts": lambda: event_from_document({"kind": "counts"}),
    "release of vectors": lambda: event_from_document({"kind": "vectors"}),
    "roster": lambda: Roster.from_document({}),
    "roster, signed": lambda: SignedRoster.from_document({}),
    "roster: aggregator": lambda: AggregatorMember.from_document({}),
    "roster: making of the key": lambda: KeyMaking.from_document({}),
    "roster: member": lambda: Member.from_document({}),
    "terms of a round": lambda: RoundTerms.from_document({}),
    "terms of a round: counts": lambda: CountTerms.from_document({}),
    "terms of a round: vectors": lambda: VectorTerms.from_document({}),
    "threshold key": lambda: ThresholdPublicKey.from_document({}),
}
"""Reads an object without the keys that it must have."""
_ANY: Final = settings(database=None, phases=[Phase.generate])
_MACHINES: Final = {
    "job": coterie_aggregator.machines.job_events.Event,
    "round": coterie_aggregator.machines.round_events.Event,
}


def collect() -> dict[str, Any]:
    """Return the whole list, in a form that JSON keeps."""
    import_product()
    spelled = [Spelled(path) for path in sources()]
    return {
        "audit entries": {kind.value: sorted(audit_details(kind)) for kind in Kind},
        "audit: refused messages": sorted(message.stored_as for message in get_args(messages.AggregatorMessage)),
        "database tables": {"aggregator": _tables(AGGREGATOR_TABLES), "party": _tables(PARTY_TABLES)},
        "documents": {name: _demanded(read) for name, read in _DOCUMENTS.items()} | _noise(),
        "enumerations": {name: sorted(each.value for each in kind) for name, kind in _LISTED_ENUMERATIONS.items()},
        "error codes": sorted(kind.code for kind in subclasses(CoterieError) if kind.code),
        "events": {
            name: {word: sorted(fields) for word, fields in EventCodec[Any](union).words.items()}
            for name, union in _MACHINES.items()
        },
        "keys read from documents": sorted({word for each in spelled for word in each.read}),
        "keys written to documents": sorted({word for each in spelled for word in each.written}),
        "settings": {name: _settings(model) for name, model in _LISTED_MODELS.items()},
        "single words": sorted({word for each in spelled for word in each.constants}),
        "wire": _wire(
            types_pb2.DESCRIPTOR, enrolment_pb2.DESCRIPTOR, federation_pb2.DESCRIPTOR, operator_pb2.DESCRIPTOR
        ),
    }


def _demanded(read: Callable[[], object]) -> list[str]:
    """Return the keys that a parser names when it misses them."""
    try:
        read()
    except (KeyFileError, MalformedMessage) as refused:
        return sorted(refused.message.partition(" the keys ")[2].split(", "))
    raise AssertionError("an object without keys was read")


def _noise() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for mechanism in Mechanism:
        # Terms hold their mechanism's word.
        documents = message_strategies.noise.map(lambda terms: terms.to_document())
        document = find(documents, lambda document: mechanism.value in document.values(), settings=_ANY)  # noqa: B023  # called at once
        found[f"noise: {mechanism.value}"] = sorted(document)
    return found


@cache
def audit_details(kind: Kind) -> set[str]:
    """Return the names of the details that entries of a kind may have."""
    sample = _SAID.get(kind)
    said = set() if sample is None else set(told(find(sample, lambda _: True, settings=_ANY)))
    written = ast.parse("\n".join(textwrap.dedent(inspect.getsource(each)) for each in _RECORDED_BY[kind]))
    keys = {text_of(key) for node in ast.walk(written) if isinstance(node, ast.Dict) for key in node.keys}
    stored = {
        text_of(node.slice)
        for node in ast.walk(written)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    }
    return (said | keys | stored) - {""}


def text(words: dict[str, Any]) -> str:
    """Return a list as the file has it."""
    return json.dumps(words, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def unlisted() -> list[str]:
    """Return the enumerations and models of the product that the list leaves out."""
    import_product()
    listed = {*_LISTED_ENUMERATIONS.values(), *_LISTED_MODELS.values()}
    found = {kind for base in (StrEnum, BaseModel) for kind in subclasses(base)}
    bases = {base for kind in listed for base in kind.__mro__[1:]}
    return sorted(f"{kind.__module__}.{kind.__qualname__}" for kind in found - listed - bases)


def import_product() -> None:
    """Import every module of the product, so that all its classes exist."""
    for path in sources():
        name = module_name(path)
        if not name.endswith("__main__") and ".migrations." not in name:
            importlib.import_module(name)


def subclasses(base: type[T]) -> Iterator[type[T]]:
    """Yield the subclasses that the product has of a class, at any depth; tests have some too."""
    for kind in base.__subclasses__():
        if kind.__module__.partition(".")[0] in PACKAGES:
            yield kind
        yield from subclasses(kind)


def _tables(metadata: MetaData) -> dict[str, list[str]]:
    return {name: [column.name for column in table.columns] for name, table in metadata.tables.items()}


def _settings(model: type[BaseModel]) -> dict[str, list[str]]:
    """Return the entries of a model, each with the constants that it allows."""
    entries = ((field.alias or name, field.annotation) for name, field in model.model_fields.items())
    return {name: sorted(map(str, _constants(annotation))) for name, annotation in entries}


def _constants(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        return  # listed by itself
    else:
        for part in get_args(annotation):
            yield from _constants(part)


def _wire(*files: FileDescriptor) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for file in files:
        for message in file.message_types_by_name.values():
            described |= _message(message)
        for enumeration in file.enum_types_by_name.values():
            described |= _enumeration(enumeration)
        for service in file.services_by_name.values():
            described[service.full_name] = sorted(method.name for method in service.methods)
    return described


def _message(message: Descriptor) -> dict[str, Any]:
    described: dict[str, Any] = {
        message.full_name: {field.name: field.number for field in message.fields},
    }
    for nested in message.nested_types:
        described |= _message(nested)
    for enumeration in message.enum_types:
        described |= _enumeration(enumeration)
    return described


def _enumeration(enumeration: EnumDescriptor) -> dict[str, Any]:
    return {enumeration.full_name: {value.name: value.number for value in enumeration.values}}


if __name__ == "__main__":
    FILE.write_text(text(collect()), "utf-8")
