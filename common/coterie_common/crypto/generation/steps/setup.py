# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What every step of a generation knows, and the form that every step has.

A *stage* is one holder's state in one step: it holds what it sends, and makes the next stage of what all sent. Stages
are frozen and pure: the same messages and the same randomness give the same next stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import NoReturn, Protocol

from coterie_common.crypto.generation.channel import ChannelKey, SaltedPart
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.steps.messages import Broadcast, Step
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.identity import SigningKey, VerifyKey
from coterie_common.errors import ConfigurationError, GenerationDeviation, GenerationFailed
from coterie_common.identifiers import PartyId
from coterie_common.randomness import RandomSource


class Check(Enum):
    """A check of what another holder sent. All are made, but where a test shows what one of them stops."""

    FORM = auto()
    """N has its exact length and residues."""
    POWER_COMMITMENTS = auto()
    """Powers are those committed to."""
    ROOTS = auto()
    """Opened leaves are those committed to."""
    RESIDUES = auto()
    """Opened shares of z follow from the leaves."""
    PRODUCTS = auto()
    """Opened shares of N follow from the leaves."""
    POWERS = auto()
    """Opened powers follow from the leaves."""
    PARTS = auto()
    """Parts follow from the leaves of their senders."""
    ORDER = auto()
    """N has no prime factor modulo which 2 has a smooth order."""
    UNIT = auto()
    """gcd(N, p+q−1) = 1."""
    SHARE_SIZE = auto()
    """Integer shares are no longer than honest ones."""
    SHARE_COMMITMENTS = auto()
    """Integer shares are values of the polynomial committed to."""
    GAMMA_RANGE = auto()
    """γ is at most max γ."""
    GAMMA_COMMITMENTS = auto()
    """γ belongs to the R_i committed to."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that one holder brings to a generation.

    Attributes:
        parameters: the same for all.
        index: the holder's, from 1.
        holders: ids of all holders in the order of their indices.
        draft_digest: of the draft roster that the founder signed.
        signing_key: the holder's.
        verify_keys: of all holders, in the order of their indices.
        random: source of everything that this holder draws.

    Raises:
        ConfigurationError: these do not belong together.
    """

    parameters: GenerationParameters
    index: int
    holders: tuple[PartyId, ...]
    draft_digest: bytes
    signing_key: SigningKey = field(repr=False)
    verify_keys: tuple[VerifyKey, ...]
    random: RandomSource = field(repr=False)
    _left_out: frozenset[Check] = field(default=frozenset(), init=False, repr=False)

    def __post_init__(self) -> None:
        count = self.parameters.holders
        if len(set(self.holders)) != count or len(self.verify_keys) != count or self.index not in self.indices:
            raise ConfigurationError(f"a key generation of {count} holders needs as many ids, keys, and an index")
        if self.verify_keys[self.index - 1] != self.signing_key.verify_key or len(self.draft_digest) != DIGEST_BYTES:
            raise ConfigurationError("the signing key is not that of the holder, or the draft roster has no digest")

    @property
    def indices(self) -> range:
        """The holder indices, from 1."""
        return self.parameters.indices

    @property
    def others(self) -> tuple[int, ...]:
        """The indices of all other holders."""
        return tuple(index for index in self.indices if index != self.index)

    def makes(self, check: Check) -> bool:
        """Return whether a check is made."""
        return check not in self._left_out

    def _leave_out_for_tests(self, *checks: Check) -> Setup:
        """Return a setup that leaves checks out. Tests only: nothing in the product calls this."""
        changed = replace(self)
        object.__setattr__(changed, "_left_out", frozenset(checks))
        return changed

    def blame(self, indices: Iterable[int], what: str) -> NoReturn:
        """End the run and name holders that deviated.

        Raises:
            GenerationDeviation: always.
        """
        culprits = tuple(self.holders[index - 1] for index in sorted(set(indices)))
        raise GenerationDeviation(f"{what}: {', '.join(culprits)}", culprits=culprits)

    def fail(self, what: str) -> NoReturn:
        """End the run without naming anybody.

        Raises:
            GenerationFailed: always.
        """
        raise GenerationFailed(what)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the holders agreed upon at the start.

    Attributes:
        setup: this holder's.
        session_id: covers draft roster, parameters, nonces, keys and the first roots.
        nonces: of all holders, in the order of their indices.
        sending: key to each other holder, by its index.
        receiving: key from each other holder, by its index.
    """

    setup: Setup
    session_id: bytes
    nonces: tuple[bytes, ...]
    sending: Mapping[int, ChannelKey]
    receiving: Mapping[int, ChannelKey]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a stage sends.

    Attributes:
        body: to all.
        parts: to each other holder, by its index; none in a step without parts.
    """

    body: bytes = field(default=b"", repr=False)
    parts: Mapping[int, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What all holders sent in one step.

    Attributes:
        broadcasts: of all holders by index, this one's among them.
        parts: from the other holders by index, opened; each has the salted hash that its sender broadcast.
        chain: the digest of all broadcasts so far, this step's among them.
    """

    broadcasts: Mapping[int, Broadcast]
    parts: Mapping[int, SaltedPart]
    chain: bytes

    def bodies(self) -> dict[int, bytes]:
        """Return what all holders said, by index."""
        return {index: self.broadcasts[index].body for index in sorted(self.broadcasts)}


@dataclass(frozen=True, slots=True)
class AnotherBatch:
    """In place of a next stage: nothing of this batch was taken, the next one begins.

    Attributes:
        run: what was agreed upon.
        number: of the next batch.
    """

    run: Run
    number: int


class Stage(Protocol):
    """One holder's state in one step."""

    @property
    def step(self) -> Step:
        """The step."""
        ...

    @property
    def run(self) -> Run | None:
        """What was agreed upon; ``None`` in the first two steps, which have no parts."""
        ...

    @property
    def draft(self) -> Draft:
        """What this holder sends."""
        ...

    def proceed(self, received: Received) -> Stage | AnotherBatch:
        """Return the next stage; heavy arithmetic, on a thread that nobody waits for.

        Raises:
            GenerationDeviation: somebody deviated, and is named.
            GenerationFailed: the run cannot go on, and nobody is named.
        """
        ...
