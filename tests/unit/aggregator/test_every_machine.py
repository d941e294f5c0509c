# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What both state machines of the aggregator do in every state that they can reach, with every event."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.unit.aggregator import test_job, test_round

MACHINES = {"job": test_job, "round": test_round}
PHASES = [
    pytest.param(machine, phase, id=f"{name}-{phase}") for name, machine in MACHINES.items() for phase in machine.Phase
]
PAIRS = [
    pytest.param(machine, phase, event, id=f"{name}-{phase}-{event.__name__}")
    for name, machine in MACHINES.items()
    for phase in machine.Phase
    for event in get_args(machine.Event)
]


@pytest.mark.parametrize(("machine", "phase", "event"), PAIRS)
def test_step_handles_exactly_the_events_of_the_phase(machine, phase, event):
    pairs = [(s, t) for s, e, t in machine.explored().transitions if s.phase is phase and type(e) is event]
    assert pairs
    changed = [(s, t) for s, t in pairs if t is not s]
    assert bool(changed) is (event in machine.HANDLED[phase])
    assert all(s != t for s, t in changed)


@pytest.mark.parametrize(("machine", "phase"), PHASES)
def test_step_leaves_the_very_same_state_for_strangers(machine, phase):
    transitions = machine.explored().transitions
    of_stranger = [
        (s, t) for s, e, t in transitions if s.phase is phase and getattr(e, "party_id", "") == machine.STRANGER
    ]
    assert of_stranger
    assert all(s is t for s, t in of_stranger)
