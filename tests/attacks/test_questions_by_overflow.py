# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A malicious aggregator asks with parameters of its own making, and with two rounds at once.

Parameters can be such that the vectors of just those records overflow that it wants to know about. Whether there are
any must not show in what the party says.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from coterie_common.learning.algorithm import Ask
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import Rejection
from tests.support.asynchronous import asynchronous
from tests.support.in_process import generous_policy
from tests.support.malicious_aggregator import MaliciousAggregator, attacking
from tests.support.small_jobs import make_spec

POLICY = generous_policy(algorithms=("linear_svm",))
OUTLOOKS = ("sunny", "rain", "clouds")


def machine(rounds: int) -> JobSpec:
    config = {
        "rounds": rounds,
        "records": 490,
        "clip_norm": Decimal(1),
        "learning_rate": Decimal("0.5"),
        "loss": "squared-hinge",
    }
    return make_spec("linear_svm", config)


def body_about(attacker: MaliciousAggregator, value: float, *places: int) -> bytes:
    ask = attacker.planned.algorithm.next_ask(
        attacker.planned.algorithm.initial_state(attacker.planned.config, attacker.planned.schema)
    )
    assert ask is not None
    parameters = np.zeros_like(ask.arrays["parameters"])
    parameters[list(places)] = value
    return Ask(1, {**ask.body, "parameters": parameters}).to_bytes()


@pytest.mark.slow  # starts a process that imports numpy
@pytest.mark.parametrize("places", [(), (OUTLOOKS.index("rain"),)], ids=["no record", "records with rain"])
@asynchronous
async def test_vectors_that_overflow_for_chosen_records_are_answered_like_any_other(tmp_path, places):
    async with attacking(tmp_path, spec=machine(1), policy=POLICY) as attacker:
        await attacker.accepted()
        body = body_about(attacker, 3e38, *places)
        reply = await attacker.answered(attacker.fields(body=body), body)
        assert reply.contribution.party_id == attacker.victim


@pytest.mark.slow  # as above
@asynchronous
async def test_rounds_that_are_asked_at_once_are_computed_one_after_the_other(tmp_path):
    async with attacking(tmp_path, spec=machine(2), policy=POLICY) as attacker:
        await attacker.accepted()
        party = attacker.running.parties[attacker.victim]
        # As on a machine with two cores.
        with ThreadPoolExecutor(2) as workers:
            party._context = replace(party._context, workers=workers)
            await ask_both(attacker)


async def ask_both(attacker: MaliciousAggregator) -> None:
    for number in (1, 2):
        attacker.running.to_party(attacker.victim, attacker.query(attacker.fields(number)))
    await attacker.running.saw(lambda _, m: isinstance(m, (EncryptedReply, Rejection)), count=2)
    said = [m for _, m in attacker.running.passed if isinstance(m, (EncryptedReply, Rejection))]
    assert [(type(m), m.round_number) for m in said] == [(EncryptedReply, 1), (EncryptedReply, 2)]
