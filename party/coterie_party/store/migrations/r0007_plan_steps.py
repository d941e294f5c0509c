# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The step of the plan that a round asks: its number until now, since every step was asked once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "party_0007"
down_revision = "party_0006"


def upgrade() -> None:
    """Add a table and a column, filled for the rounds so far."""
    op.create_table(
        "asked_steps",
        sa.Column("founder", sa.String(128), primary_key=True),
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.UniqueConstraint("founder", "job_id", "line"),
        sa.ForeignKeyConstraint(
            ["founder", "job_id", "number"], ["acceptances.founder", "acceptances.job_id", "acceptances.number"]
        ),
        sa.ForeignKeyConstraint(["founder", "job_id", "line"], ["ledger.founder", "ledger.job_id", "ledger.number"]),
    )
    op.execute(
        "INSERT INTO asked_steps (founder, job_id, number, step, line) "
        "SELECT founder, job_id, number, number, number FROM acceptances"
    )
    op.add_column("transcripts", sa.Column("step", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE transcripts SET step = number")
