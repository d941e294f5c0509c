# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steward's decisions on single jobs, times of decisions and reservations, and the events behind ledger lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "party_0002"
down_revision = "party_0001"


def upgrade() -> None:
    """Add columns and a table; what was committed before counts from now on in every period."""
    time = sa.DateTime(timezone=True)
    for table, column in (
        ("jobs", sa.Column("cost", sa.LargeBinary)),
        ("jobs", sa.Column("proposed_at", time)),
        ("jobs", sa.Column("decided_at", time)),
        ("ledger", sa.Column("event", sa.LargeBinary)),
        ("ledger", sa.Column("reserved_at", time)),
        ("ledger", sa.Column("settled_at", time)),
    ):
        op.add_column(table, column)
    # It was spent no later than now, so a period that counts it from now on never counts it too short.
    op.execute("UPDATE ledger SET settled_at = CURRENT_TIMESTAMP WHERE status = 'committed'")
    op.create_table(
        "rulings",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("founder", sa.String(128), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("approved", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("said_at", time, nullable=False),
        sa.ForeignKeyConstraint(("founder", "job_id"), ["jobs.founder", "jobs.job_id"]),
    )
    op.create_index("rulings_on_job", "rulings", ["founder", "job_id"])
