# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The last steps: a trial of the key, and every holder's signature over its record, made after its share is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

from coterie_common.crypto.generation.record import TrialOpening, open_trial, opens_trial, verify_trial
from coterie_common.crypto.generation.record_signature import signed_items
from coterie_common.crypto.generation.steps.messages import Step
from coterie_common.crypto.generation.steps.setup import Draft, Received, Run, Setup, Stage
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.proofs.partial_decryption import Proof
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey, check_share
from coterie_common.errors import InvalidProof, InvalidSignature, KeyFileError, MalformedMessage, NotOpened, StateError


@dataclass(frozen=True, kw_only=True)
class TrialStage:
    """This holder's part in opening the trial ciphertext, and the digest of the record.

    Every holder proves its part, and the step is mandatory: where t > k − g the honest holders' values do not determine
    the polynomials of the others, and their sizes bound none of them elsewhere. Only the bound of the proof's response
    then limits the share that a deviating holder has.
    """

    step: ClassVar[Step] = Step.TRIAL
    run: Run
    key: ThresholdPublicKey
    share: KeyShare
    opening: TrialOpening = field(repr=False)

    @classmethod
    def create(cls, run: Run, key: ThresholdPublicKey, share: KeyShare) -> TrialStage:
        """Open the trial ciphertext.

        Raises:
            GenerationFailed: the share is not this holder's under the record.
        """
        try:
            check_share(key, share)
        except KeyFileError as cause:
            run.setup.fail(f"the share does not belong to the record: {cause.message}")
        return cls(run=run, key=key, share=share, opening=open_trial(key, run.session_id, share, run.setup.random))

    @property
    def draft(self) -> Draft:
        """Digest of the record, partial decryption, proof."""
        partial = self.opening.partial.to_bytes(self.key.public_key.modulus_bytes, "big")
        return Draft(self.key.digest + partial + self.opening.proof.to_bytes(self.key))

    def proceed(self, received: Received) -> Stage:
        """Verify all proofs, and open with the first t and with the last."""
        setup, openings = self.run.setup, dict[int, TrialOpening]()
        end = DIGEST_BYTES + self.key.public_key.modulus_bytes
        for index, body in received.bodies().items():
            try:
                if body[:DIGEST_BYTES] != self.key.digest:
                    setup.blame([index], "the key record of a holder is another one")
                partial = int.from_bytes(body[DIGEST_BYTES:end], "big")
                opening = TrialOpening(partial, Proof.from_bytes(self.key, body[end:]))
                verify_trial(self.key, self.run.session_id, index, opening)
            except (InvalidProof, MalformedMessage):
                setup.blame([index], "a proof of the trial does not hold")
            openings[index] = opening
        t = self.key.decryption_threshold
        try:
            opened = all(
                opens_trial(self.key, self.run.session_id, {index: openings[index] for index in chosen})
                for chosen in (list(setup.indices)[:t], list(setup.indices)[-t:])
            )
        except NotOpened:
            opened = False
        if not opened:
            setup.fail("the trial ciphertext does not open")
        return KeepingStage(setup=setup, key=self.key, share=self.share, chain=received.chain)


@dataclass(frozen=True, kw_only=True)
class KeepingStage:
    """Waits until the share is on disk. Nothing else of the run is left here."""

    step: ClassVar[Step] = Step.SIGNATURE
    run: ClassVar[None] = None
    draft: ClassVar[Draft] = Draft()
    setup: Setup
    key: ThresholdPublicKey
    share: KeyShare
    chain: bytes

    def sign(self) -> SignatureStage:
        """Sign the record, once the share has been written durably."""
        setup = self.setup
        label, items = signed_items(self.key.digest, setup.draft_digest, self.chain)
        signature = setup.signing_key.sign(label, *items)
        return SignatureStage(setup=setup, key=self.key, chain=self.chain, signature=signature)

    def proceed(self, received: Received) -> NoReturn:
        """Raise ``StateError``: the share is not on disk yet."""
        raise StateError("a share is written before its record is signed")


@dataclass(frozen=True, kw_only=True)
class SignatureStage:
    """This holder's signature over the record."""

    step: ClassVar[Step] = Step.SIGNATURE
    run: ClassVar[None] = None
    setup: Setup
    key: ThresholdPublicKey
    chain: bytes
    signature: bytes

    @property
    def draft(self) -> Draft:
        """The signature."""
        return Draft(self.signature)

    def proceed(self, received: Received) -> Stage:
        """Verify all signatures."""
        signatures = received.bodies()
        label, items = signed_items(self.key.digest, self.setup.draft_digest, self.chain)
        for index, signature in signatures.items():
            try:
                self.setup.verify_keys[index - 1].verify(signature, label, *items)
            except InvalidSignature:
                self.setup.blame([index], "a signature over the key record does not hold")
        return CompletedStage(key=self.key, chain=self.chain, signatures=signatures)


@dataclass(frozen=True, kw_only=True)
class CompletedStage:
    """The end: the record, and all signatures over it.

    Attributes:
        key: the record.
        chain: the digest of all steps until the trial.
        signatures: of all holders, by index.
    """

    step: ClassVar[Step] = Step.SIGNATURE
    run: ClassVar[None] = None
    draft: ClassVar[Draft] = Draft()
    key: ThresholdPublicKey
    chain: bytes
    signatures: Mapping[int, bytes]

    def proceed(self, received: Received) -> NoReturn:
        """Raise ``StateError``: nothing follows."""
        raise StateError("a key generation that is complete has no further step")
