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
from coterie_common.protocol.acceptance import Acceptances, Encapsulations, JobReply
from coterie_common.protocol.job_spec import JobSealing
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import Message, Rejection
from coterie_common.protocol.sealing.choice import make_complete_sealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.acceptance import agreement_of
from tests.support.in_process import generous_policy
from tests.support.malicious_aggregator import JOB, PARTIES, SPEC, VICTIM, MaliciousAggregator, attacking
from tests.support.seeded_random import SeededRandom

COMPLETE = replace(SPEC, sealing=JobSealing.COMPLETE)
OTHERS = PARTIES[1:]
SECRETS = {party_id: EphemeralSecret.generate(SeededRandom(party_id)) for party_id in OTHERS}


@asynccontextmanager
async def attacking_complete(folder: Path, **options: Any) -> AsyncIterator[MaliciousAggregator]:
    policy = generous_policy(sealings=["complete"])
    async with attacking(folder, spec=COMPLETE, policy=policy, **options) as attacker:
        yield attacker


def acceptances_of(attacker: MaliciousAggregator, own: JobReply, cohort: Sequence[PartyId] = PARTIES) -> Acceptances:
    """The victim's acceptance, and those of the others, who collude."""
    replies = [
        own
        if party_id == VICTIM
        else replace(own, party_id=party_id, ephemeral_key=SECRETS[party_id].public.encoded).signed_by(
            attacker.federation.party_keys[party_id]
        )
        for party_id in sorted(cohort)
    ]
    unsigned = Acceptances(job_id=JOB, replies=tuple(replies), signature=UNSIGNED)
    return unsigned.signed_by(attacker.federation.aggregator_key)


async def agreed(attacker: MaliciousAggregator) -> tuple[Acceptances, dict[PartyId, PairSecret]]:
    """The victim accepts, and agrees with everybody on a secret; return what the others know of theirs with it."""
    own = await attacker.tell(attacker.proposal())
    assert isinstance(own, JobReply)
    acceptances = acceptances_of(attacker, own)
    sent = await attacker.tell(acceptances)
    assert isinstance(sent, Encapsulations), sent
    agreement = agreement_of(acceptances, attacker.federation.roster)
    pairs = dict[PartyId, PairSecret]()
    for each in sent.encapsulations:
        alone = replace(agreement, participants={p: agreement.participants[p] for p in (VICTIM, each.recipient)})
        pairs |= {each.recipient: alone.decapsulate(each.recipient, SECRETS[each.recipient], (each,))[VICTIM]}
    return acceptances, pairs


def asked(attacker: MaliciousAggregator, acceptances: Acceptances, **changes: Any) -> SessionFields:
    return attacker.fields(**{"acceptances": acceptances.digest, **changes})


def code_of(answer: Message) -> str:
    assert isinstance(answer, Rejection), answer
    return answer.code


def unmasked(fields: SessionFields, reply: MaskedReply, pairs: dict[PartyId, PairSecret]) -> list[int]:
    """What colluders make of the victim's reply: with every one of them it opens, as it must with all but one."""
    sealing = make_complete_sealing(fields.terms, len(PARTIES))
    total = sealing.check_masked(reply.masked).copy()
    zeros = np.zeros(fields.terms.encoding.length, np.int64)
    for party_id in fields.cohort:
        if party_id != VICTIM and party_id in pairs:
            masks = PairSecrets(party_id, {VICTIM: pairs[party_id]}).masks_for(fields.session_id, (VICTIM, party_id))
            total += masks.cover_values(zeros)
    opened: list[int] = sealing.open(total, len(PARTIES)).tolist()
    return opened
