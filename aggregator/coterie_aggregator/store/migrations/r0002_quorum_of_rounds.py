# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The quorum of each round, which its query names: until now that of its job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "aggregator_0002"
down_revision = "aggregator_0001"


def upgrade() -> None:
    """Add a column; it stays empty for rounds of the job's own quorum."""
    op.add_column("rounds", sa.Column("quorum", sa.Integer))
