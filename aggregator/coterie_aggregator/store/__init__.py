# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Durable state of the aggregator."""

from coterie_aggregator.store.aggregator_store import AggregatorStore, StoredJob, StoredModel, StoredRound
from coterie_common.host.database import Migrations

MIGRATIONS = Migrations("coterie_aggregator.store.migrations")
"""The migrations by which ``open_database`` brings the aggregator's schema up to date."""

__all__ = ["MIGRATIONS", "AggregatorStore", "StoredJob", "StoredModel", "StoredRound"]
