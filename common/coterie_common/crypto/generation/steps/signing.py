# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The last steps: a trial of the key, and every holder's signature over its record, made after its share is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

from coterie_common.crypto.generation.record import TrialOpening, open_trial, opens_trial, verify_trial
from coterie_common.crypto.generation.steps.messages import Step
from coterie_common.crypto.generation.steps.setup import Draft, Received, Run, Setup, Stage
from coterie_common.crypto.hashing import DIGEST_BYTES, Label
from coterie_common.crypto.identity import VerifyKey
from coterie_common.crypto.proofs.partial_decryption import Proof
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey, check_share
from coterie_common.errors import InvalidProof, InvalidSignature, KeyFileError, MalformedMessage, NotOpened, StateError


@dataclass(frozen=True, kw_only=True)
class TrialStage:
    """This holder's part in opening the trial ciphertext, and the digest of the record."""

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
        signature = sign_record(setup, self.key, self.chain)
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
        for index, signature in signatures.items():
            try:
                verify_record_signature(
                    self.setup.verify_keys[index - 1], signature, self.key, self.setup.draft_digest, self.chain
                )
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


def sign_record(setup: Setup, key: ThresholdPublicKey, chain: bytes) -> bytes:
    """Return a holder's signature over the record, the draft roster and the digest of all steps."""
    return setup.signing_key.sign(Label.GENERATION_RECORD, key.digest, setup.draft_digest, chain)


def verify_record_signature(
    verify_key: VerifyKey, signature: bytes, key: ThresholdPublicKey, draft_digest: bytes, chain: bytes
) -> None:
    """Check one holder's signature over a generated record; every party does it before it uses the key.

    Args:
        verify_key: the holder's.
        signature: by the holder.
        key: the record.
        draft_digest: of the draft roster.
        chain: the digest of all steps until the trial.

    Raises:
        InvalidSignature: it does not verify.
    """
    verify_key.verify(signature, Label.GENERATION_RECORD, key.digest, draft_digest, chain)
