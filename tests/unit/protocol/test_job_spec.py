# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import copy
import datetime
import tomllib
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common import document
from coterie_common.errors import InvalidJob, MalformedMessage
from coterie_common.limits import JOB_SPEC_BYTES
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.protocol.job_spec import JobSpec, RoundSettings

TOML = """
name = "nursery-tree"
algorithm = "decision_tree"
dataset = "nursery"

[config]
max_depth = 3
purity = 0.950

[privacy]
epsilon = 1.0
delta = 1e-5

[rounds]
deadline_s = 30

[schema]
label = "class"
columns = [{ name = "class", levels = ["a", "b"] }, { name = "age", lower = 0.10, upper = 99 }]
"""

CANONICAL = (
    b'{"algorithm":"decision_tree","config":{"max_depth":3,"purity":"0.95"},"dataset":"nursery","name":"nursery-tree",'
    b'"privacy":{"delta":"0.00001","epsilon":"1","mechanism":"discrete-gaussian","placement":"distributed",'
    b'"unit":"record"},"rounds":{"deadline_s":30,"patience_s":10,"proposal_deadline_s":60,"quorum":null,'
    b'"timeout_s":3600},"schema":{"columns":[{"levels":["a","b"],"name":"class"},'
    b'{"lower":"0.1","name":"age","upper":99}],"label":"class"}}'
)

MISSING = object()


def table(path: str = "", value: Any = None) -> dict[str, Any]:
    """The table above, with another value at one place."""
    parsed = tomllib.loads(TOML, parse_float=Decimal)
    if path:
        *parents, last = path.split(".")
        place = parsed
        for name in parents:
            place = place[name]
        if value is MISSING:
            del place[last]
        else:
            place[last] = value
    return parsed


def test_specification_of_a_person_has_one_canonical_form():
    spec = JobSpec.from_table(table())
    assert spec.to_bytes() == CANONICAL
    assert JobSpec.from_bytes(CANONICAL) == spec
    assert JobSpec.from_bytes(CANONICAL).digest == spec.digest


def test_specification_has_defaults_for_what_is_left_out():
    short = table("config", MISSING)
    del short["rounds"]
    spec = JobSpec.from_table(short)
    assert spec.config == {}
    assert spec.rounds == RoundSettings(proposal_deadline_s=60, deadline_s=60, patience_s=10, timeout_s=3600)
    assert spec.rounds.quorum is None
    assert (spec.privacy.mechanism, spec.privacy.placement, spec.privacy.unit) == (
        Mechanism.DISCRETE_GAUSSIAN,
        Placement.DISTRIBUTED,
        Unit.RECORD,
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(("name", value) for value in ("", "A", "-a", "a-", "a" * 49, "a b", "a\n", "ä", 5, None, MISSING)),
        *(("algorithm", value) for value in ("", "9a", "A", "a" * 64, "a b", "a\n", 3, MISSING)),
        *(("dataset", value) for value in ("", "a/b", "../a", "a\n", None, MISSING)),
        *(("config", value) for value in ([1], 3, "max_depth = 3", None)),
        *(("config.purity", value) for value in (0.5, Decimal("nan"), Decimal("-inf"), Decimal("1e41"))),
        *(("config.purity", value) for value in (Decimal("1e-41"), Decimal("1." + "1" * 40), b"x", (1,), {1})),
        ("config.purity", datetime.date(2020, 1, 1)),
        ("schema", None),
        ("schema", MISSING),
        ("schema.label", 1.5),
        ("privacy", None),
        ("privacy", MISSING),
        *(("privacy.epsilon", value) for value in (Decimal(0), Decimal(-1), Decimal(1001), Decimal("nan"))),
        *(("privacy.epsilon", value) for value in (Decimal("snan"), Decimal("inf"), Decimal("1e-41"), 1.0, "x", "")),
        *(("privacy.epsilon", value) for value in ("1" * 200, True, None, MISSING)),
        *(("privacy.delta", value) for value in (Decimal("0.0101"), Decimal(-1), Decimal(0), Decimal("1e-41"), 0.1)),
        ("privacy.mechanism", "gaussian"),
        ("privacy.placement", "central"),
        ("privacy.unit", "household"),
        ("privacy.budget", 1),
        ("rounds", None),
        *(("rounds.deadline_s", value) for value in (0, -1, 86_401, "30", True, Decimal(30), 30.0)),
        *((f"rounds.{name}", 0) for name in ("timeout_s", "patience_s", "proposal_deadline_s", "quorum")),
        ("rounds.quorum", "3"),
        ("rounds.retries", 1),
        ("epsilon", 1),
    ],
)
def test_specification_with_bad_entry_raises_naming_the_key(path, value):
    with pytest.raises(InvalidJob) as refusal:
        JobSpec.from_table(table(path, value))
    assert refusal.value.code == "invalid-job"
    assert path in refusal.value.message


def test_specification_with_bad_entry_in_a_list_raises_naming_the_position():
    bad = table()
    bad["schema"]["columns"][1]["upper"] = 0.5
    with pytest.raises(InvalidJob, match=r"schema\.columns\.1\.upper"):
        JobSpec.from_table(bad)


def test_specification_with_several_bad_entries_names_each():
    bad = table("privacy.epsilon", Decimal(0))
    bad["rounds"]["deadline_s"] = 0
    with pytest.raises(InvalidJob, match=r"privacy\.epsilon.*rounds\.deadline_s"):
        JobSpec.from_table(bad)


def test_specification_that_leaves_nobody_out_has_the_bytes_that_it_had_before_there_was_such_an_entry():
    assert b"without" not in JobSpec.from_table(table()).to_bytes()
    left_out = JobSpec.from_table(table() | {"rounds": {"without": ["party-3", "party-1"]}})
    assert left_out.rounds.without == ("party-3", "party-1")
    assert JobSpec.from_bytes(left_out.to_bytes()) == left_out
    assert left_out.digest != JobSpec.from_table(table() | {"rounds": {"without": ["party-3"]}}).digest


@pytest.mark.parametrize("without", ["party-3", ["party-3", "party-3"], ["Party 3"], [3], [[]], {}])
def test_specification_that_leaves_out_what_is_no_list_of_ids_raises(without):
    with pytest.raises(InvalidJob, match=r"rounds\.without"):
        JobSpec.from_table(table() | {"rounds": {"without": without}})


def test_specification_with_laplace_noise_must_have_no_delta():
    laplace = table("privacy.mechanism", "discrete-laplace")
    with pytest.raises(InvalidJob, match=r"privacy\.delta must be 0"):
        JobSpec.from_table(laplace)
    laplace["privacy"]["delta"] = 0
    assert JobSpec.from_table(laplace).privacy.exact_delta == 0


def test_specification_without_noise_may_have_no_delta():
    silent = table("privacy.placement", "none")
    del silent["privacy"]["delta"]
    assert JobSpec.from_table(silent).privacy.placement is Placement.NONE


@pytest.mark.parametrize("value", ["\ud800", 10**5000], ids=["lone surrogate", "5000 digits"])
def test_specification_that_cannot_be_written_down_raises(value):
    with pytest.raises(InvalidJob):
        JobSpec.from_table(table("config.purity", value))


def test_specification_longer_than_the_limit_raises_with_the_limit():
    with pytest.raises(InvalidJob, match=str(JOB_SPEC_BYTES)):
        JobSpec.from_table(table("config.purity", "x" * JOB_SPEC_BYTES))


def test_specification_nested_too_deep_raises():
    nested: Any = 1
    for _ in range(2000):
        nested = [nested]
    with pytest.raises(InvalidJob, match="config is nested"):
        JobSpec.from_table(table("config.purity", nested))


exact = st.decimals(min_value=Decimal("1e-30"), max_value=1000, places=30).filter(bool)


@given(exact)
def test_decimals_stay_exact_through_bytes(value):
    spec = JobSpec.from_bytes(JobSpec.from_table(table("privacy.epsilon", value)).to_bytes())
    assert spec.privacy.exact_epsilon == Fraction(value)


@pytest.mark.parametrize("text", ["1e-40", "1E+3", "0.1000", "999.9999999999999999999999999999999999999", "7e-39"])
def test_decimals_at_the_edges_survive_the_round_trip(text):
    spec = JobSpec.from_table(table("privacy.epsilon", Decimal(text)))
    again = JobSpec.from_bytes(spec.to_bytes())
    assert again.to_bytes() == spec.to_bytes()
    assert again.privacy.exact_epsilon == Fraction(text)
    assert Decimal(again.privacy.epsilon_text) == Decimal(text)


def test_numbers_that_are_written_differently_have_the_same_bytes():
    spellings = ("0.00001", "1e-5", "1.0E-05", Decimal("0.000010"))
    assert len({JobSpec.from_table(table("privacy.delta", text)).to_bytes() for text in spellings}) == 1


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), plain, max_size=3))
def test_configuration_is_carried_as_it_is(config):
    spec = JobSpec.from_table(table("config", config))
    assert JobSpec.from_bytes(spec.to_bytes()).config == config


def change(edit: Any) -> bytes:
    parsed = document.decode(CANONICAL, "a specification", maximum=JOB_SPEC_BYTES)
    edit(parsed)
    return document.encode(parsed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"name"',
        b"\xff",
        CANONICAL[:-1],
        CANONICAL + b" ",
        CANONICAL.replace(b'"1"', b'"1.0"'),
        CANONICAL.replace(b'"1"', b"1"),
        CANONICAL.replace(b'"1"', b'" 1"'),
        CANONICAL.replace(b'"1"', b'"+1"'),
        CANONICAL.replace(b'"0.00001"', b'"1e-5"'),
        CANONICAL.replace(b":3,", b":3.0,"),
        CANONICAL.replace(b'"quorum":null,', b""),
        CANONICAL.replace(b'"name":"nursery-tree"', b'"name":"Nursery"'),
        CANONICAL.replace(b'"label":"class"', b'"label":0.5'),
        change(lambda spec: spec.update(extra=1)),
        change(lambda spec: spec.pop("schema")),
        change(lambda spec: spec.update(config="x" * JOB_SPEC_BYTES)),
    ],
    ids=lambda data: data[:24].decode("latin-1") + f"…{len(data)}",
)
def test_bytes_that_are_not_canonical_raise(data):
    assert data != CANONICAL
    with pytest.raises(MalformedMessage) as refusal:
        JobSpec.from_bytes(data)
    assert refusal.value.code == "malformed-message"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "other"),
        ("algorithm", "statistics"),
        ("dataset", "other"),
        ("config.max_depth", 4),
        ("privacy.epsilon", Decimal(2)),
        ("privacy.delta", Decimal("1e-6")),
        ("privacy.placement", "local"),
        ("rounds.quorum", 4),
        ("rounds.timeout_s", 5),
        ("schema.label", "age"),
    ],
)
def test_every_entry_changes_the_digest(path, value):
    assert JobSpec.from_table(table(path, value)).digest != JobSpec.from_table(table()).digest


def test_from_table_leaves_the_table_alone():
    given_table = table()
    before = copy.deepcopy(given_table)
    JobSpec.from_table(given_table)
    assert given_table == before
