# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Costs in the ledger as Gaussian pairs, the records that a line counts, and lines that come from other ledgers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from coterie_party.store.ledger.former_costs import renewed

revision = "party_0005"
down_revision = "party_0004"


def upgrade() -> None:
    """Add columns and a table, and restate past spending; all of it stays spent, for all records."""
    op.add_column("ledger", sa.Column("records", sa.String(16), nullable=False, server_default="all"))
    op.add_column("ledger", sa.Column("division", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "carried",
        sa.Column("founder", sa.String(128), primary_key=True),
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("accepted", sa.String(40), primary_key=True),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("cost", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("event", sa.LargeBinary),
        sa.Column("reserved_at", sa.DateTime(timezone=True)),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.Column("records", sa.String(16), nullable=False),
        sa.Column("division", sa.String(64), nullable=False),
    )
    op.create_index("carried_of_dataset", "carried", ["dataset"])
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT founder, job_id, number, cost, event FROM ledger ORDER BY founder, job_id, number")
    ).all()
    jobs: dict[tuple[str, str], list[sa.Row[tuple[str, str, int, bytes, bytes | None]]]] = {}
    for row in rows:
        jobs.setdefault((row.founder, row.job_id), []).append(row)
    for lines in jobs.values():
        for row, cost in zip(lines, renewed([(line.cost, line.event) for line in lines]), strict=True):
            connection.execute(
                sa.text(
                    "UPDATE ledger SET cost = :cost WHERE founder = :founder AND job_id = :job AND number = :number"
                ),
                {"cost": cost, "founder": row.founder, "job": row.job_id, "number": row.number},
            )
    # The cost of a waiting job is computed again when it is decided on.
    op.execute("UPDATE jobs SET cost = NULL")
