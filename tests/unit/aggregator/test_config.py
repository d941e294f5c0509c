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
