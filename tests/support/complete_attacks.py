# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A malicious aggregator of a job that is sealed completely, and all other parties, who collude with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coterie_common.crypto.masks.ephemeral import EphemeralSecret
from coterie_common.crypto.masks.mask import PairSecrets
from coterie_common.crypto.masks.pairwise import PairSecret
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import (
    Acceptances,
    Encapsulation,
    Encapsulations,
    JobReply,
    RelayedEncapsulations,
)
from coterie_common.protocol.job_spec import JobSealing
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import Message, Rejection
from coterie_common.protocol.sealing.choice import make_complete_sealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.acceptance import agreement_of
from tests.support.in_process import generous_policy
from tests.support.malicious_aggregator import PARTIES, SPEC, MaliciousAggregator, attacking
from tests.support.seeded_random import SeededRandom

COMPLETE = replace(SPEC, sealing=JobSealing.COMPLETE)
OTHERS = PARTIES[1:]
"""All but the usual victim."""

SECRETS = {party_id: EphemeralSecret.generate(SeededRandom(party_id)) for party_id in PARTIES}
"""Of everybody who colludes: all but the victim."""


@asynccontextmanager
async def attacking_complete(folder: Path, **options: Any) -> AsyncIterator[MaliciousAggregator]:
    policy = generous_policy(sealings=["complete"])
    async with attacking(folder, spec=COMPLETE, policy=policy, **options) as attacker:
        yield attacker


def acceptances_of(attacker: MaliciousAggregator, own: JobReply, cohort: Sequence[PartyId] = PARTIES) -> Acceptances:
    """The victim's acceptance, and those of the others, who collude."""
    replies = [
        own
        if party_id == attacker.victim
        else replace(own, party_id=party_id, ephemeral_key=SECRETS[party_id].public.encoded).signed_by(
            attacker.federation.party_keys[party_id]
        )
        for party_id in sorted(cohort)
    ]
    unsigned = Acceptances(job_id=attacker.job_id, replies=tuple(replies), signature=UNSIGNED)
    return unsigned.signed_by(attacker.federation.aggregator_key)


def encapsulated(
    attacker: MaliciousAggregator, acceptances: Acceptances
) -> tuple[RelayedEncapsulations, dict[PartyId, PairSecret]]:
    """What everybody of a lower id than the victim's encapsulates to it, and the secrets that they have with it then.

    Both are different at every call.
    """
    agreement = agreement_of(acceptances, attacker.federation.roster)
    received, pairs = list[Encapsulation](), dict[PartyId, PairSecret]()
    for sender in agreement.cohort:
        if sender < attacker.victim:
            sent, secrets = agreement.encapsulate(sender, SECRETS[sender], attacker.federation.party_keys[sender])
            received += [each for each in sent if each.recipient == attacker.victim]
            pairs[sender] = secrets[attacker.victim]
    return RelayedEncapsulations(job_id=acceptances.job_id, encapsulations=tuple(received)), pairs


async def agreed(attacker: MaliciousAggregator) -> tuple[Acceptances, dict[PartyId, PairSecret]]:
    """The victim accepts, and agrees with everybody on a secret; return what the others know of theirs with it."""
    acceptances, pairs = await encapsulating(attacker)
    relayed, before = encapsulated(attacker, acceptances)
    if relayed.encapsulations:
        attacker.running.to_party(attacker.victim, relayed)
    return acceptances, pairs | before


async def encapsulating(attacker: MaliciousAggregator) -> tuple[Acceptances, dict[PartyId, PairSecret]]:
    """The victim accepts, and encapsulates to everybody of a higher id; return what these know of their secrets."""
    own = await attacker.tell(attacker.proposal())
    assert isinstance(own, JobReply)
    acceptances = acceptances_of(attacker, own)
    sent = await attacker.tell(acceptances)
    assert isinstance(sent, Encapsulations), sent
    agreement = agreement_of(acceptances, attacker.federation.roster)
    pairs = dict[PartyId, PairSecret]()
    for each in sent.encapsulations:
        alone = replace(
            agreement, participants={p: agreement.participants[p] for p in (attacker.victim, each.recipient)}
        )
        pairs |= {each.recipient: alone.decapsulate(each.recipient, SECRETS[each.recipient], (each,))[attacker.victim]}
    return acceptances, pairs


def asked(attacker: MaliciousAggregator, acceptances: Acceptances, **changes: Any) -> SessionFields:
    return attacker.fields(**{"acceptances": acceptances.digest, **changes})


def code_of(answer: Message) -> str:
    assert isinstance(answer, Rejection), answer
    return answer.code


def unmasked(fields: SessionFields, reply: MaskedReply, pairs: dict[PartyId, PairSecret]) -> list[int]:
    """What colluders make of the victim's reply: with every one of them it opens, as it must with all but one."""
    victim = reply.party_id
    sealing = make_complete_sealing(fields.terms, len(PARTIES))
    total = sealing.check_masked(reply.masked).copy()
    zeros = np.zeros(fields.terms.encoding.length, np.int64)
    for party_id in fields.cohort:
        if party_id != victim and party_id in pairs:
            masks = PairSecrets(party_id, {victim: pairs[party_id]}).masks_for(fields.session_id, (victim, party_id))
            total += masks.cover_values(zeros)
    opened: list[int] = sealing.open(total, len(PARTIES)).tolist()
    return opened
