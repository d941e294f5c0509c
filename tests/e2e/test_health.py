# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

HOME = ("health", "--home", "home")


def test_health_follows_the_daemons_through_an_aggregator_killed_and_started_again(running):
    party, aggregator = running.party_folder("party-1"), running.folder / "aggregator"

    def party_says() -> str:
        said = running.run("coterie-party", *HOME, folder=party).stderr
        # Where the system does not confine training processes, that is said besides.
        return "".join(line for line in said.splitlines() if not line.startswith("warning: code in the training"))

    running.wait_until(lambda: not party_says(), "a healthy party")
    assert running.run("coterie-aggregator", *HOME, folder=aggregator).stdout == "serving\n"

    running.daemons.kill("aggregator")
    running.wait_until(lambda: "not connected to the aggregator" in party_says(), "the party to notice")
    assert running.run("coterie-party", *HOME, folder=party).returncode == 1

    running.start_aggregator()
    running.wait_until(lambda: running.connected() == set(running.parties), "all parties to connect", 90)
    running.wait_until(lambda: not party_says(), "a healthy party")
    assert running.run("coterie-party", *HOME, folder=party).stdout == "connected to the aggregator\n"
