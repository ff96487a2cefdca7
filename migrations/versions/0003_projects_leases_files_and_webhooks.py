"""Projects, tokens, leases, datasets, artifacts, webhooks, notes; what studies have used is kept with them.

Revision: 0003, after 0002
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

projects = sa.table("projects", sa.column("name"), sa.column("created_at", sa.DateTime(timezone=True)))
studies = sa.table("studies", *map(sa.column, ("id", "trials", "fidelity")), sa.column("counts", sa.JSON()))
runs = sa.table("runs", *map(sa.column, ("study_id", "number", "trial", "state", "fidelity", "resume_from")))


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("ix_audit_project_id", ["project_id", "id"], unique=False)

    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("max_runs", sa.Integer(), nullable=True),
        sa.Column("max_gpus", sa.Float(), nullable=True),
        sa.Column("max_studies", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_datasets_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_datasets_project_id")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_idempotency_keys_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "key", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_keys_created_at"), ["created_at"], unique=False)

    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("handle", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=128), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_tokens_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("handle", name=op.f("uq_tokens_handle")),
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tokens_project_id"), ["project_id"], unique=False)

    op.create_table(
        "webhooks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(length=128), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.String(length=128), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_webhooks_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    with op.batch_alter_table("webhooks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_webhooks_project_id"), ["project_id"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(length=128), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_deliveries_webhook_id_webhooks"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index("ix_deliveries_state", ["state", "due_at"], unique=False)
        batch_op.create_index("ix_deliveries_webhook_id", ["webhook_id"], unique=False)

    op.create_table(
        "enqueued",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_enqueued_study_id_studies"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", "number", name=op.f("pk_enqueued")),
    )
    op.create_table(
        "notes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=True),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_notes_study_id_studies"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
    )
    with op.batch_alter_table("notes", schema=None) as batch_op:
        batch_op.create_index("ix_notes_study_id", ["study_id", "trial"], unique=False)

    op.create_table(
        "artifacts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("media_type", sa.String(length=128), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id", "run"],
            ["runs.study_id", "runs.number"],
            name=op.f("fk_artifacts_study_id_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("study_id", "run", "attempt", "name", name=op.f("uq_artifacts_study_id")),
    )
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.create_index("ix_artifacts_study_id", ["study_id", "id"], unique=False)

    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lease_seconds", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("lease_expires", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("checkpoint", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("checkpoint_step", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("message", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("late", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("provenance", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("cpu_seconds", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("gpu_seconds", sa.Float(), nullable=True))
        batch_op.create_index(
            "ix_attempts_open",
            ["study_id", "ended_at", "run"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(
            "ix_attempts_lost",
            ["study_id", "ended_at"],
            unique=False,
            sqlite_where=sa.text("state = 'lost'"),
            postgresql_where=sa.text("state = 'lost'"),
        )

    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reports_study_id"))
        batch_op.create_index("ix_reports_study_id", ["study_id", "id"], unique=False)
        batch_op.create_index("ix_reports_after_event", ["study_id", "after_event"], unique=False)

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index("ix_runs_ended_event", ["study_id", "ended_event"], unique=False)
        batch_op.create_index("ix_runs_state_number", ["study_id", "state", "number"], unique=False)
        batch_op.create_index("ix_runs_state_trial", ["study_id", "state", "trial"], unique=False)
        batch_op.create_index("ix_runs_value", ["study_id", "violation", "value", "trial"], unique=False)
        batch_op.create_index(
            "ix_runs_checkpoint",
            ["study_id", "state", "fidelity"],
            unique=False,
            sqlite_where=sa.text("checkpoint IS NOT NULL"),
            postgresql_where=sa.text("checkpoint IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_runs_resume_from",
            ["study_id", "resume_from"],
            unique=False,
            sqlite_where=sa.text("resume_from IS NOT NULL"),
            postgresql_where=sa.text("resume_from IS NOT NULL"),
        )

    op.execute(sa.insert(projects).values(name="default", created_at=datetime.now(UTC)))
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.add_column(sa.Column("project_id", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("counts", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("trials", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("fidelity", sa.Float(), nullable=False, server_default="0"))
        batch_op.drop_constraint(batch_op.f("uq_studies_name"), type_="unique")
        batch_op.create_unique_constraint(batch_op.f("uq_studies_project_id"), ["project_id", "name"])
        batch_op.create_foreign_key(batch_op.f("fk_studies_project_id_projects"), "projects", ["project_id"], ["id"])

    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.add_column(sa.Column("invalidated", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("invalidated_event", sa.Integer(), nullable=True))
        batch_op.create_index(
            "ix_trials_invalidated",
            ["study_id", "invalidated_event"],
            unique=False,
            sqlite_where=sa.text("invalidated_event IS NOT NULL"),
            postgresql_where=sa.text("invalidated_event IS NOT NULL"),
        )
    _count(op.get_bind())


def _count(connection: sa.Connection) -> None:
    """What the studies that were there before have used up."""
    resumed = runs.alias()
    goes_on = (resumed.c.study_id == runs.c.study_id) & (resumed.c.number == runs.c.resume_from)
    used = sa.func.coalesce(runs.c.fidelity, 1) - sa.func.coalesce(resumed.c.fidelity, 0)
    for study_id in connection.scalars(sa.select(studies.c.id)).all():
        mine = runs.c.study_id == study_id
        states = sa.select(runs.c.state, sa.func.count()).where(mine).group_by(runs.c.state)
        counts = {row[0]: row[1] for row in connection.execute(states)}
        sums = sa.select(sa.func.count(runs.c.trial.distinct()), sa.func.coalesce(sa.func.sum(used), 0))
        trials, fidelity = connection.execute(sums.select_from(runs.outerjoin(resumed, goes_on)).where(mine)).one()
        values = {"counts": counts, "trials": trials, "fidelity": fidelity}
        connection.execute(sa.update(studies).where(studies.c.id == study_id).values(**values))


def downgrade() -> None:
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.drop_index("ix_trials_invalidated")
        batch_op.drop_column("invalidated_event")
        batch_op.drop_column("invalidated")

    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_studies_project_id_projects"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("uq_studies_project_id"), type_="unique")
        batch_op.create_unique_constraint(batch_op.f("uq_studies_name"), ["name"])
        batch_op.drop_column("fidelity")
        batch_op.drop_column("trials")
        batch_op.drop_column("counts")
        batch_op.drop_column("priority")
        batch_op.drop_column("project_id")

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index("ix_runs_resume_from")
        batch_op.drop_index("ix_runs_checkpoint")
        batch_op.drop_index("ix_runs_value")
        batch_op.drop_index("ix_runs_state_trial")
        batch_op.drop_index("ix_runs_state_number")
        batch_op.drop_index("ix_runs_ended_event")
        batch_op.drop_column("not_before")

    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.drop_index("ix_reports_after_event")
        batch_op.drop_index("ix_reports_study_id")
        batch_op.create_index(batch_op.f("ix_reports_study_id"), ["study_id"], unique=False)

    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_attempts_lost", sqlite_where=sa.text("state = 'lost'"), postgresql_where=sa.text("state = 'lost'")
        )
        batch_op.drop_index(
            "ix_attempts_open", sqlite_where=sa.text("ended_at IS NULL"), postgresql_where=sa.text("ended_at IS NULL")
        )
        batch_op.drop_column("gpu_seconds")
        batch_op.drop_column("cpu_seconds")
        batch_op.drop_column("provenance")
        batch_op.drop_column("late")
        batch_op.drop_column("message")
        batch_op.drop_column("checkpoint_step")
        batch_op.drop_column("checkpoint")
        batch_op.drop_column("lease_expires")
        batch_op.drop_column("lease_seconds")

    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.drop_index("ix_artifacts_study_id")

    op.drop_table("artifacts")
    with op.batch_alter_table("notes", schema=None) as batch_op:
        batch_op.drop_index("ix_notes_study_id")

    op.drop_table("notes")
    op.drop_table("enqueued")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index("ix_deliveries_webhook_id")
        batch_op.drop_index("ix_deliveries_state")

    op.drop_table("deliveries")
    with op.batch_alter_table("webhooks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_webhooks_project_id"))

    op.drop_table("webhooks")
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tokens_project_id"))

    op.drop_table("tokens")
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_keys_created_at"))

    op.drop_table("idempotency_keys")
    op.drop_table("datasets")
    op.drop_table("projects")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_project_id")

    op.drop_table("audit")
