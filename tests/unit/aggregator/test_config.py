# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest

from coterie_aggregator.home.config import AggregatorConfig
from coterie_common.errors import ConfigurationError
from coterie_common.strict_model import parse


def test_people_who_are_denied_are_named_by_role_and_id():
    config = parse(AggregatorConfig, {"id": "aggregator", "denied": ["scientist/anna", "operator/olga"]}, "the file")
    assert config.denied == ("scientist/anna", "operator/olga")


@pytest.mark.parametrize("entry", ["anna", "party/p1", "aggregator/a", "scientist/", "scientist/Anna", "", 7])
def test_entry_that_names_no_person_raises_and_says_which(entry):
    with pytest.raises(ConfigurationError, match="denied"):
        parse(AggregatorConfig, {"id": "aggregator", "denied": ["scientist/anna", entry]}, "the file")


@pytest.mark.parametrize(
    "ports",
    [{"enrolment": "0.0.0.0:8443"}, {"listen": "0.0.0.0:8444"}, {"listen": "hub:9443", "enrolment": "hub:9443"}],
)
def test_one_port_for_members_and_applicants_is_refused(ports):
    with pytest.raises(ConfigurationError, match="listen and enrolment must be two ports"):
        parse(AggregatorConfig, {"id": "aggregator", **ports}, "the file")


def test_ports_that_the_system_chooses_are_two():
    parse(AggregatorConfig, {"id": "aggregator", "listen": "localhost:0", "enrolment": "localhost:0"}, "the file")
