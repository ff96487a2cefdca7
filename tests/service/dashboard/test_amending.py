"""What people change of a study in the dashboard: forms, what is wrong with them, and the marks that they leave."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.dashboard.configs import read_config
from service.database import Database
from service.models import Enqueued, Run
from service.repositories.dashboard import DashboardReads
from service.repositories.owned import Owned
from spaces.errors import InvalidInput

Browse = Callable[..., httpx.Response]
TextOf = Callable[[str], str]

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
GOOD = '{"x0": 1.5, "x1": 2.5}'


@pytest.fixture
def send(browse: Browse) -> Callable[..., httpx.Response]:
    """Sends a form of a page of the default project, as a browser does."""

    def post(path: str, **fields: str) -> httpx.Response:
        return browse(path, method="POST", data={"project": "default", **fields})

    return post


def test_a_config_is_enqueued(stage: Any, send: Any, text_of: TextOf, browse: Browse) -> None:
    assert "None." in text_of("/studies/s")
    answer = send("/studies/s/enqueued", config="x0: 1.5\nx1: 2.5")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/studies/s#enqueued")
    (wish,) = browse("/api/v1/studies/s/enqueued").json()["items"]
    assert wish["config"] == {"x0": 1.5, "x1": 2.5}
    assert "waiting" in text_of("/studies/s")
    assert browse("/api/v1/audit").json()["items"][0]["action"] == "trial.enqueue"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "is empty"),
        ("x0: [", "line:1:"),
        ("- 1", "a config is a mapping"),
        ("x0: 1\nx0: 2\nx1: 1", "stands here twice"),
        ('{"x0": 99, "x1": 1}', "<code>configs[0].x0</code>"),
        ("x0: &a 1\nx1: *a", "has an alias"),
        ("x0: 1\nx1: .nan", "is not a finite number"),
        ('x0: 1\nx1: "\\0"', "NUL"),
        ("x" * 20_001, "is longer than"),
        (HOSTILE, "a config is a mapping"),
    ],
)
def test_what_is_wrong_with_a_config_is_told_beside_it(
    stage: Any, send: Any, browse: Browse, config: str, message: str
) -> None:
    answer = send("/studies/s/enqueued", config=config)
    assert answer.status_code == 422
    (told,) = re.findall(r'<ul class="problems bad" id="enqueued-problems" role="alert">(.*?)</ul>', answer.text, re.S)
    assert message in told
    assert 'aria-describedby="enqueued-problems"' in answer.text
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text
    assert browse("/api/v1/studies/s/enqueued").json()["items"] == []


def test_what_was_typed_is_not_lost(stage: Any, send: Any) -> None:
    assert ">x0: 77\nx1: 1</textarea>" in send("/studies/s/enqueued", config="x0: 77\nx1: 1").text


@pytest.mark.parametrize(
    "text", ["{" * 5000, "[" * 9000, "a: " * 3000, "? " * 3000, "\ud800", "!!python/object:os.system {}"]
)
def test_no_text_breaks_the_reader_of_configs(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_config(text)


def test_nothing_is_enqueued_in_a_study_that_has_ended(stage: Any, send: Any, browse: Browse, text_of: TextOf) -> None:
    browse("/api/v1/studies/s/cancel", method="POST")
    assert '<textarea id="config"' not in text_of("/studies/s")
    answer = send("/studies/s/enqueued", config=GOOD)
    assert answer.status_code == 409
    assert "a final state" in answer.text
    assert "x0&#34;: 1.5" in answer.text, "what was typed"


def test_the_priority_is_changed(stage: Any, send: Any, browse: Browse, text_of: TextOf) -> None:
    assert send("/studies/s/priority", priority="-2").status_code == 303
    assert browse("/api/v1/studies/s").json()["priority"] == -2
    text = text_of("/studies/s")
    assert '<option value="-2" selected>-2 (1/4 share of the workers)</option>' in text
    assert "<dt>Priority</dt><dd>-2</dd>" in text
    for wrong in ("9", "much", "", "1.5"):
        answer = send("/studies/s/priority", priority=wrong)
        assert answer.status_code == 422
        assert 'id="priority-problems"' in answer.text
    assert browse("/api/v1/studies/s").json()["priority"] == -2


def test_notes_are_written_and_stay_words(stage: Any, send: Any, text_of: TextOf) -> None:
    stage.end(stage.start(0), 0.5)
    assert send("/studies/s/notes", text="first\r\nsecond").status_code == 303
    answer = send("/studies/s/trials/0/notes", text=HOSTILE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/studies/s/trials/0#notes")
    for path in ("/studies/s", "/studies/s/trials/0"):
        text = text_of(path)
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    assert "first\nsecond" in text_of("/studies/s")
    assert "first" not in text_of("/studies/s/trials/0"), "that is about the study"
    assert 'href="/studies/s/trials/0">trial 0</a>' in text_of("/studies/s")
    assert send("/studies/s/notes", text="").status_code == 422
    assert send("/studies/s/trials/7/notes", text="nobody").status_code == 404


def test_a_trial_is_invalidated_with_a_reason(stage: Any, send: Any, browse: Browse, text_of: TextOf) -> None:
    for trial, value in enumerate([0.5, 0.25]):
        stage.end(stage.start(trial), value)
    refused = send("/studies/s/trials/1/invalidate", reason="  ")
    assert refused.status_code == 422
    assert 'id="invalidate-problems"' in refused.text
    assert "<details open>" in refused.text
    assert browse("/api/v1/studies/s/best").json()["trial"] == 1

    assert send("/studies/s/trials/1/invalidate", reason=HOSTILE).status_code == 303
    assert browse("/api/v1/studies/s/best").json()["trial"] == 0
    page = text_of("/studies/s/trials/1")
    assert 'data-mark="invalidated"' in page
    assert "Invalidate trial 1" not in page
    table = text_of("/studies/s")
    assert 'data-trial="1" class="invalidated"' in table
    for text in (page, table):
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>alert" not in text
    chart = browse("/studies/s/charts/outcomes.json").json()["points"]
    assert dict(zip(chart["trial"], chart["mark"], strict=True)) == {0: None, 1: "invalidated"}


def test_told_and_enqueued_trials_are_marked(stage: Any, send: Any, browse: Browse, text_of: TextOf) -> None:
    told = {"config": {"x0": 1.0, "x1": 2.0}, "metrics": {"loss": 0.5}}
    assert browse("/api/v1/studies/s/trials", method="POST", json=told).status_code == 201
    assert 'data-mark="told"' in text_of("/studies/s/trials/0")
    assert 'data-mark="told"' in text_of("/studies/s")
    assert browse("/studies/s/charts/outcomes.json").json()["points"]["mark"] == ["told"]


def test_a_form_of_another_project_is_not_taken(stage: Any, browse: Browse) -> None:
    for fields in ({"project": "other"}, {}):
        answer = browse("/studies/s/notes", method="POST", data={**fields, "text": "lost"})
        assert answer.status_code == 409
        assert "another tab" in answer.text
    assert browse("/api/v1/studies/s/notes").json()["items"] == []


def test_another_site_sends_no_form(stage: Any, app: Any, send: Any, browse: Browse) -> None:
    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
            data = {"project": "default", "text": "forged"}
            return (await client.post("/studies/s/notes", data=data, headers=headers)).status_code

    assert asyncio.run(ask()) == 403
    assert browse("/api/v1/studies/s/notes").json()["items"] == []


def test_too_many_fields_are_refused(stage: Any, browse: Browse) -> None:
    answer = browse("/studies/s/notes", method="POST", data={f"f{n}": "x" for n in range(60)})
    assert answer.status_code == 400


def test_what_no_database_keeps_is_refused(stage: Any, send: Any, browse: Browse) -> None:
    assert send("/studies/s/notes", text="half\0note").status_code == 400
    assert browse("/api/v1/studies/s/notes").json()["items"] == []


def test_wishes_know_their_runs(database: Database, stage_on: Callable[..., Any]) -> None:
    """A few of many, newest first, each with the run that tries it."""
    stage = stage_on(database)
    stage.end(stage.start(0), 1.0)
    with database.session() as session:
        event = Owned(session).lock(stage.study_id).last_event
        session.add_all(
            Enqueued(study_id=stage.study_id, number=n, config={"x0": n, "x1": 1}, event=event, author="ada")
            for n in range(4)
        )
    for trial in (1, 2, 3):
        run = stage.start(trial)
        with database.session() as session:
            session.get_one(Run, (stage.study_id, run)).origin = {"rule": "enqueued", "number": trial - 1}
    with database.session(write=False) as session:
        wishes = DashboardReads(session, stage.study_id).wishes(3)
    assert [(wish.row.number, wish.run) for wish in wishes] == [(3, None), (2, 3), (1, 2)]
