# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Notes that only the steward reads: why jobs failed on the party's own data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "party_0004"
down_revision = "party_0003"


def upgrade() -> None:
    """Add the table; it begins empty."""
    op.create_table(
        "notes",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("founder", sa.String(128), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("founder", "job_id", "number"),
    )
