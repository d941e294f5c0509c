# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable

from coterie_aggregator.live.deliveries import Deliveries
from coterie_common.identifiers import JobId, PartyId

A, B = PartyId("anna"), PartyId("bert")
ONE, TWO, THREE = (JobId(f"job-{n}") for n in (1, 2, 3))


class Sent(list[tuple[PartyId, JobId]]):
    def __call__(self, party_id: PartyId, job_id: JobId) -> Callable[[], None]:
        return lambda: self.append((party_id, job_id))


def owing(*jobs: JobId, connected: bool = True) -> tuple[Deliveries, Sent]:
    deliveries, sent = Deliveries(), Sent()
    if connected:
        deliveries.connected(A)
    for job_id in jobs:
        deliveries.want(A, job_id, sent(A, job_id))
    return deliveries, sent


def test_party_is_sent_one_model_after_the_other():
    deliveries, sent = owing(ONE, TWO, THREE)
    assert sent == [(A, ONE)]
    deliveries.settled(A, ONE)
    deliveries.settled(A, TWO)
    assert sent == [(A, ONE), (A, TWO), (A, THREE)]
    deliveries.settled(A, THREE)
    assert len(sent) == 3


def test_party_that_withholds_its_receipt_is_sent_nothing_more_and_others_are():
    deliveries, sent = owing(ONE, TWO)
    for _ in range(100):
        deliveries.want(A, TWO, sent(A, TWO))
    deliveries.connected(B)
    deliveries.want(B, TWO, sent(B, TWO))
    assert sent == [(A, ONE), (B, TWO)]


def test_party_that_is_away_is_sent_nothing_until_it_is_back():
    deliveries, sent = owing(ONE, TWO, connected=False)
    assert sent == []
    deliveries.connected(A)
    assert sent == [(A, ONE)]


def test_model_that_was_lost_comes_last_on_the_next_stream():
    deliveries, sent = owing(ONE, TWO)
    deliveries.disconnected(A)
    deliveries.connected(A)
    assert sent == [(A, ONE), (A, TWO)]
    # A stream that takes the place of another says no goodbye.
    deliveries.connected(A)
    assert sent[2:] == [(A, ONE)]


def test_settled_of_what_is_not_under_way_starts_nothing():
    deliveries, sent = owing(ONE, TWO)
    deliveries.settled(A, THREE)
    deliveries.settled(B, ONE)
    deliveries.settled(A, TWO)
    assert sent == [(A, ONE)]
    deliveries.settled(A, ONE)
    assert sent == [(A, ONE)]
