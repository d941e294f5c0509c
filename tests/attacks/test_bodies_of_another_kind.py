# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A malicious aggregator puts arrays where an algorithm expects JSON. That must not end the party's daemon."""

from __future__ import annotations

import numpy as np
import pytest

from coterie_common.learning.algorithm import Ask
from coterie_common.protocol.messages import Rejection
from tests.support.asynchronous import asynchronous
from tests.support.malicious_aggregator import attacking
from tests.support.small_jobs import statistics_spec


@pytest.mark.parametrize("name", ["means", "something"])
@asynchronous
async def test_body_with_an_array_where_none_belongs_is_refused_and_the_party_goes_on(tmp_path, name):
    async with attacking(tmp_path, spec=statistics_spec()) as attacker:
        await attacker.accepted()
        ask = Ask.from_bytes(1, attacker.body, maximum=1 << 20)
        body = Ask(1, {**ask.body, name: np.zeros(3, np.float32)}).to_bytes()
        answer = await attacker.tell(attacker.query(attacker.fields(body=body), body))
        assert isinstance(answer, Rejection)
        assert answer.code == "malformed-message"
        await attacker.answered()
