# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Jobs, the privacy ledger, replies and opened transcripts of rounds, and salts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "party_0001"
down_revision = None

_JOB = ("founder", "job_id")
_ROUND = ("founder", "job_id", "number")


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "jobs",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("founder", sa.String(128), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("spec", sa.LargeBinary, nullable=False),
        sa.Column("terms", sa.LargeBinary, nullable=False),
        sa.Column("spec_digest", sa.LargeBinary, nullable=False),
        sa.Column("terms_digest", sa.LargeBinary, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.UniqueConstraint(*_JOB),
    )
    op.create_table(
        "ledger",
        *_key(),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("cost", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(_JOB, ["jobs.founder", "jobs.job_id"]),
    )
    op.create_index("ledger_of_dataset", "ledger", ["dataset"])
    op.create_table(
        "acceptances",
        *_key(),
        sa.Column("session_id", sa.LargeBinary, nullable=False),
        sa.Column("cohort", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(_ROUND, ["ledger.founder", "ledger.job_id", "ledger.number"]),
    )
    op.create_table(
        "replies",
        *_key(),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary),
        sa.ForeignKeyConstraint(_ROUND, ["acceptances.founder", "acceptances.job_id", "acceptances.number"]),
    )
    op.create_table(
        "transcripts",
        *_key(),
        sa.Column("session_id", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("total", sa.LargeBinary, nullable=False),
        sa.Column("contributors", sa.Integer, nullable=False),
    )
    op.create_table(
        "partials",
        *_key(),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(_ROUND, ["transcripts.founder", "transcripts.job_id", "transcripts.number"]),
    )
    op.create_table(
        "salts",
        sa.Column("dataset", sa.String(64), primary_key=True),
        sa.Column("salt", sa.LargeBinary, nullable=False),
    )


def _key() -> tuple[sa.Column[str], sa.Column[str], sa.Column[int]]:
    return (
        sa.Column("founder", sa.String(128), primary_key=True),
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    )
