# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Costs are those of rounds whose sums are right, and the lengths are the plan's."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from coterie_aggregator.live.rounds.arithmetic import RoundArithmetic
from coterie_common.crypto import threshold
from coterie_common.learning.algorithm import Release
from coterie_common.protocol.padded_part import PaddedSum
from coterie_common.protocol.sealing.choice import packing_for
from coterie_common.protocol.terms import RoundTerms, SealingKind
from coterie_lab.benchmarks.measuring import Yardstick
from coterie_lab.benchmarks.primitives import WrongSum
from coterie_lab.evaluation.cost import campaign, sealed_round
from coterie_lab.evaluation.cost.campaign import MODELS, NaivePrice, measure_plain, planned_rounds
from coterie_lab.evaluation.cost.rows import CostRow, Way
from coterie_lab.evaluation.cost.sealed_round import measure_sealed, vector_of
from coterie_lab.evaluation.cost.table import cost_table
from coterie_lab.evaluation.csv_file import read_csv, write_csv
from coterie_lab.evaluation.points import FULL
from coterie_lab.evaluation.report import RESULTS
from tests.support.dealings import load_dealing, partials_by_factors
from tests.support.federation import Federation, make_federation
from tests.support.noise import gaussian

# Their price is what the threshold key costs; rounds that are sealed completely have none.
ENCRYPTED = [kind for kind in SealingKind if not kind.is_complete]

ROW = CostRow(
    model="tree",
    way=Way.PACKED,
    is_chosen=True,
    parties=10,
    values=625,
    rounds=3,
    reply_ms=1.5,
    help_ms=20.25,
    aggregator_ms=30,
    helpers=8,
    reply_bytes=1000,
    help_bytes=500,
    request_bytes=7000,
    yardstick_ms=31.25,
)


@pytest.fixture(scope="module")
def federation() -> Federation:
    return make_federation()


def sealed_as(federation: Federation, sealing: SealingKind, length: int = 40, variance: int = 300_000) -> RoundTerms:
    """Return terms with noise so wide that a pad needs no errors, unless asked otherwise."""
    terms = federation.terms(length)
    return replace(terms, sealing=sealing, noise=replace(gaussian(terms.noise), variance=Fraction(variance)))


def test_rows_survive_their_file(tmp_path):
    rows = [ROW, replace(ROW, way=Way.PADDED, is_chosen=False, reply_ms=0.125)]
    write_csv(tmp_path / "cost.csv", rows)
    assert read_csv(tmp_path / "cost.csv", CostRow) == rows


def test_model_costs_what_its_parties_helpers_and_aggregator_do():
    assert ROW.core_ms == 3 * (10 * 1.5 + 8 * 20.25 + 30)
    assert ROW.sent_bytes == 3 * (10 * 1000 + 8 * 500)
    assert ROW.received_bytes == 3 * 8 * 7000


@pytest.mark.parametrize("sealing", ENCRYPTED)
def test_sealed_round_has_as_many_bytes_as_its_ciphertexts_proofs_and_values(federation, sealing):
    terms = sealed_as(federation, sealing)
    cost = measure_sealed(federation, terms, Yardstick(), 1)
    key = federation.encryptor.public_key
    octets = packing_for(terms, 5, key).plaintexts * key.ciphertext_bytes
    padded = 4 * 40 if sealing is SealingKind.PADDED else 0
    assert octets + padded < cost.reply_bytes < octets + padded + 1000
    # A partial decryption of each is a number modulo N: half as long as the ciphertext.
    assert octets // 2 < cost.help_bytes < octets // 2 + 1000
    # what all five encrypted, and no padded part
    assert 5 * octets < cost.request_bytes < 5 * octets + 5000
    assert cost.helpers == 5
    assert min(cost.reply_ms, cost.help_ms, cost.aggregator_ms) > 0


@pytest.mark.parametrize("sealing", ENCRYPTED)
def test_sealed_round_that_does_not_add_up_raises_wrong_sum(federation, sealing, monkeypatch):
    opened = RoundArithmetic.open_sum

    def open_wrong(self: RoundArithmetic, *arguments: Any) -> Release:
        release = opened(self, *arguments)
        return replace(release, values=release.values + (np.arange(40) == 7))

    monkeypatch.setattr(RoundArithmetic, "open_sum", open_wrong)
    with pytest.raises(WrongSum, match="5 vectors of 40 values"):
        measure_sealed(federation, sealed_as(federation, sealing), Yardstick(), 1)


def test_padded_round_with_little_noise_may_be_off_by_its_errors_only(federation, monkeypatch):
    terms = sealed_as(federation, SealingKind.PADDED, variance=300)
    measure_sealed(federation, terms, Yardstick(), 1)
    monkeypatch.setattr(sealed_round, "_most_error", lambda *arguments: 0)
    with pytest.raises(WrongSum):
        measure_sealed(federation, terms, Yardstick(), 1)


def test_partial_decryptions_by_factors_are_those_of_the_shares(federation):
    dealing = load_dealing()
    ciphertexts = federation.sealing().check_ciphertexts(
        federation.contribution(federation.parties[0], bytes(32)).key_part
    )
    for share in dealing.shares:
        expected = threshold.partial_decrypt(dealing.key, share, ciphertexts)
        assert partials_by_factors(dealing.key, share, ciphertexts) == expected


def test_round_that_a_plan_has_is_accepted_by_those_who_check_it():
    federation = make_federation(10, 7)
    terms = min(planned_rounds(FULL["tree"], federation), key=lambda terms: terms.encoding.length)
    cost = measure_sealed(federation, terms, Yardstick(), 1)
    assert cost.helpers == 8
    assert min(cost.help_bytes, cost.request_bytes) > 0


def test_plain_round_sends_four_bytes_a_value_and_opens_nothing(federation):
    cost = measure_plain(federation.terms(40), 5, Yardstick(), 1)
    assert (cost.reply_bytes, cost.help_bytes, cost.request_bytes, cost.helpers) == (160, 0, 0, 0)


def test_plain_round_that_does_not_add_up_raises_wrong_sum(federation, monkeypatch):
    monkeypatch.setattr(PaddedSum, "add", lambda self, octets: None)
    with pytest.raises(WrongSum):
        measure_plain(federation.terms(40), 5, Yardstick(), 1)


def test_vectors_lie_in_the_range_of_their_terms_and_differ(federation):
    terms = federation.terms(40)
    lower, upper = terms.encoding.contribution_range(terms.noise)
    first, second = (vector_of(terms, number) for number in range(2))
    assert lower <= min(first.min(), second.min()) < max(first.max(), second.max()) <= upper
    assert not np.array_equal(first, second)


@pytest.mark.slow  # a key of 2048 bits
def test_naive_price_grows_with_values_and_has_half_a_kilobyte_each():
    price = NaivePrice.measure(2, Yardstick(), 1)
    assert price.sent_bytes == 512
    cost = price.of(1000, 10)
    assert cost.reply_bytes == 512_000
    assert cost.reply_ms == pytest.approx(1000 * price.encrypt_ms)
    assert cost.aggregator_ms == pytest.approx(1000 * (9 * price.add_ms + price.decrypt_ms))


def test_way_whose_library_is_missing_is_left_out_and_named(monkeypatch, federation):
    def missing(*arguments: object) -> None:
        raise ImportError

    monkeypatch.setattr(campaign, "paillier_steps", missing)
    monkeypatch.setattr(campaign, "make_federation", lambda *arguments: federation)
    monkeypatch.setattr(campaign, "planned_rounds", lambda *arguments: {federation.terms(): 2})
    said: list[str] = []
    rows = campaign.measure_all(campaign.QUICK_EFFORT, said.append)
    assert "phe" in said[0]
    assert [(row.model, row.way) for row in rows] == [
        (model, way) for model in MODELS for way in (Way.PLAIN, Way.PACKED, Way.PADDED)
    ]
    assert [row.way for row in rows if row.is_chosen] == [Way.PACKED] * 3


def test_committed_costs_are_of_the_rounds_that_the_plans_have_now():
    federation = make_federation(10, 7, 2048)
    rows = read_csv(RESULTS / "cost.csv", CostRow)
    assert len(rows) == 4 * len({(row.model, row.values) for row in rows})
    for model in MODELS:
        planned = {
            (terms.encoding.length, rounds, terms.sealing.value)
            for terms, rounds in planned_rounds(FULL[model], federation).items()
        }
        names = {Way.PACKED: "direct", Way.PADDED: "padded"}
        chosen = {(row.values, row.rounds, names[row.way]) for row in rows if row.model == model and row.is_chosen}
        assert chosen == planned


def test_table_marks_what_is_chosen_and_sums_mixed_choices():
    other = replace(ROW, way=Way.PADDED, is_chosen=False)
    later = replace(ROW, values=2200, rounds=1)
    mixed = [ROW, other, replace(later, is_chosen=False), replace(later, way=Way.PADDED)]
    text = "".join(cost_table(mixed))
    assert "packed Paillier (chosen in 3 of 4 rounds)" in text
    assert "padded (chosen in 1 of 4 rounds)" in text
    assert "each round as this system chooses" in text
    assert "31.2 ms" in text or "31.3 ms" in text
    assert "each round" not in "".join(cost_table([ROW, other]))
    assert "packed Paillier (chosen) |" in "".join(cost_table([ROW, other]))


def test_committed_costs_keep_the_ratios_that_the_document_reads_out_of_them():
    rows = read_csv(RESULTS / "cost.csv", CostRow)

    def total(model: str, way: Way, what: str) -> float:
        return sum(float(getattr(row, what)) for row in rows if row.model == model and row.way is way)

    def ratio(model: str, way: Way, other: Way, what: str) -> float:
        return total(model, way, what) / total(model, other, what)

    assert 1.05 < ratio("cnn", Way.PADDED, Way.PLAIN, "sent_bytes") < 1.2
    assert 3.5 < ratio("svm", Way.PADDED, Way.PLAIN, "sent_bytes") < 4
    assert ratio("svm", Way.NAIVE, Way.PACKED, "core_ms") > 60
    assert ratio("cnn", Way.NAIVE, Way.PACKED, "core_ms") > 100
    assert all(38 < ratio(model, Way.NAIVE, Way.PACKED, "sent_bytes") < 60 for model in MODELS)
    assert ratio("cnn", Way.NAIVE, Way.PADDED, "core_ms") > 2000
    assert 100 < ratio("cnn", Way.NAIVE, Way.PADDED, "sent_bytes") < 125
    assert ratio("cnn", Way.PACKED, Way.PADDED, "core_ms") > 10
