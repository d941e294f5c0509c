# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party whose store was restored has forgotten what it answered: it stops when its own signature proves that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common.errors import StorageError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import DecryptionRequest, Message, PartialDecryption
from coterie_common.protocol.verification.request import shows_forgotten_reply
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import statistics_spec, write_play

VICTIM = PartyId("party-2")


@asynchronous
async def test_restored_party_stops_when_its_own_forgotten_reply_is_shown_to_it(tmp_path):
    federation = make_federation(3, 3)
    passes = False

    def hold_requests(party_id: PartyId, message: Message) -> Message | None:
        return None if isinstance(message, DecryptionRequest) and not passes else message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold_requests) as running:
        await running.submit(statistics_spec())
        await running.saw(lambda party_id, message: party_id == VICTIM and isinstance(message, DecryptionRequest))
        await running.kill(VICTIM)
        for file in (tmp_path / VICTIM).glob("party.db*"):
            file.unlink()
        passes = True
        await running.start_party(VICTIM)
        failure = await running.failed()
        assert isinstance(failure, StorageError)
        assert "restored from a backup" in failure.message
        assert not [m for party_id, m in running.passed if party_id == VICTIM and isinstance(m, PartialDecryption)]


@pytest.mark.parametrize("remembers", [True, False])
def test_reply_is_forgotten_only_if_it_is_not_remembered(remembers):
    federation = make_federation()
    fields = federation.fields()
    contributions = tuple(federation.contribution(p, fields.session_id) for p in federation.parties)
    known = contributions[1].digest if remembers else None
    request = federation.request(fields, contributions)
    assert shows_forgotten_reply(request, VICTIM, known, federation.roster) is not remembers


def test_reply_that_the_party_did_not_sign_proves_nothing():
    federation = make_federation()
    fields = federation.fields()
    contributions = [federation.contribution(p, fields.session_id) for p in federation.parties]
    contributions[1] = replace(contributions[1], signature=contributions[0].signature)
    request = federation.request(fields, tuple(contributions))
    assert not shows_forgotten_reply(request, VICTIM, None, federation.roster)
