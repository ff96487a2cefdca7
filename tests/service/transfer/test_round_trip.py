"""What is exported is imported as it was, whatever is in it, and from one database to another."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.replay import Verified
from service.models import Artifact, Attempt, Run
from service.states import AttemptState, StudyState
from workers.protocol import FailureClass

Body = Callable[[bytes], list[Any]]
NewSite = Callable[..., Any]
ERROR = FailureClass.ERROR
CONFIG = {"x0": 1.0, "x1": 2.0, "kind": "=b", "size": 3}
TPE = {"name": "tpe", "startup": 4}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "random": {"algorithm": {"name": "random"}, "epochs": 9},
    "hyperband": {"algorithm": {"name": "hyperband"}, "epochs": 9},
    "asha": {"algorithm": {"name": "asha"}, "epochs": 9},
    "bohb": {"algorithm": {"name": "bohb"}, "epochs": 9},
    "pbt": {"algorithm": {"name": "pbt", "population": 4}, "epochs": 9},
    "tpe": {"algorithm": TPE},
    "stops": {"algorithm": {**TPE, "stop": {"rule": "median", "trials": 2, "grace": 1}}, "epochs": 9},
    "converges": {"algorithm": {"name": "random", "stop": {"rule": "patience", "reports": 2}}, "epochs": 9},
    "replicates": {"algorithm": TPE, "replicates": {"max": 2, "top": 2}},
    "several": {
        "algorithm": {"name": "nsga2", "population": 4},
        "metrics": [{"name": "loss", "direction": "minimize"}, {"name": "-extra", "direction": "maximize"}],
    },
    "constrained": {
        "algorithm": TPE,
        "metrics": [{"name": "loss", "direction": "minimize"}, {"name": "-extra", "at_most": 0.9}],
    },
}


@pytest.mark.parametrize("changes", ALGORITHMS.values(), ids=list(ALGORITHMS))
def test_a_study_is_imported_as_it_was_and_verifies(here: Any, there: Any, body: Body, changes: dict[str, Any]) -> None:
    here.create(**changes)
    here.play(rounds=3)
    here.amend(lambda amend: amend.enqueue([CONFIG, {**CONFIG, "size": 4}]))
    here.amend(lambda amend: amend.tell({**CONFIG, "size": 5}, {"loss": 0.5, "-extra": -0.0}, None, None))
    here.amend(lambda amend: amend.tell({**CONFIG, "size": 6}, None, None, "oom"))
    here.play(rounds=2)
    here.amend(lambda amend: amend.invalidate(2, "the data was wrong"))
    here.amend(lambda amend: amend.tell({**CONFIG, "size": 7}, {"loss": 0.25, "-extra": 0.5}, None, None))
    here.play()

    content = here.export()
    there.take_in(content)

    assert body(there.export()) == body(content)
    assert isinstance(here.verified(), Verified)
    assert there.verified() == here.verified()
    known, found = here.study(), there.study()
    for name in ("state", "reason", "counts", "trials", "fidelity", "last_event", "standing", "spec", "finished_at"):
        assert getattr(found, name) == getattr(known, name), name


def test_it_survives_the_way_to_postgresql_and_back(new_site: NewSite, body: Body) -> None:
    here, between, back = new_site("sqlite"), new_site("postgresql"), new_site("sqlite")
    here.create(epochs=9, algorithm={"name": "hyperband"})
    here.play(rounds=4)
    here.amend(lambda amend: amend.note("\N{SNOWMAN} \u2028 \U0001f600", 1))
    here.amend(
        lambda amend: amend.tell(CONFIG, {"loss": -0.0, "tiny": 5e-324, "large": 1.7976931348623157e308}, 3, None)
    )
    here.play()
    content = here.export()

    between.take_in(content)
    back.take_in(between.export())

    assert body(between.export()) == body(content)
    assert body(back.export()) == body(content)
    assert between.verified() == here.verified()


def test_what_other_studies_found_travels_with_it(here: Any, there: Any, body: Body) -> None:
    here.create(name="before")
    here.play("before")
    here.create(name="after", warm_start=["before"], seed=8)
    here.play("after")

    content = here.export("after")
    there.take_in(content, "other")

    name = [line["record"] for line in body(content)[1:]].index("study") + 1
    assert body(content)[name]["sources"][0]["study"] == "before"
    assert [{**line, "name": "other"} if number == name else line for number, line in enumerate(body(content))] == body(
        there.export("other")
    )
    assert there.verified("other") == here.verified("after")
    assert there.study("other").spec["derived"] == here.study("after").spec["derived"]


def test_a_study_without_anything_travels(here: Any, there: Any, body: Body) -> None:
    here.create()
    there.take_in(here.export())

    found = there.study()
    assert found.state == StudyState.PAUSED
    assert [line["type"] for line in body(there.export()) if line.get("record") == "event"] == [
        "study.created",
        "study.paused",
    ]
    assert found.standing is None


@pytest.mark.parametrize(
    "changes", [{}, {"epochs": 9, "algorithm": {"name": "hyperband"}}], ids=["random", "hyperband"]
)
def test_what_had_not_ended_is_paused_and_goes_on(
    here: Any, there: Any, new_site: NewSite, body: Body, changes: dict[str, Any]
) -> None:
    here.create(**changes)
    here.play(rounds=3)
    here.claim(3)  # and nothing comes of them

    there.take_in(here.export())

    paused = there.study()
    assert (paused.state, paused.reason) == (StudyState.PAUSED, "imported")
    assert paused.counts["pending"] == 3
    assert "running" not in paused.counts
    with there.database.session(write=False) as session:
        under_way = session.scalars(sa.select(Attempt).where(Attempt.ended_at.is_(None))).all()
        given_up = session.scalars(sa.select(Attempt).where(Attempt.state == AttemptState.SUPERSEDED)).all()
    assert not under_way
    assert len(given_up) == 3
    assert isinstance(there.verified(), Verified)

    further = new_site()  # as it is now, it does not change any more
    further.take_in(there.export())
    assert body(further.export()) == body(there.export())

    here.play()
    for site in (there, further):
        site.desk.act(site.desk.find(1, "s"), lambda work: work.events.move_study(work.study, StudyState.ACTIVE))
        site.play()
        assert site.study().standing == here.study().standing
        assert isinstance(site.verified(), Verified)


def test_no_secret_and_no_place_of_a_file_leaves(here: Any, there: Any, body: Body) -> None:
    study_id = here.create(epochs=9, algorithm={"name": "asha"})
    tokens = [attempt.token for attempt, _ in here.claim(3).attempts]
    kept = {0: "assay:artifacts/1/000000-1/c0ffee", 1: f"{study_id}/000001-1", 2: "s3://mine/checkpoint"}
    with here.database.session() as session:
        for run, reference in kept.items():
            row = session.get_one(Attempt, (study_id, run, 1))
            row.checkpoint, row.checkpoint_step = reference, 2.0
        file = {"study_id": study_id, "run": 0, "attempt": 1, "kind": "plot", "name": "loss.png", "bytes": 3}
        session.add(Artifact(**file, media_type="image/png", sha256="0" * 64, path="artifacts/1/000000-1/secret"))

    content = here.export()
    there.take_in(content)

    text = content.decode()
    assert not [word for word in (*tokens, "c0ffee", "000001-1", "secret") if word in text]
    with there.database.session(write=False) as session:
        attempts = session.scalars(sa.select(Attempt).order_by(Attempt.run)).all()
        (artifact,) = session.scalars(sa.select(Artifact)).all()
    assert [attempt.checkpoint for attempt in attempts] == [None, None, "s3://mine/checkpoint"]
    assert not {attempt.token for attempt in attempts} & set(tokens)
    assert (artifact.name, artifact.bytes) == ("loss.png", 3)
    assert artifact.path != "artifacts/1/000000-1/secret"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_is_not_finite_is_null(new_site: NewSite, body: Body, kind: str) -> None:
    site = new_site(kind)
    site.create()
    (attempt, _), *_ = site.claim(1).attempts
    found = {"loss": 1.0, "further": math.nan, "worse": math.inf}
    site.act(lambda external: external.complete(0, attempt.token, found, None, {}))

    (run,) = [line for line in body(site.export()) if line.get("record") == "run"]
    assert run["metrics"] == {"loss": 1.0, "further": None, "worse": None}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_late_word_that_is_not_finite_is_kept(new_site: NewSite, body: Body, kind: str) -> None:
    site = new_site(kind)
    site.create()
    (attempt, _), *_ = site.claim(1).attempts
    site.act(lambda external: site_gives_up(external, attempt.run))
    site.act(lambda external: external.complete(0, attempt.token, {"loss": math.nan}, None, {}))

    first, *_ = [line for line in body(site.export()) if line.get("record") == "attempt"]
    assert first["late"]["metrics"] == {"loss": None}


def site_gives_up(external: Any, run: int) -> None:
    external.outcomes.failed(external.outcomes.run(run), FailureClass.LOST, "it is gone")


def test_what_earlier_versions_stored_can_be_imported(here: Any, there: Any, body: Body) -> None:
    """On SQLite anything could be stored, also what PostgreSQL refuses."""
    here.create()
    here.play()
    with here.database.session() as session:
        failed = session.scalars(sa.select(Run).where(Run.state == "failed")).first()
        assert failed is not None
        failed.failure_message = "it said \0, and no more"
        succeeded = session.scalars(sa.select(Run).where(Run.state == "succeeded")).first()
        assert succeeded is not None
        succeeded.metrics = {**(succeeded.metrics or {}), "more": math.nan, "half \ud800": 1.0}

    there.take_in(here.export())

    runs = {line["number"]: line for line in body(there.export()) if line.get("record") == "run"}
    assert runs[failed.number]["failure_message"] == "it said \ufffd, and no more"
    assert runs[succeeded.number]["metrics"]["more"] is None
    assert runs[succeeded.number]["metrics"]["half \ufffd"] == 1.0


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metrics=st.dictionaries(TEXTS.filter(lambda name: name != "loss"), FLOATS, max_size=4),
    provenance=st.dictionaries(TEXTS, VALUES, max_size=3),
    text=TEXTS.filter(bool),
    message=TEXTS,
    losses=st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=4),
)
def test_odd_values_come_back_to_the_last_bit(
    new_site: NewSite,
    body: Body,
    metrics: dict[str, float],
    provenance: dict[str, Any],
    text: str,
    message: str,
    losses: list[float],
) -> None:
    here, there = new_site(), new_site()
    here.create(algorithm={"name": "random"}, budget={"max_runs": 4})
    here.amend(lambda amend: amend.note(text, None))
    for number, loss in enumerate(losses):
        (attempt, _), *_ = here.claim(1).attempts
        extra = {"provenance": provenance, "cost": {"cpu_seconds": abs(loss), "gpu_seconds": 0.0}}
        here.report(number, attempt.token, abs(loss), {**metrics, "loss": loss})
        if number % 2:
            here.act(lambda external, at=attempt, x=extra: external.fail(at.run, at.token, ERROR, message, message, x))
        else:
            found = {**metrics, "loss": loss}
            here.act(lambda external, at=attempt, x=extra, m=found: external.complete(at.run, at.token, m, None, x))
    here.desk.act(here.desk.find(1, "s"), lambda work: work.events.move_study(work.study, StudyState.PAUSED))

    content = here.export()
    there.take_in(content)

    # As text, for 1 and 1.0 are equal, and so are 0.0 and -0.0.
    assert [*map(json.dumps, body(there.export()))] == [*map(json.dumps, body(content))]
