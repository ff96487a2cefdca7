"""Standings (who leads, who led), replicates, stopping rules, constraints.

Revision: 0002, after 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

studies = sa.table("studies", sa.column("id"), sa.column("spec", sa.JSON()), sa.column("standing", sa.JSON()))
runs = sa.table(
    "runs",
    *map(
        sa.column,
        ("study_id", "number", "trial", "state", "kind", "fidelity", "value", "ended_event", "finished_at"),
    ),
)
incumbents = sa.table("incumbents", *map(sa.column, ("study_id", "place", "run", "event", "created_at")))


def upgrade() -> None:
    op.create_table(
        "incumbents",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id", "run"],
            ["runs.study_id", "runs.number"],
            name=op.f("fk_incumbents_study_id_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study_id", "place", name=op.f("pk_incumbents")),
    )
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.add_column(sa.Column("after_event", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("replicate", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("violation", sa.Float(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("stopped_by", sa.JSON(none_as_null=True), nullable=True))
        batch_op.drop_constraint(batch_op.f("uq_runs_study_id"), type_="unique")
        batch_op.create_unique_constraint(
            batch_op.f("uq_runs_study_id"), ["study_id", "trial", "bracket", "rung", "replicate"]
        )
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sources", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("standing", sa.JSON(none_as_null=True), nullable=True))
    _fill_standings(op.get_bind())


def _fill_standings(connection: sa.Connection) -> None:
    """Who led the studies that were there before: higher fidelities first, then better values, then earlier trials."""
    for study_id, spec in connection.execute(sa.select(studies.c.id, studies.c.spec)).all():
        name, direction = spec["metrics"][0]["name"], spec["metrics"][0]["direction"]
        succeeded = (runs.c.study_id == study_id) & (runs.c.state == "succeeded") & (runs.c.kind == "train")
        trace: list[tuple[tuple[float, float, int], sa.Row[Any]]] = []
        for run in connection.execute(sa.select(runs).where(succeeded).order_by(runs.c.ended_event)).all():
            rank = (-(run.fidelity or 0), -run.value if direction == "maximize" else run.value, run.trial)
            if not trace or rank < trace[-1][0]:
                trace.append((rank, run))
        for place, (_, run) in enumerate(trace):
            row = {"study_id": study_id, "place": place, "run": run.number, "event": run.ended_event}
            connection.execute(sa.insert(incumbents).values(**row, created_at=run.finished_at))
        if trace:
            run = trace[-1][1]
            standing = {"run": run.number, "metrics": {name: run.value}, "results": 1}
            standing |= {"confirmed": True, "feasible": True, "schedule": []}
            connection.execute(sa.update(studies).where(studies.c.id == study_id).values(standing=standing))


def downgrade() -> None:
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.drop_column("standing")
        batch_op.drop_column("sources")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_runs_study_id"), type_="unique")
        batch_op.create_unique_constraint(batch_op.f("uq_runs_study_id"), ["study_id", "trial", "bracket", "rung"])
        batch_op.drop_column("stopped_by")
        batch_op.drop_column("violation")
        batch_op.drop_column("replicate")
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.drop_column("after_event")
    op.drop_table("incumbents")
