# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Admissions that are undone, members that are expelled, and what the next epoch is dealt with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coterie.credential_folder import create_credential_request
from coterie.founding.credentials import credential_path
from coterie.founding.founding import found
from coterie.founding.leaving import (
    Standing,
    expel_party,
    expel_person,
    members,
    smaller_parameters,
    undo_admission,
)
from coterie.founding.register import load_register
from coterie_common.crypto.certificates import Role
from coterie_common.errors import ConfigurationError, WrongOrderError
from coterie_common.identifiers import FederationName, MemberId
from coterie_common.protocol.parameters import AggregatorTrust, FederationParameters, choose_parameters
from tests.support.ceremony import NOW, PASSWORD, Ceremony, make_party_request


def parties_of(ceremony: Ceremony) -> list[tuple[str, int]]:
    return [(entry.id, entry.index) for entry in load_register(ceremony.federation).with_role(Role.PARTY)]


@pytest.fixture(scope="module")
def _four_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four parties, founded, admitted and dealt."""
    ceremony = Ceremony(tmp_path_factory.mktemp("four") / "all")
    found(
        ceremony.federation,
        FederationName("test"),
        choose_parameters(4),
        key_bits=2048,
        ask_password=lambda: PASSWORD,
        random=ceremony.random,
        now=NOW,
    )
    founder = ceremony.federation.record().fingerprint
    ceremony.admit(*(ceremony.make_party(index, founder) for index in range(1, 5)))
    ceremony.admit(ceremony.make_aggregator(None), role=Role.AGGREGATOR)
    ceremony.deal()
    return ceremony.root


@pytest.fixture
def four(_four_folder: Path, tmp_path: Path) -> Ceremony:
    shutil.copytree(_four_folder, tmp_path / "all", symlinks=True)
    return Ceremony(tmp_path / "all")


def test_undone_admission_frees_id_and_place_and_later_parties_move_up(admitted):
    undo_admission(admitted.federation, MemberId("p2"))
    assert parties_of(admitted) == [("p1", 1), ("p3", 2)]
    with pytest.raises(WrongOrderError, match="1 of 3 parties"):
        admitted.deal()
    admitted.admit(make_party_request("hospital-2"))
    assert parties_of(admitted) == [("p1", 1), ("p3", 2), ("hospital-2", 3)]
    assert [member.party_id for member in admitted.deal().roster.members] == ["p1", "p3", "hospital-2"]


def test_undone_aggregator_is_admitted_under_another_id(admitted):
    undo_admission(admitted.federation, MemberId("aggregator"))
    with pytest.raises(WrongOrderError, match="the aggregator"):
        admitted.deal()


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("p2", "in the roster of epoch 1.*coterie expel p2"),
        ("aggregator", "in the roster of epoch 1.*--replace"),
        ("operator", "has a certificate.*coterie expel operator"),
        ("p9", "nobody with the id p9.*coterie members"),
    ],
)
def test_admission_with_a_key_cannot_be_undone(joined, who, words):
    before = joined.federation.register_path.read_bytes()
    with pytest.raises(ConfigurationError, match=words):
        undo_admission(joined.federation, MemberId(who))
    assert joined.federation.register_path.read_bytes() == before


def test_expelled_party_is_a_member_until_the_next_epoch_which_is_dealt_without_it(four):
    parameters = smaller_parameters(four.federation.record().parameters)
    expel_party(four.federation, MemberId("p2"), parameters)
    # Nothing has changed for those who hold the roster.
    assert len(four.deal().roster.members) == 4
    shown = {entry.id: entry.standing for entry in members(four.federation)}
    assert (shown["p2"], shown["p1"]) == (Standing.EXPELLED, Standing.IN_FORCE)
    roster = four.deal(new_epoch=True).roster
    assert [(member.party_id, member.index) for member in roster.members] == [("p1", 1), ("p3", 2), ("p4", 3)]
    assert (roster.parameters, roster.key_epoch) == (choose_parameters(3), 2)
    assert "p2" not in {entry.id for entry in members(four.federation)}
    # A member imports the new share under the index that is now its own.
    assert four.join(4).roster.digest == roster.digest
    assert not four.bundle("p2").exists()


def test_expelling_below_three_parties_is_refused(joined):
    with pytest.raises(ConfigurationError, match="3 to 200 parties, not 2"):
        smaller_parameters(joined.federation.record().parameters)


@pytest.mark.parametrize("parties", range(4, 31))
def test_smaller_parameters_keep_the_corruption_bound_and_the_parties_that_may_be_down(parties):
    before = choose_parameters(parties)
    after = smaller_parameters(before)
    assert (after.parties, after.corruption_bound) == (parties - 1, before.corruption_bound)
    # Either as many may be down as before, or that would let the aggregator have two sums opened.
    if after.may_be_down != before.may_be_down:
        with pytest.raises(ConfigurationError):
            FederationParameters(
                parties=parties - 1,
                key_holders=parties - 1,
                decryption_threshold=before.decryption_threshold - 1,
                corruption_bound=before.corruption_bound,
                holder_corruption_bound=before.corruption_bound,
                quorum=before.quorum - 1,
            )


def test_smaller_parameters_are_refused_where_the_bound_does_not_fit_and_can_be_chosen():
    before = choose_parameters(5, corruption_bound=3, decryption_threshold=5, quorum=5)
    with pytest.raises(ConfigurationError, match="corruption bound of 4 parties is at most 2, not 3"):
        smaller_parameters(before)
    chosen = smaller_parameters(before, corruption_bound=2, decryption_threshold=4, quorum=4)
    assert (chosen.corruption_bound, chosen.decryption_threshold, chosen.quorum) == (2, 4, 4)
    trusting = choose_parameters(9, aggregator_trust=AggregatorTrust.HONEST_BUT_CURIOUS)
    assert smaller_parameters(trusting).aggregator_trust is AggregatorTrust.HONEST_BUT_CURIOUS


def test_expelled_person_gets_no_further_credential(joined, tmp_path):
    request = create_credential_request(tmp_path / "anna", MemberId("anna"), Role.SCIENTIST, None)
    joined.admit(request, role=Role.SCIENTIST)
    path = credential_path(joined.federation, "anna")
    assert path.is_file()
    expel_person(joined.federation, MemberId("anna"))
    joined.deal(new_epoch=True)
    assert not path.exists()
    for who in ("operator", "p1", "anna"):
        with pytest.raises(ConfigurationError):
            expel_person(joined.federation, MemberId(who))


def test_members_before_and_after_keys_are_dealt(admitted):
    standings = [(entry.id, entry.index, entry.standing) for entry in members(admitted.federation)]
    waits = Standing.WAITS_FOR_KEYS
    assert standings == [
        ("p1", 1, waits),
        ("p2", 2, waits),
        ("p3", 3, waits),
        ("aggregator", 0, waits),
        ("operator", 0, Standing.CERTIFIED),
    ]
    admitted.deal()
    assert {entry.standing for entry in members(admitted.federation)} == {Standing.IN_FORCE, Standing.CERTIFIED}
    admitted.admit(make_party_request("p2"), replace=True)
    assert [entry.standing for entry in members(admitted.federation)][1] is waits
