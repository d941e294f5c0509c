# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The first two steps: everybody's fresh keys and first root, then secrets for channels between each two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

from coterie_common.crypto.generation.channel import Direction, derive, open_direction
from coterie_common.crypto.generation.steps.batch_secrets import BatchSecrets
from coterie_common.crypto.generation.steps.batches import CellsStage
from coterie_common.crypto.generation.steps.messages import Step
from coterie_common.crypto.generation.steps.setup import Draft, Received, Run, Setup, Stage
from coterie_common.crypto.hashing import DIGEST_BYTES, Label, tuple_hash
from coterie_common.crypto.masks.ephemeral import (
    CIPHERTEXT_BYTES,
    PUBLIC_BYTES,
    EncapsulatedSecret,
    EphemeralKey,
    EphemeralSecret,
)
from coterie_common.errors import MalformedMessage

NONCE_BYTES: Final = 32


def first_chain(setup: Setup) -> bytes:
    """Return the chain before the first step: draft roster and parameters."""
    return tuple_hash(Label.GENERATION_SESSION, setup.draft_digest, setup.parameters.digest)


@dataclass(frozen=True)
class StartStage:
    """A fresh nonce, ephemeral keys and the root of the first batch."""

    step: ClassVar[Step] = Step.START
    run: ClassVar[None] = None
    setup: Setup
    nonce: bytes
    ephemeral: EphemeralSecret = field(repr=False)
    secrets: BatchSecrets = field(repr=False)

    @classmethod
    def create(cls, setup: Setup) -> StartStage:
        """Draw everything for the first step."""
        nonce = setup.random.token_bytes(NONCE_BYTES)
        return cls(setup, nonce, EphemeralSecret.generate(setup.random), BatchSecrets.generate(setup, nonce, 1))

    @property
    def draft(self) -> Draft:
        """Nonce, ephemeral keys, root."""
        return Draft(self.nonce + self.ephemeral.public.encoded + self.secrets.root)

    def proceed(self, received: Received) -> Stage:
        """Encapsulate a secret to everybody else."""
        nonces, keys, roots = {}, {}, {}
        for index, body in received.bodies().items():
            if len(body) != NONCE_BYTES + PUBLIC_BYTES + DIGEST_BYTES:
                self.setup.blame([index], "a message of the start has a wrong length")
            nonces[index], roots[index] = body[:NONCE_BYTES], body[-DIGEST_BYTES:]
            try:
                keys[index] = EphemeralKey(body[NONCE_BYTES:-DIGEST_BYTES])
            except MalformedMessage:
                self.setup.blame([index], "an ephemeral key is malformed")
        if len(set(nonces.values())) < len(nonces):
            self.setup.fail("two holders sent the same nonce")
        made = {index: keys[index].encapsulate() for index in self.setup.others}
        return EncapsulationStage(
            setup=self.setup,
            session_id=received.chain,
            nonces=tuple(nonces.values()),
            keys=keys,
            roots=roots,
            ephemeral=self.ephemeral,
            secrets=self.secrets,
            encapsulated={index: secret for index, (secret, _) in made.items()},
            ciphertexts={index: ciphertext for index, (_, ciphertext) in made.items()},
        )


@dataclass(frozen=True, kw_only=True)
class EncapsulationStage:
    """Secrets in ciphertexts, one for every other holder."""

    step: ClassVar[Step] = Step.ENCAPSULATION
    run: ClassVar[None] = None
    setup: Setup
    session_id: bytes
    nonces: tuple[bytes, ...]
    keys: dict[int, EphemeralKey] = field(repr=False)
    roots: dict[int, bytes] = field(repr=False)
    ephemeral: EphemeralSecret = field(repr=False)
    secrets: BatchSecrets = field(repr=False)
    encapsulated: dict[int, EncapsulatedSecret] = field(repr=False)
    ciphertexts: dict[int, bytes] = field(repr=False)

    @property
    def draft(self) -> Draft:
        """The ciphertexts, in the order of their recipients."""
        return Draft(b"".join(self.ciphertexts[index] for index in self.setup.others))

    def proceed(self, received: Received) -> Stage:
        """Derive the keys of all channels, and share the first cells."""
        own = self.setup.index
        sending, receiving = {}, {}
        for other in self.setup.others:
            body = received.broadcasts[other].body
            if len(body) != CIPHERTEXT_BYTES * (self.setup.parameters.holders - 1):
                self.setup.blame([other], "an encapsulation has a wrong length")
            place = own - 1 if own < other else own - 2
            ciphertext = body[place * CIPHERTEXT_BYTES : (place + 1) * CIPHERTEXT_BYTES]
            outwards = Direction(self.session_id, own, other)
            exchanged = self.ephemeral.exchange(self.keys[other])
            sending[other] = derive(outwards, exchanged, self.encapsulated[other], self.ciphertexts[other])
            inwards = Direction(self.session_id, other, own)
            receiving[other] = open_direction(inwards, self.ephemeral, self.keys[other], ciphertext)
        run = Run(
            setup=self.setup, session_id=self.session_id, nonces=self.nonces, sending=sending, receiving=receiving
        )
        return CellsStage(run=run, secrets=self.secrets, roots=self.roots)
