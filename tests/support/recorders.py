# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What appends to a party's audit record, and a clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coterie_common.audit.entry import Owner
from coterie_common.crypto.identity import SigningKey
from coterie_party.store import Recorder
from tests.support.seeded_random import SeededRandom

PARTY_KEY = SigningKey.generate(SeededRandom("party with a record"))


@dataclass
class ManualClock:
    when: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.when

    def monotonic(self) -> float:
        return self.when.timestamp()

    def pass_seconds(self, seconds: float) -> None:
        self.when += timedelta(seconds=seconds)


def make_recorder(founder: str = "founder", party_id: str = "party-1", clock: ManualClock | None = None) -> Recorder:
    return Recorder(owner=Owner(founder, party_id), key=PARTY_KEY, clock=clock or ManualClock())
