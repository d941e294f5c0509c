# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The state machine of one round at the aggregator, pure: ``step(state, event) → state``.

Outstanding effects are a function of the state (``outstanding``): the caller persists an event that changed the state,
then carries out the effects that became outstanding by it. A restart folds the persisted events and carries out all
outstanding effects, so replay and live run cannot differ; every message is idempotent.

The phases and what a round knows are in ``round_state``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from coterie_aggregator.machines.round_effects import (
    AddToSum,
    AskAgain,
    Effect,
    EndJob,
    OpenSum,
    SendDecryptionRequest,
    SendQuery,
    Timer,
    VerifyContribution,
    VerifyPartial,
)
from coterie_aggregator.machines.round_events import (
    ContributionReceived,
    ContributionRejected,
    ContributionVerified,
    DeadlinePassed,
    DecryptionRefused,
    Event,
    OpeningFailed,
    PartialReceived,
    PartialRejected,
    PartialsDisproved,
    PartialVerified,
    PatiencePassed,
    ReplyRefused,
    RoundTimedOut,
)
from coterie_aggregator.machines.round_state import AbortReason, AggregatorRound, Phase, Standing, Standings
from coterie_common.identifiers import PartyId


def step(state: AggregatorRound, event: Event) -> AggregatorRound:
    """Take one event. An event that does not apply, or adds nothing new, returns the very same state."""
    handler = _HANDLERS.get((state.phase, type(event)))
    if handler is None:
        return state
    taken = handler(state, event)
    # The caller decides by identity whether there is something to persist.
    return state if taken == state else _settle(taken)


def outstanding(state: AggregatorRound) -> frozenset[Effect]:
    """Return every effect outstanding in this state."""
    effects: set[Effect] = set()
    if state.phase not in (Phase.ABANDONED, Phase.ABORTED):
        # Until the sum was opened: it has to hold exactly those whose replies were verified before it was fixed.
        effects.update(map(AddToSum, state.verified_contributors))
    if state.phase is Phase.COLLECTING:
        for party_id in state.parameters.cohort:
            standing = state.contributions.get(party_id)
            if standing is Standing.RECEIVED:
                effects.add(VerifyContribution(party_id))
            elif standing is None and party_id not in state.refusals:
                effects.add(SendQuery(party_id))
        if not state.deadline_passed:
            effects.add(Timer(DeadlinePassed()))
    if state.phase is Phase.DECRYPTING:
        for party_id in state.asked:
            standing = state.partials.get(party_id)
            if standing is Standing.RECEIVED:
                effects.add(VerifyPartial(party_id))
            elif standing is None and party_id not in state.refusals:
                effects.add(SendDecryptionRequest(party_id))
        if len(state.asked) < len(state.parameters.holders):
            effects.add(Timer(PatiencePassed()))
    if state.phase is Phase.RELEASED:
        effects.add(OpenSum(state.verified_partials))
    elif state.phase is Phase.ABANDONED:
        effects.add(AskAgain())
    elif state.phase is Phase.ABORTED:
        effects.add(EndJob())
    else:
        effects.add(Timer(RoundTimedOut()))
    return frozenset(effects)


def _settle(state: AggregatorRound) -> AggregatorRound:
    """Move to the next phase if the messages received allow or force it."""
    if state.phase is Phase.COLLECTING:
        return _settle_collecting(state)
    if state.phase is Phase.DECRYPTING:
        return _settle_decrypting(state)
    return state


def _settle_collecting(state: AggregatorRound) -> AggregatorRound:
    parameters = state.parameters
    open_replies = [
        p
        for p in parameters.cohort
        if p not in state.refusals and state.contributions.get(p) in (None, Standing.RECEIVED)
    ]
    verified = state.verified_contributors
    possible = len(verified) + len(open_replies)
    if possible < parameters.round_quorum:
        phase = Phase.ABANDONED if _can_do_better(state, possible) else Phase.ABORTED
        return replace(state, phase=phase, reason=AbortReason.TOO_FEW_PARTIES)
    # A reply that has arrived but is not verified yet is worth waiting for even past the deadline.
    pending = any(standing is Standing.RECEIVED for standing in state.contributions.values())
    complete = not open_replies or (state.deadline_passed and not pending)
    if not complete:
        return state
    if len(verified) < parameters.round_quorum:
        if not _can_do_better(state, len(verified)):
            return state
        # Those who are there are enough for a round that divides the noise by fewer; waiting for the others might
        # take for ever.
        return replace(state, phase=Phase.ABANDONED, reason=AbortReason.ABSENT_PARTIES)
    # Contributors are online and fast, so they are asked first: as many as needed, and one spare.
    holders = parameters.holders
    first = tuple(p for p in holders if p in verified) + tuple(p for p in holders if p not in verified)
    return _settle_decrypting(
        replace(
            state,
            phase=Phase.DECRYPTING,
            contributors=verified,
            refusals=MappingProxyType({}),
            asked=frozenset(first[: parameters.decryption_threshold + 1] if parameters.decryption_threshold else ()),
        )
    )


def _settle_decrypting(state: AggregatorRound) -> AggregatorRound:
    parameters = state.parameters
    if len(state.verified_partials) >= state.partials_needed:
        return replace(state, phase=Phase.RELEASED)
    lost = {p for p, standing in state.partials.items() if standing is Standing.REJECTED} | set(state.refusals)
    left = len(parameters.holders) - len(lost)
    if left < state.partials_needed:
        # Proven partial decryptions that open nothing are the key's fault, and nobody is left to try with.
        broken = left >= parameters.decryption_threshold
        reason = AbortReason.EPOCH_BROKEN if broken else AbortReason.TOO_FEW_PARTIES
        return replace(state, phase=Phase.ABORTED, reason=reason)
    # Whoever failed is replaced at once by everybody else: a wrong share is rare, waiting for it helps nobody.
    everybody = frozenset(parameters.holders)
    if (lost & state.asked or state.unopened) and state.asked != everybody:
        return replace(state, asked=everybody)
    return state


def _mark(standings: Standings, party_id: PartyId, standing: Standing) -> Standings:
    return MappingProxyType({**standings, party_id: standing})


def _without(refusals: Mapping[PartyId, str], party_id: PartyId) -> Mapping[PartyId, str]:
    """Forget a refusal of a party that delivered after all."""
    return MappingProxyType({p: code for p, code in refusals.items() if p != party_id})


def _contribution_received(state: AggregatorRound, event: ContributionReceived) -> AggregatorRound:
    if event.party_id not in state.parameters.cohort or event.party_id in state.contributions:
        return state
    contributions = _mark(state.contributions, event.party_id, Standing.RECEIVED)
    return replace(state, contributions=contributions, refusals=_without(state.refusals, event.party_id))


def _contribution_verified(state: AggregatorRound, event: ContributionVerified) -> AggregatorRound:
    if state.contributions.get(event.party_id) is not Standing.RECEIVED:
        return state
    return replace(state, contributions=_mark(state.contributions, event.party_id, Standing.VERIFIED))


def _contribution_rejected(state: AggregatorRound, event: ContributionRejected) -> AggregatorRound:
    if state.contributions.get(event.party_id) is not Standing.RECEIVED:
        return state
    contributions = _mark(state.contributions, event.party_id, Standing.REJECTED)
    return replace(state, contributions=contributions, culprits=(*state.culprits, event.party_id))


def _refused(state: AggregatorRound, event: ReplyRefused | DecryptionRefused) -> AggregatorRound:
    collecting = state.phase is Phase.COLLECTING
    answered = state.contributions if collecting else state.partials
    could_answer = state.parameters.cohort if collecting else state.asked
    # The first refusal stays: every other one would be an event to store.
    if event.party_id not in could_answer or event.party_id in answered or event.party_id in state.refusals:
        return state
    return replace(state, refusals=MappingProxyType({**state.refusals, event.party_id: event.code}))


def _deadline(state: AggregatorRound, event: DeadlinePassed) -> AggregatorRound:
    return replace(state, deadline_passed=True)


def _partial_received(state: AggregatorRound, event: PartialReceived) -> AggregatorRound:
    if event.party_id not in state.asked or event.party_id in state.partials:
        return state
    partials = _mark(state.partials, event.party_id, Standing.RECEIVED)
    return replace(state, partials=partials, refusals=_without(state.refusals, event.party_id))


def _partial_verified(state: AggregatorRound, event: PartialVerified) -> AggregatorRound:
    if state.partials.get(event.party_id) is not Standing.RECEIVED:
        return state
    return replace(state, partials=_mark(state.partials, event.party_id, Standing.VERIFIED))


def _partial_rejected(state: AggregatorRound, event: PartialRejected) -> AggregatorRound:
    # VERIFIED: stored by earlier versions for a sum with several culprits, of which the first ended RELEASED.
    if state.partials.get(event.party_id) not in (Standing.RECEIVED, Standing.VERIFIED):
        return state
    partials = _mark(state.partials, event.party_id, Standing.REJECTED)
    return replace(state, partials=partials, culprits=(*state.culprits, event.party_id))


def _disproved(state: AggregatorRound, event: PartialsDisproved | PartialRejected) -> AggregatorRound:
    """Name everybody whose partial decryption is wrong, where the sum did not open; the others may be enough."""
    # PartialRejected: stored by earlier versions, one for each culprit.
    named = (event.party_id,) if isinstance(event, PartialRejected) else event.party_ids
    wrong = tuple(p for p in named if state.partials.get(p) is Standing.VERIFIED)
    if not wrong:
        return state
    partials = MappingProxyType({**state.partials, **dict.fromkeys(wrong, Standing.REJECTED)})
    return replace(state, phase=Phase.DECRYPTING, partials=partials, culprits=(*state.culprits, *wrong))


def _opening_failed(state: AggregatorRound, event: OpeningFailed) -> AggregatorRound:
    return replace(state, phase=Phase.DECRYPTING, unopened=len(state.verified_partials))


def _patience(state: AggregatorRound, event: PatiencePassed) -> AggregatorRound:
    return replace(state, asked=frozenset(state.parameters.holders))


def _timeout(state: AggregatorRound, event: RoundTimedOut) -> AggregatorRound:
    # Too few replies for any round: another one would not do better. A sum that is not opened in time is abandoned,
    # too, while there is a spare round: enough replies came, and key holders may be back for the next sum.
    phase = Phase.ABANDONED if _can_do_better(state, len(state.verified_contributors)) else Phase.ABORTED
    return replace(state, phase=phase, reason=AbortReason.TIMEOUT)


def _can_do_better(state: AggregatorRound, present: int) -> bool:
    """Return true if another round of the step could be released with so many replies."""
    return state.parameters.is_repeatable and present >= state.parameters.least_quorum


_HANDLERS: dict[tuple[Phase, type[Any]], Callable[[AggregatorRound, Any], AggregatorRound]] = {
    (Phase.COLLECTING, ContributionReceived): _contribution_received,
    (Phase.COLLECTING, ContributionVerified): _contribution_verified,
    (Phase.COLLECTING, ContributionRejected): _contribution_rejected,
    (Phase.COLLECTING, ReplyRefused): _refused,
    (Phase.COLLECTING, DeadlinePassed): _deadline,
    (Phase.COLLECTING, RoundTimedOut): _timeout,
    (Phase.DECRYPTING, PartialReceived): _partial_received,
    (Phase.DECRYPTING, PartialVerified): _partial_verified,
    (Phase.DECRYPTING, PartialRejected): _partial_rejected,
    (Phase.DECRYPTING, DecryptionRefused): _refused,
    (Phase.DECRYPTING, PatiencePassed): _patience,
    (Phase.DECRYPTING, RoundTimedOut): _timeout,
    (Phase.RELEASED, PartialsDisproved): _disproved,
    (Phase.RELEASED, PartialRejected): _disproved,
    (Phase.RELEASED, OpeningFailed): _opening_failed,
}
