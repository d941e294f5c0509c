# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Policies as a steward would write them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal

from coterie_party.policy.policy import DEFAULT_POLICY_TOML, Policy


@dataclass(frozen=True)
class FixedPolicy:
    """A policy that nobody edits."""

    policy: Policy

    def current(self) -> Policy:
        return self.policy


def policy_of(text: str = "") -> Policy:
    """The default policy with other entries."""
    default = tomllib.loads(DEFAULT_POLICY_TOML, parse_float=Decimal)
    return Policy.model_validate(default | tomllib.loads(text, parse_float=Decimal))
