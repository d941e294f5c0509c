# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job specification: the algorithm, data set, privacy and schema of a job. Public, and hashed.

A person writes it as TOML; it travels as canonical JSON bytes, whose digest is part of every session id of the job.
``config`` and ``schema`` are carried unchanged: only the algorithm knows their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from coterie_common import document
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage
from coterie_common.identifiers import PartyId, parse_party_id
from coterie_common.limits import JOB_SPEC_BYTES, MAX_PARTIES, MAX_SPARE_ROUNDS
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.strict_model import describe

_NAME = r"^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$"
_ALGORITHM = r"^[a-z][a-z0-9_.-]{0,62}$"

_MAX_DIGITS = 40
"""Significant digits of a number, and its greatest power of ten: far beyond what a parameter needs."""

_MAX_TEXT = 2 * _MAX_DIGITS + 3
"""Characters of the longest such number: sign, point and a zero before it come on top."""

DEFAULT_DURATION_S = 86400
"""A day: secrets of a job that is sealed completely, if the job states nothing else."""

_MAX_DEPTH = 32
"""Nested tables and lists; a document may be deeper."""


def _exact(value: object) -> object:
    """Accept numbers and their decimal text; a binary float would differ from the written number."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        try:
            return Decimal(value)
        except ArithmeticError as cause:
            raise ValueError("must be a decimal number") from cause
    raise ValueError("must be a decimal number")


def _parties(value: object) -> object:
    """Accept a list of different ids."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise ValueError('must be a list of ids of parties, such as ["party-3"]')
    if len(set(value)) != len(value) or len(value) > MAX_PARTIES:
        raise ValueError("must name each party once")
    try:
        return tuple(map(parse_party_id, value))
    except ConfigurationError as cause:
        raise ValueError(cause.message) from cause


Exact = Annotated[Decimal, BeforeValidator(_exact)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PrivacyGoal(_Part):
    """The privacy that the whole job promises.

    Attributes:
        epsilon: greater than 0; meaningless if the placement is ``none``.
        delta: 0 where the mechanism needs no δ, otherwise at most 0.01.
        mechanism: noise distribution.
        placement: the part of it that each party adds.
        unit: the unit of privacy whose presence is hidden.
        allow_large_delta: true if δ may be above one in the number of records, if the job states that number.
    """

    epsilon: Annotated[Exact, Field(gt=0, le=1000)]
    delta: Annotated[Exact, Field(ge=0, le=Decimal("0.01"))] = Decimal(0)
    mechanism: Mechanism = Mechanism.DISCRETE_GAUSSIAN
    placement: Placement = Placement.DISTRIBUTED
    unit: Unit = Unit.RECORD
    allow_large_delta: Annotated[bool, Field(strict=True)] = False

    @property
    def epsilon_text(self) -> str:
        """ε as decimal text."""
        return _decimal_text(self.epsilon)

    @property
    def delta_text(self) -> str:
        """δ as decimal text."""
        return _decimal_text(self.delta)

    @property
    def exact_epsilon(self) -> Fraction:
        """ε as an exact fraction."""
        return Fraction(self.epsilon)

    @property
    def exact_delta(self) -> Fraction:
        """δ as an exact fraction."""
        return Fraction(self.delta)


class JobSealing(StrEnum):
    """The family of sealings that a job asks for.

    ``threshold``: replies are encrypted under the federation's key, and enough parties open their sum together.
    ``complete``: replies are masked, and the sum opens itself once everybody that a round asks has replied.
    """

    THRESHOLD = "threshold"
    COMPLETE = "complete"


class RoundSettings(_Part):
    """The deadlines of the parties.

    Attributes:
        proposal_deadline_s: after this time the job starts with the parties that accepted, if they are enough.
        deadline_s: after this time a round goes on with the parties that replied, if they are enough.
        patience_s: parties asked to help to open a sum, or to take the model, have this time before others are asked.
        timeout_s: a round that is not released after this time is aborted, and a job that too few parties accepted
            after this time (and after ``proposal_deadline_s``) ends.
        quorum: minimum number of contributors per release; the federation's own quorum if not given.
        spare_rounds: rounds that may be asked again because they could not complete; every party reserves their cost
            when it accepts the job. Without it 5 % of the planned rounds, at least 1; without noise none.
        max_duration_s: of a job that is sealed completely: a party erases its secrets when it has run so long, by the
            party's own clock from its acceptance on, and answers no further round.
        without: ids of parties that are not asked, such as those that may have spoilt an earlier job.
    """

    proposal_deadline_s: Annotated[int, Field(strict=True, ge=1, le=30 * 86400)] = 60
    deadline_s: Annotated[int, Field(strict=True, ge=1, le=86400)] = 60
    patience_s: Annotated[int, Field(strict=True, ge=1, le=86400)] = 10
    timeout_s: Annotated[int, Field(strict=True, ge=1, le=30 * 86400)] = 3600
    quorum: Annotated[int, Field(strict=True, ge=1)] | None = None
    spare_rounds: Annotated[int, Field(strict=True, ge=0, le=MAX_SPARE_ROUNDS)] | None = None
    max_duration_s: Annotated[int, Field(strict=True, ge=60, le=90 * 86400)] | None = None
    without: Annotated[tuple[PartyId, ...], BeforeValidator(_parties)] = ()

    def to_document(self) -> dict[str, Any]:
        """Return JSON values; of later versions' entries those alone that are stated, as in versions before them."""
        table = self.model_dump()
        without = table.pop("without")
        table = {
            name: value
            for name, value in table.items()
            if value is not None or name not in {"spare_rounds", "max_duration_s"}
        }
        return table | ({"without": list(without)} if without else {})


class JobTable(_Part):
    """A job file as a person writes it.

    Attributes:
        name: 1–48 lower-case letters, digits, hyphens; models are named after it.
        algorithm: its name, such as ``decision_tree``.
        dataset: name under which each party binds its own data.
        config: the algorithm's parameters.
        privacy: the promised privacy.
        rounds: deadlines and quorum.
        sealing: the family of sealings; under the threshold key if not given.
        schema_: public description of the columns.
    """

    name: Annotated[str, Field(pattern=_NAME)]
    algorithm: Annotated[str, Field(pattern=_ALGORITHM)]
    dataset: Annotated[str, Field(pattern=_NAME)]
    config: dict[str, Any] = {}
    privacy: PrivacyGoal
    rounds: RoundSettings = RoundSettings()
    sealing: JobSealing = JobSealing.THRESHOLD
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job.

    Attributes:
        name: 1–48 lower-case letters, digits, hyphens; models are named after it.
        algorithm: its name, such as ``decision_tree``.
        dataset: name under which each party binds its own data.
        config: the algorithm's parameters; real numbers as decimal text.
        schema: public description of the columns; real numbers as decimal text.
        privacy: the promised privacy.
        rounds: deadlines and quorum.
        sealing: the family of sealings.
    """

    name: str
    algorithm: str
    dataset: str
    config: dict[str, Any]
    schema: dict[str, Any]
    privacy: PrivacyGoal
    rounds: RoundSettings
    sealing: JobSealing = JobSealing.THRESHOLD

    @property
    def is_complete(self) -> bool:
        """Whether the job is sealed completely."""
        return self.sealing is JobSealing.COMPLETE

    @property
    def max_duration(self) -> timedelta:
        """The time after which a party erases its secrets of the job, if the job is sealed completely."""
        stated = self.rounds.max_duration_s
        return timedelta(seconds=DEFAULT_DURATION_S if stated is None else stated)

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> JobSpec:
        """Check a job specification that a person wrote.

        Args:
            table: parsed TOML, real numbers as ``Decimal``.

        Raises:
            InvalidJob: the message names every offending key and the expected values.
        """
        try:
            parsed = JobTable.model_validate(table)
            config, schema = _plain(parsed.config, ("config",)), _plain(parsed.schema_, ("schema",))
        except ValidationError as cause:
            problems = "; ".join(describe(error) for error in cause.errors(include_url=False))
            raise InvalidJob(f"job specification: {problems}") from cause
        _check_privacy(parsed.privacy)
        if parsed.rounds.max_duration_s is not None and parsed.sealing is not JobSealing.COMPLETE:
            raise InvalidJob('job specification: rounds.max_duration_s goes with sealing = "complete" only')
        spec = cls(
            name=parsed.name,
            algorithm=parsed.algorithm,
            dataset=parsed.dataset,
            config=config,
            schema=schema,
            privacy=parsed.privacy,
            rounds=parsed.rounds,
            sealing=parsed.sealing,
        )
        try:
            size = len(spec.to_bytes())
        except ValueError as cause:
            raise InvalidJob(
                "job specification: holds text that is no Unicode, or a number that is too long"
            ) from cause
        if size > JOB_SPEC_BYTES:
            raise InvalidJob(f"job specification: longer than {JOB_SPEC_BYTES} bytes")
        return spec

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode(self.to_document())

    def to_document(self) -> dict[str, Any]:
        """Return the JSON value of the canonical bytes."""
        return {
            "name": self.name,
            "algorithm": self.algorithm,
            "dataset": self.dataset,
            "config": self.config,
            "schema": self.schema,
            "privacy": {
                "epsilon": self.privacy.epsilon_text,
                "delta": self.privacy.delta_text,
                "mechanism": self.privacy.mechanism.value,
                "placement": self.privacy.placement.value,
                "unit": self.privacy.unit.value,
                # Only if it is stated, so that the digests of all other jobs stay unchanged.
                **({"allow_large_delta": True} if self.privacy.allow_large_delta else {}),
            },
            "rounds": self.rounds.to_document(),
            **({"sealing": self.sealing.value} if self.is_complete else {}),
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> JobSpec:
        """Parse canonical bytes.

        Raises:
            MalformedMessage: not in the form of ``to_bytes``.
        """
        table = document.decode(data, "the job specification", maximum=JOB_SPEC_BYTES)
        if not isinstance(table, dict):
            raise MalformedMessage("the job specification must be an object")
        try:
            spec = cls.from_table(table)
        except InvalidJob as cause:
            raise MalformedMessage(cause.message) from cause
        if spec.to_bytes() != data:
            raise MalformedMessage("the job specification is not in canonical form")
        return spec

    @property
    def digest(self) -> bytes:
        """Return the digest of the canonical bytes."""
        return tuple_hash(Label.JOB_SPEC, self.to_bytes())


def _check_privacy(goal: PrivacyGoal) -> None:
    needs_delta, noise = goal.mechanism.terms.needs_delta, f"{goal.mechanism.value} noise"
    if needs_delta and goal.delta == 0 and goal.placement is not Placement.NONE:
        raise InvalidJob(f"job specification: privacy.delta must be above 0 with {noise}, such as 1e-5")
    if not needs_delta and goal.delta != 0:
        raise InvalidJob(f"job specification: privacy.delta must be 0 with {noise}")
    for name, value in (("epsilon", goal.epsilon), ("delta", goal.delta)):
        _decimal_text(value, ("privacy", name))


def _plain(value: Any, path: tuple[str, ...]) -> Any:
    """Turn decimals into their text, so that the document stays exact; binary floats never enter it."""
    if len(path) > _MAX_DEPTH:
        raise InvalidJob(f"job specification: {path[0]} is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, Decimal):
        return _decimal_text(value, path)
    if isinstance(value, dict):
        return {str(key): _plain(entry, (*path, str(key))) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry, (*path, str(position))) for position, entry in enumerate(value)]
    if value is None or isinstance(value, (str, int)):
        return value
    raise InvalidJob(f"job specification: {'.'.join(path)}: {type(value).__name__} values are not supported")


def _decimal_text(value: Decimal, path: tuple[str, ...] = ()) -> str:
    """Return the one text of a number, with all its written digits."""
    if not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS or len(value.as_tuple().digits) > _MAX_DIGITS:
        raise InvalidJob(
            f"job specification: {'.'.join(path)}: numbers must be finite, between 1e-{_MAX_DIGITS} and "
            f"1e{_MAX_DIGITS}, and have at most {_MAX_DIGITS} digits"
        )
    # The context of the thread would round to 28 digits.
    text = format(Context(prec=_MAX_DIGITS).normalize(value), "f")
    return "0" if value == 0 else text
