# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Delivery of models to parties: one at a time to each, even if a party withholds its receipts.

A party that withholds receipts accumulates undelivered models. If all of them were put on its stream at once, they
would stay in memory for as long as it does not read.
"""

from __future__ import annotations

from collections.abc import Callable

from coterie_common.identifiers import JobId, PartyId


class Deliveries:
    """For each connected party: the model being sent to it, and the models queued behind that one."""

    def __init__(self) -> None:
        self._owed: dict[PartyId, dict[JobId, Callable[[], object]]] = {}
        self._under_way: dict[PartyId, JobId] = {}
        self._connected: set[PartyId] = set()

    def connected(self, party_id: PartyId) -> None:
        """A party has opened a stream, perhaps replacing another: send it the models that it has not confirmed."""
        self.disconnected(party_id)
        self._connected.add(party_id)
        self._start(party_id)

    def disconnected(self, party_id: PartyId) -> None:
        """A party has disconnected. The model being sent goes to the end of its queue: others must not wait again."""
        self._connected.discard(party_id)
        lost = self._under_way.pop(party_id, None)
        if lost is not None:
            owed = self._owed[party_id]
            owed[lost] = owed.pop(lost)

    def want(self, party_id: PartyId, job_id: JobId, send: Callable[[], object]) -> None:
        """Send a party a job's model when its turn comes; of the same job again only the last ``send`` counts."""
        self._owed.setdefault(party_id, {})[job_id] = send
        self._start(party_id)

    def settled(self, party_id: PartyId, job_id: JobId) -> None:
        """The party confirmed a model, or refused it."""
        self._owed.get(party_id, {}).pop(job_id, None)
        if self._under_way.get(party_id) == job_id:
            del self._under_way[party_id]
            self._start(party_id)

    def _start(self, party_id: PartyId) -> None:
        owed = self._owed.get(party_id)
        if owed and party_id in self._connected and party_id not in self._under_way:
            job_id, send = next(iter(owed.items()))
            self._under_way[party_id] = job_id
            send()
