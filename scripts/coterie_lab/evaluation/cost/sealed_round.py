# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A round of the product, step by step: sealed, checked, added, partially decrypted and opened by its own functions.

Omitted is the work that does not depend on the way of summing: the query with the model, encoding, noise, transport,
storage.
"""

from __future__ import annotations

import numpy as np

from coterie_aggregator.live.rounds.arithmetic import RoundArithmetic
from coterie_common.crypto import threshold
from coterie_common.crypto.pads.pad import ERROR_BOUND
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.crypto.threshold import KeyShare
from coterie_common.privacy.count_encoding import unscaled
from coterie_common.privacy.strips import Float64Array, Int64Array
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.messages import PartialDecryption
from coterie_common.protocol.padded_part import PaddedDigest, PaddedFacts
from coterie_common.protocol.sealing.padded_vector import is_error_needed
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import RoundTerms, SealingKind
from coterie_common.protocol.verification.request import OwnKnowledge, verify_request
from coterie_common.randomness import OsRandom
from coterie_common.wire.federation import aggregator_message_to_wire, party_message_to_wire
from coterie_lab.benchmarks.checking import signed_partial
from coterie_lab.benchmarks.measuring import Yardstick, measure
from coterie_lab.benchmarks.primitives import WrongSum
from coterie_lab.evaluation.cost.rows import RoundCost
from tests.support.dealings import partials_by_factors
from tests.support.federation import Federation

_STRIDE = 7919


def vector_of(terms: RoundTerms, number: int) -> Int64Array:
    """Return some vector that a party may have under ``terms`` once it is noised, Int64[length]."""
    lower, upper = terms.encoding.contribution_range(terms.noise)
    steps = np.arange(terms.encoding.length, dtype=np.int64) + number
    found: Int64Array = lower + steps * _STRIDE % (upper - lower + 1)
    return found


def measure_sealed(federation: Federation, terms: RoundTerms, yardstick: Yardstick, turns: int) -> RoundCost:
    """Measure one round under ``terms``, sealed as they prescribe, to which all parties reply.

    Args:
        federation: made ready; all its parties reply, and as many as needed, and a spare one, help to open.
        terms: of the round.
        yardstick: notes its own times.
        turns: repetitions of every step.

    Raises:
        WrongSum: the opened sum is not the sum of the sealed vectors.
        CapacityExceeded: it cannot be sealed in this way.
    """
    played = _SealedRound(federation, terms)
    before = measure(
        {
            "seal": lambda: played.reply(0),
            "check_reply": played.check_reply,
            "fix": lambda: played.arithmetic.fix_transcript(played.contributions, federation.aggregator_key),
            "check_request": played.check_request,
            "decrypt": played.decrypt,
        },
        yardstick,
        turns,
    )
    off = np.abs(played.open() - unscaled(played.total, terms.encoding.scale_bits))
    if off.max() > unscaled(np.array(_most_error(terms, len(federation.parties))), terms.encoding.scale_bits):
        raise WrongSum(f"{len(federation.parties)} vectors of {terms.encoding.length} values did not add up")
    after = measure({"check_partial": played.check_partial, "open": played.open}, yardstick, turns)
    took = {name: min(times) for name, times in (before | after).items()}
    parties = len(federation.parties)
    helpers = min(parties, federation.parameters.decryption_threshold + 1)
    return RoundCost(
        reply_ms=took["seal"],
        help_ms=took["check_request"] + took["decrypt"],
        aggregator_ms=parties * took["check_reply"] + took["fix"] + helpers * took["check_partial"] + took["open"],
        helpers=helpers,
        reply_bytes=len(party_message_to_wire(played.replies[0])) + len(played.padded[0]),
        help_bytes=len(party_message_to_wire(played.partial)),
        request_bytes=len(aggregator_message_to_wire(played.transcript.request)),
    )


def _most_error(terms: RoundTerms, parties: int) -> int:
    """Return the permitted error of an opened sum, in scaled units: 0, unless its pads have to draw errors."""
    return parties * ERROR_BOUND if terms.sealing is SealingKind.PADDED and is_error_needed(terms.noise) else 0


class _SealedRound:
    """The first party's side and the aggregator's; the other parties' part is there.

    Attributes:
        arithmetic: the aggregator's.
        replies: of all parties.
        padded: parts that belong to them; empty where sealed directly.
        total: the expected sum.
        transcript: fixed, of all replies.
        partial: the first party's, the last that was made.
    """

    partial: PartialDecryption

    def __init__(self, federation: Federation, terms: RoundTerms) -> None:
        self._federation = federation
        # All reply, so the noise is in the shares that a round of all guarantees, as a job's terms propose it.
        everybody = len(federation.parties)
        terms = terms.in_shares(federation.parameters.honest_shares(everybody))
        self._fields = federation.fields(terms=terms, round_quorum=everybody)
        self._sealing = federation.sealing(terms)
        self._random = OsRandom()
        self._vectors = [vector_of(terms, number) for number in range(len(federation.parties))]
        self.total = np.sum(self._vectors, axis=0)
        self.arithmetic = RoundArithmetic(self._fields, federation.roster, federation.dealing.key, self._sealing)
        made = [self.reply(number) for number in range(len(self._vectors))]
        self.replies = [reply for reply, _ in made]
        self.padded = [padded for _, padded in made]
        self.transcript = self.arithmetic.fix_transcript(self.contributions, federation.aggregator_key)
        self._others = [
            self._decrypted_by_factors(share)
            for share in federation.dealing.shares[1 : federation.parameters.decryption_threshold]
        ]

    @property
    def contributions(self) -> list[Contribution]:
        """Of all parties."""
        return [reply.contribution for reply in self.replies]

    def reply(self, number: int) -> tuple[EncryptedReply, bytes]:
        """A party seals its vector, proves that it knows it, and signs; returns the padded part too."""
        party_id, session_id = self._federation.parties[number], self._fields.session_id
        sealed = self._sealing.seal(self._vectors[number], session_id, party_id, self._random)
        contribution = Contribution(
            party_id=party_id, key_part=sealed.key_part, padded_digest=sealed.padded_digest, signature=UNSIGNED
        ).signed_by(self._federation.party_keys[party_id], session_id)
        return self._federation.reply(contribution, session_id), sealed.padded

    def check_reply(self) -> None:
        """The aggregator checks one reply, the digest of its padded part included."""
        digest = PaddedDigest()
        digest.update(self.padded[0])
        self.arithmetic.verify_reply(self.replies[0], digest.facts())

    def check_request(self) -> None:
        """A party checks the request to open, and adds all replies itself."""
        own = OwnKnowledge(
            party_id=self._federation.parties[0],
            roster=self._federation.roster,
            session_id=self._fields.session_id,
            contribution_digest=self.contributions[0].digest,
            job=None,
            random=self._random,
        )
        verify_request(self.transcript.request, own, self._sealing)

    def decrypt(self) -> None:
        """A party decrypts the sum partially, proves it and signs."""
        key, share = self._federation.dealing.key, self._federation.dealing.shares[0]
        statement = self._statement(share.index, threshold.partial_decrypt(key, share, self.transcript.total))
        proof = partial_decryption.prove(statement, share, self._random)
        self.partial = signed_partial(self._federation, statement, proof.to_bytes(key))

    def check_partial(self) -> None:
        """The aggregator checks one partial decryption."""
        self.arithmetic.verify_partial(self.partial, self.transcript)

    def open(self) -> Float64Array:
        """The aggregator combines, adds the padded parts and opens; returns the released values."""
        plaintexts = self.arithmetic.open([self.partial, *self._others], self.transcript)
        running = self.arithmetic.start_sum(None)
        for party_id, padded in zip(self._federation.parties, self.padded, strict=True):
            # Its digest is part of checking the reply.
            running.add(party_id, PaddedFacts(len(padded), b""), (padded,) if padded else ())
        return self.arithmetic.open_sum(plaintexts, running).values

    def _decrypted_by_factors(self, share: KeyShare) -> PartialDecryption:
        """Return another party's message, but without a proof: opening does not read it."""
        values = partials_by_factors(self._federation.dealing.key, share, self.transcript.total)
        return signed_partial(self._federation, self._statement(share.index, values), b"")

    def _statement(self, index: int, partials: tuple[int, ...]) -> partial_decryption.Statement:
        return partial_decryption.Statement(
            session_id=self._fields.session_id,
            transcript_digest=self.transcript.digest,
            index=index,
            key=self._federation.dealing.key,
            ciphertexts=self.transcript.total,
            partials=partials,
        )
