# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest

from coterie_common.errors import ConfigurationError, MalformedMessage, QuorumTooSmall
from coterie_common.limits import MAX_PARTIES, MIN_PARTIES
from coterie_common.protocol.parameters import (
    AggregatorTrust,
    FederationParameters,
    choose_parameters,
    with_all_as_holders,
)

ALL_SIZES = range(MIN_PARTIES, MAX_PARTIES + 1)


def conditions_hold(n: int, t: int, c: int, m: int, trust: AggregatorTrust = AggregatorTrust.MALICIOUS) -> bool:
    """The four conditions, written down once more from their reasons instead of from the code."""
    colluders_cannot_open = c >= 1 and c < t
    everybody_together_can = t <= n and m <= n
    # The fewest parties that two sets of t among n share; one of them must be honest.
    shared = 2 * t - n
    one_release = trust is AggregatorTrust.HONEST_BUT_CURIOUS or shared > c
    honest_contributors = m - c
    return colluders_cannot_open and everybody_together_can and one_release and honest_contributors >= 2


def make(n: int, t: int, c: int, m: int, trust: AggregatorTrust = AggregatorTrust.MALICIOUS) -> FederationParameters:
    return FederationParameters(
        parties=n,
        key_holders=n,
        decryption_threshold=t,
        corruption_bound=c,
        holder_corruption_bound=c,
        quorum=m,
        aggregator_trust=trust,
    )


def is_accepted(n: int, t: int, c: int, m: int, trust: AggregatorTrust) -> bool:
    try:
        make(n, t, c, m, trust)
    except ConfigurationError:
        return False
    return True


@pytest.mark.parametrize("trust", AggregatorTrust)
@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 10])
def test_constructor_accepts_exactly_what_satisfies_all_conditions(n, trust):
    beyond = range(n + 2)
    for t in beyond:
        for c in beyond:
            for m in beyond:
                assert is_accepted(n, t, c, m, trust) == conditions_hold(n, t, c, m, trust), (n, t, c, m)


def make_holders(n: int, k: int, t: int, c: int, c_k: int, m: int) -> FederationParameters:
    return FederationParameters(
        parties=n,
        key_holders=k,
        decryption_threshold=t,
        corruption_bound=c,
        holder_corruption_bound=c_k,
        quorum=m,
    )


def is_accepted_with_holders(n: int, k: int, t: int, c: int, c_k: int, m: int) -> bool:
    try:
        make_holders(n, k, t, c, c_k, m)
    except ConfigurationError:
        return False
    return True


def test_constructor_accepts_exactly_the_holders_among_whom_one_sum_is_opened():
    # Over holders for opening, over contributors for hiding; the corrupted that hold no key are others than holders.
    for n in (3, 5, 7):
        for k in range(n + 2):
            for c in range(n + 1):
                for c_k in range(n + 1):
                    for t in range(n + 2):
                        m = n
                        expected = (
                            3 <= k <= n
                            and 1 <= c <= n - 2
                            and 1 <= c_k <= c <= c_k + (n - k)
                            and c_k + 1 <= t <= k
                            and 2 * t > k + c_k
                        )
                        assert is_accepted_with_holders(n, k, t, c, c_k, m) == expected, (n, k, t, c, c_k)


def test_two_quorums_of_holders_share_an_honest_one_for_every_shape_that_is_accepted():
    for k in range(3, 10):
        for c_k in range(1, k):
            for t in range(1, k + 1):
                if is_accepted_with_holders(20, k, t, c_k, c_k, 20):
                    # Two sets of t among k share at least 2t − k, of whom at most c_k are corrupted.
                    assert 2 * t - k - c_k >= 1


def test_parties_that_may_be_down_are_bounded_by_holders_and_by_contributors():
    assert make_holders(20, 7, 5, 2, 2, 12).may_be_down == 2
    assert make_holders(20, 7, 5, 2, 2, 19).may_be_down == 1


def test_explain_names_the_holders_where_not_all_parties_are():
    first, second, *_ = make_holders(20, 7, 5, 4, 2, 12).explain()
    assert first.startswith("Up to 4 of 20 parties, of them 2 of the 7 key holders, may collude")
    assert second == "A sum is opened by 5 of 7 key holders and holds the replies of at least 12."


def test_parameters_of_an_earlier_version_let_all_parties_hold_keys():
    parameters = choose_parameters(10)
    former = {
        name: value
        for name, value in parameters.to_document().items()
        if name not in ("key_holders", "holder_corruption_bound")
    }
    assert FederationParameters.from_document(with_all_as_holders(former)) == parameters
    damages: tuple[object, ...] = (None, [], {}, {"parties": 5})
    for damaged in damages:
        with pytest.raises(MalformedMessage):
            FederationParameters.from_document(with_all_as_holders(damaged))


def test_default_parameters_of_every_size_satisfy_all_conditions():
    for n in ALL_SIZES:
        chosen = choose_parameters(n)
        t, c, m = chosen.decryption_threshold, chosen.corruption_bound, chosen.quorum
        assert conditions_hold(n, t, c, m)
        assert c == max(1, (n - 1) // 3)
        assert (t, m) == ((3, 3) if n == 3 else (n - c, n - c))
        assert chosen.may_be_down == (0 if n == 3 else c)


@pytest.mark.parametrize("trust", AggregatorTrust)
def test_choose_parameters_with_every_bound_of_every_size_chooses_as_designed(trust):
    for n in ALL_SIZES:
        for c in range(1, n - 1):
            chosen = choose_parameters(n, corruption_bound=c, aggregator_trust=trust)
            best = (n - c, n - c) if conditions_hold(n, n - c, c, n - c, trust) else (n, n)
            assert (chosen.decryption_threshold, chosen.quorum) == best
            assert conditions_hold(n, *(best[0], c, best[1]), trust)


def test_choose_parameters_with_an_impossible_bound_raises():
    for n in ALL_SIZES:
        for c in (-1, 0, n - 1, n, n + 1):
            with pytest.raises(ConfigurationError):
                choose_parameters(n, corruption_bound=c)


@pytest.mark.parametrize("n", [-1, 0, 1, 2, 201])
def test_choose_parameters_with_an_impossible_number_of_parties_raises(n):
    with pytest.raises(ConfigurationError, match="3 to 200 parties"):
        choose_parameters(n)


def test_parameters_that_bind_no_malicious_aggregator_are_refused_unless_declared():
    with pytest.raises(ConfigurationError, match="take at least 4") as caught:
        make(5, 3, 1, 3)
    assert caught.value.code == "configuration"
    declared = make(5, 3, 1, 3, AggregatorTrust.HONEST_BUT_CURIOUS)
    assert any("two sums of one round" in sentence for sentence in declared.explain())


def test_explain_says_who_may_collude_and_how_many_may_be_down():
    sentences = choose_parameters(5).explain()
    assert sentences[0] == (
        "Up to 1 of 5 parties may collude with each other and the aggregator without learning another party's reply."
    )
    assert "Up to 1 of 5 parties may be down while rounds still complete." in sentences
    assert "Every release holds at least 3 noise shares of honest parties." in sentences
    assert any("no dropout is tolerated" in sentence for sentence in choose_parameters(3).explain())


def test_honest_shares_counts_contributors_that_cannot_be_corrupted():
    parameters = choose_parameters(10)
    assert [parameters.honest_shares(quorum) for quorum in (7, 8, 10)] == [4, 5, 7]


@pytest.mark.parametrize("round_quorum", [0, 6, 11])
def test_honest_shares_of_a_quorum_outside_the_federation_raises(round_quorum):
    with pytest.raises(QuorumTooSmall) as caught:
        choose_parameters(10).honest_shares(round_quorum)
    assert caught.value.code == "quorum-too-small"


def test_document_of_parameters_round_trips():
    for n in (3, 5, 200):
        parameters = choose_parameters(n)
        assert FederationParameters.from_document(parameters.to_document()) == parameters


@pytest.mark.parametrize(
    "change",
    [
        {"quorum": 2},
        {"quorum": True},
        {"quorum": "4"},
        {"parties": 4.0},
        {"parties": 10**9},
        {"aggregator_trust": "honest"},
        {"aggregator_trust": None},
        {"more": 1},
    ],
)
def test_parameters_from_a_wrong_document_raises(change):
    with pytest.raises(MalformedMessage) as caught:
        FederationParameters.from_document({**choose_parameters(5).to_document(), **change})
    assert caught.value.code == "malformed-message"
