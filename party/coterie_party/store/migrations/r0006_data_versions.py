# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The version of each data set's file when a job was last accepted: rows that moved may have changed sides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "party_0006"
down_revision = "party_0005"


def upgrade() -> None:
    """Add a table; it begins empty, so existing lines count on both sides."""
    op.create_table(
        "data_versions",
        sa.Column("dataset", sa.String(64), primary_key=True),
        sa.Column("generation", sa.String(64), nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
    )
