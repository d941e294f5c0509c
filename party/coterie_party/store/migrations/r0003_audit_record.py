# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The audit record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "party_0003"
down_revision = "party_0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "audit",
        sa.Column("founder", sa.String(128), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
    )
    op.create_index("audit_of_job", "audit", ["founder", "job_id", "kind"])
