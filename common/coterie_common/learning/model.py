# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A finished model with its lineage: its origin and its promised privacy.

One canonical file: JSON, or, where the model holds arrays, a safetensors file with the same JSON as metadata. The same
model has the same bytes everywhere, and a file that cannot be parsed strictly is refused. Nothing is ever unpickled.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from coterie_common import arrays
from coterie_common.crypto.hashing import Label, long_hash
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage
from coterie_common.files import read_bytes
from coterie_common.learning.algorithm import Classifier, Regressor, get_algorithm
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.limits import MAX_ROUNDS, MODEL_BYTES
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.shown import counted
from coterie_common.strict_model import StrictModel, parse

FORMAT: Final = 1
_FILE: Final = "safetensors"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]


class Lineage(StrictModel):
    """The origin of a model.

    Attributes:
        federation: name of the federation.
        job_id: the job that made it.
        job_spec_digest, roster_digest: 64 hexadecimal digits.
        rounds: rounds released, at least 1.
        contributors: parties in the sum of each of these rounds.
        epsilon, delta: promised for the job, exact decimals or fractions as text; ``"0"`` is no promise.
        unit, mechanism, placement: the unit whose presence the noise hides, and the kind of noise.
        transcript_digests: one per released round, 64 hexadecimal digits.
        unfinished: the end of a job that did not complete; the model is that of the last released round.
        rounds_planned: maximum number of rounds of such a job; of a finished model neither is written.
    """

    federation: ShortText
    job_id: ShortText
    job_spec_digest: Digest
    roster_digest: Digest
    rounds: Annotated[int, Field(ge=1, le=MAX_ROUNDS)]
    contributors: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]
    epsilon: ShortText
    delta: ShortText
    unit: ShortText
    mechanism: ShortText
    placement: ShortText
    transcript_digests: Annotated[tuple[Digest, ...], Field(strict=False)]
    unfinished: Literal["failed", "cancelled"] | None = None
    rounds_planned: Annotated[int, Field(ge=1, le=MAX_ROUNDS)] | None = None

    @classmethod
    def of_job(
        cls,
        spec: JobSpec,
        *,
        federation: str,
        job_id: str,
        roster_digest: bytes,
        contributors: tuple[int, ...],
        transcripts: Sequence[bytes],
        placement: str | None = None,
        unfinished: Literal["failed", "cancelled"] | None = None,
        rounds_planned: int | None = None,
    ) -> Lineage:
        """Return the lineage of a job's model.

        Args:
            spec: of the job.
            federation: its name.
            job_id: of the job.
            roster_digest: of the roster in force, 32 bytes.
            contributors: parties in the sum of each released round.
            transcripts: digests of these rounds, 32 bytes each.
            placement: of the noise, if not the one in the specification.
            unfinished: how the job ended if it did not complete.
            rounds_planned: most rounds that such a job might have had.
        """
        goal = spec.privacy
        # Without noise nothing is promised, regardless of the specification.
        is_private = goal.placement is not Placement.NONE
        return cls(
            federation=federation,
            job_id=job_id,
            job_spec_digest=spec.digest.hex(),
            roster_digest=roster_digest.hex(),
            rounds=len(transcripts),
            contributors=contributors,
            epsilon=goal.epsilon_text if is_private else "0",
            delta=goal.delta_text if is_private else "0",
            unit=goal.unit.value,
            mechanism=goal.mechanism.value,
            placement=placement or goal.placement.value,
            transcript_digests=tuple(digest.hex() for digest in transcripts),
            unfinished=unfinished,
            rounds_planned=rounds_planned,
        )

    @model_validator(mode="after")
    def _check_rounds(self) -> Lineage:
        if not len(self.contributors) == len(self.transcript_digests) == self.rounds:
            raise ValueError("contributors and transcript_digests must have one entry per round")
        if (self.unfinished is None) != (self.rounds_planned is None):
            raise ValueError("unfinished and rounds_planned are of a model that is not finished")
        return self

    @property
    def promise(self) -> str:
        """Return the promised privacy in words, such as ``ε = 1, δ = 0.00001 per record``."""
        if self.epsilon == "0":
            return "no differential privacy"
        delta = "" if self.delta == "0" else f", δ = {self.delta}"
        return f"ε = {self.epsilon}{delta} per {self.unit}"

    @property
    def words(self) -> str:
        """Return the rounds in words, such as ``21 of 40 rounds, cancelled: unfinished``."""
        if self.unfinished is None:
            return counted(self.rounds, "round")
        return f"{self.rounds} of {counted(self.rounds_planned or 0, 'round')}, {self.unfinished}: unfinished"


class _ModelFile(StrictModel):
    coterie_model: Literal[1]
    name: ShortText
    algorithm: ShortText
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    body: dict[str, Any]
    lineage: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """The result of a job, including an evaluation or statistics.

    Attributes:
        name: of the job.
        algorithm: the one that made it and reads ``body``.
        schema: of its training records.
        body: from ``Algorithm.finish``: JSON, top-level entries may also be arrays.
        lineage: of the model.
    """

    name: str
    algorithm: str
    schema: Schema
    body: Mapping[str, Any]
    lineage: Lineage

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal model.

        Where the model holds arrays, the value is the whole file as base64 text, and has no numbers of its own: it can
        be a part of a job's specification.
        """
        content = self._content()
        return {_FILE: base64.b64encode(self.to_bytes()).decode()} if content.arrays else content.document

    @classmethod
    def from_document(cls, value: Any, algorithms: Collection[str] | None = None) -> Model:
        """Parse the output of ``to_document``; the body of a model that predicts is checked too.

        Args:
            value: the document.
            algorithms: see ``from_bytes``.

        Raises:
            MalformedMessage: anything but the exact form, or an algorithm that is not installed.
        """
        if not isinstance(value, dict):
            raise MalformedMessage("a model must be a JSON object")
        if value.keys() == {_FILE}:
            return cls.from_bytes(_decode_file(value[_FILE]), algorithms)
        return cls._parse(value, {}, algorithms)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the model file."""
        return arrays.encode(*self._content())

    @classmethod
    def from_bytes(cls, data: bytes, algorithms: Collection[str] | None = None) -> Model:
        """Parse a model file's bytes.

        Args:
            data: the file.
            algorithms: those whose code may be loaded to check the body; the bodies of others are accepted unchecked.
                ``None``: all installed ones.

        Raises:
            MalformedMessage: not a model.
        """
        return cls._parse(*arrays.decode(data, "the model", maximum=MODEL_BYTES), algorithms)

    @property
    def suffix(self) -> str:
        """Return the suffix of the model's file name."""
        mark = ".unfinished" if self.lineage.unfinished else ""
        return mark + (".safetensors" if arrays.split(self.body).arrays else ".json")

    def __eq__(self, other: object) -> bool:
        return self.to_bytes() == other.to_bytes() if isinstance(other, Model) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def _content(self) -> arrays.Content:
        body = arrays.split(self.body)
        file = {
            "coterie_model": FORMAT,
            "name": self.name,
            "algorithm": self.algorithm,
            "schema": self.schema.to_document(),
            "body": body.document,
            "lineage": self.lineage.model_dump(mode="json", exclude_none=True),
        }
        return arrays.Content(file, body.arrays)

    @classmethod
    def _parse(
        cls, value: dict[str, Any], stored: dict[str, arrays.Array], algorithms: Collection[str] | None = None
    ) -> Model:
        try:
            file = parse(_ModelFile, value, "model")
            schema = parse_schema(file.schema_)
            lineage = parse(Lineage, file.lineage, "model lineage")
            body = arrays.Content(file.body, stored).joined()
            is_checked = algorithms is None or file.algorithm in algorithms
            algorithm = get_algorithm(file.algorithm) if is_checked else None
            if isinstance(algorithm, Classifier | Regressor):
                algorithm.check_body(schema, body)
        except (ConfigurationError, InvalidJob) as cause:
            raise MalformedMessage(cause.message) from cause
        return cls(name=file.name, algorithm=file.algorithm, schema=schema, body=body, lineage=lineage)

    @property
    def digest(self) -> bytes:
        """Return the digest of the canonical bytes."""
        return long_hash(Label.MODEL, self.to_bytes())


def load_model(path: Path) -> Model:
    """Read a model file.

    Raises:
        ConfigurationError: missing, unreadable or not a model; the message names which.
    """
    try:
        return Model.from_bytes(read_bytes(path, "model", maximum=MODEL_BYTES))
    except MalformedMessage as cause:
        raise ConfigurationError(f"{path} is no model that this version reads: {cause.message}") from cause


def classifier_of(model: Model) -> Classifier:
    """Return the algorithm that predicts with a model.

    Raises:
        ConfigurationError: the model predicts nothing.
    """
    algorithm = get_algorithm(model.algorithm)
    if not isinstance(algorithm, Classifier):
        raise ConfigurationError(f"{model.name!r} is a result of {model.algorithm!r}: it predicts nothing")
    return algorithm


def regressor_of(model: Model) -> Regressor:
    """Return the algorithm that predicts numbers with a model.

    Raises:
        ConfigurationError: the model predicts no number.
    """
    algorithm = get_algorithm(model.algorithm)
    if not isinstance(algorithm, Regressor):
        raise ConfigurationError(f"{model.name!r} is a result of {model.algorithm!r}: it predicts no number")
    return algorithm


def _decode_file(text: Any) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as cause:
        raise MalformedMessage("the file of a model is no base64 text") from cause
    # Stray bits in the last character decode to the same bytes; one value has one spelling. So do plain JSON files.
    if base64.b64encode(data).decode() != text or not arrays.is_container(data):
        raise MalformedMessage("the file of a model is not in the one form that it can have in a document")
    return data
