"""The pages as they arrive, before any script has run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service.dashboard import charts, example
from service.dashboard.rendering import STATIC
from service.database import Database
from service.models import DEFAULT_PROJECT_ID
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.schemas import EXAMPLE_STUDY
from service.states import StudyState

Browse = Callable[..., httpx.Response]
TextOf = Callable[[str], str]

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Elements(HTMLParser):
    """All start tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def finish(database: Database, reason: str | None = None) -> None:
    with database.session() as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s", lock=True)
        Events(session).move_study(study, StudyState.COMPLETED, reason)


def test_without_studies_the_list_tells_how_to_begin(text_of: TextOf) -> None:
    text = text_of("/")
    assert "No studies yet" in text
    assert "curl http://localhost/api/v1/studies" in text
    assert "assay study create -f study.yaml" in text


def test_the_offered_study_is_one_that_the_api_takes(browse: Browse) -> None:
    assert json.loads(example.as_json()) == EXAMPLE_STUDY
    assert "'" not in example.as_json(), "it stands in single quotes of a shell"
    assert yaml.safe_load(example.as_yaml()) == EXAMPLE_STUDY
    answer = browse(
        "/api/v1/studies",
        method="POST",
        accept="application/json",
        json=json.loads(example.as_json()),
    )
    assert answer.status_code == 201, answer.text


def test_the_list_shows_what_a_study_has_come_to(stage: Any, text_of: TextOf) -> None:
    stage.end(stage.start(0), 0.25)
    stage.end(stage.start(1), None)
    text = text_of("/")
    for shown in ('href="/studies/s"', 'data-state="active"', "0.25", "function branin", "random", "1 failed"):
        assert shown in text
    assert re.search(r"2<span class=\"of\"> / 4</span>", text), "runs of the budget"


def test_a_long_list_has_pages(stage_on: Callable[..., Any], sqlite_database: Database, text_of: TextOf) -> None:
    for number in range(51):
        stage_on(sqlite_database, name=f"study-{number}")
    first = text_of("/")
    assert "/studies/study-50" in first
    assert '"/studies/study-0"' not in first
    (older,) = re.findall(r'href="(/\?after=\d+)" rel="next"', first)
    second = text_of(older)
    assert '"/studies/study-0"' in second
    assert "Newest" in second


def test_a_study_without_runs(stage: Any, text_of: TextOf) -> None:
    text = text_of("/studies/s")
    assert "No trials yet" in text
    assert "No result yet" in text
    assert 'data-action="pause"' in text
    assert 'data-action="cancel"' in text
    assert 'data-action="resume"' not in text


def test_a_study_shows_its_state_its_best_and_its_trials(
    stage: Any, sqlite_database: Database, text_of: TextOf
) -> None:
    stage.end(stage.start(0, x0=1.5, x1=2.0), 0.75)
    stage.end(stage.start(1, x0=-2.5, x1=3.0), 0.125)
    stage.end(stage.start(2), None, "RuntimeError: shapes do not fit")
    with sqlite_database.session() as session:
        runs = Runs(session)
        runs.add_evaluation(runs.get(stage.study_id, 1).run, {"loss": 0.1875})
    finish(sqlite_database, "budget: max_runs")
    text = text_of("/studies/s")
    assert 'data-state="completed"' in text
    assert "budget: max_runs" in text
    assert "data-action" not in text, "nothing can be done with a study that has ended"
    assert '<span class="figure">0.125</span>' in text
    assert "<b>0.1875</b> loss" in text
    assert "On the test split" in text
    assert "X0=-2.5\nX1=3.0</pre>" in text, "the config to source in a shell"
    assert "sampler random" in text, "why this point"
    assert "RuntimeError: shapes do not fit" in text
    assert text.count("<tbody id=") == 3


def test_an_inactive_parameter_is_an_empty_cell(
    stage_on: Callable[..., Any], sqlite_database: Database, text_of: TextOf, study_payload: dict[str, Any]
) -> None:
    extra = {"name": "flag", "type": "bool", "when": {"parameter": "x0", "gt": 0}}
    space = {"parameters": [*study_payload["space"]["parameters"], extra]}
    stage = stage_on(sqlite_database, space=space)
    stage.start(0, x0=-1.0, x1=2.0)
    stage.start(1, x0=1.0, x1=2.0, flag=False)
    cells = re.findall(r'<td class="text">(.*?)</td>', text_of("/studies/s"))
    assert cells == ["false", ""]


@pytest.mark.parametrize("part", ["", "/parts/trials", "/parts/overview"])
def test_hostile_words_stay_words(
    stage_on: Callable[..., Any], sqlite_database: Database, text_of: TextOf, part: str
) -> None:
    space = {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
            {"name": HOSTILE, "type": "categorical", "choices": [HOSTILE, "b"]},
        ]
    }
    stage = stage_on(sqlite_database, space=space)
    stage.end(stage.start(0, **{"x0": 1.0, "x1": 1.0, HOSTILE: HOSTILE}), 0.5)
    stage.end(stage.start(1, **{"x0": 1.0, "x1": 1.0, HOSTILE: HOSTILE}), None, HOSTILE)
    with sqlite_database.session() as session:
        Studies(session, DEFAULT_PROJECT_ID).get("s").waiting = HOSTILE
    text = text_of(f"/studies/s{part}")
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text
    assert "<img src=x" not in text


def test_a_hostile_name_stays_a_name(stage: Any, sqlite_database: Database, text_of: TextOf, browse: Browse) -> None:
    # The API refuses such names; the pages do not rely on it.
    with sqlite_database.session() as session:
        Studies(session, DEFAULT_PROJECT_ID).get("s").name = "a?<script>alert(1)</script>&"
    text = text_of("/")
    assert "<script>alert(1)" not in text
    (link,) = re.findall(r'href="(/studies/[^"]+)"', text)
    assert "%3Cscript%3E" in link
    missing = browse("/studies/<script>alert(1)<%2Fscript>")
    assert missing.status_code == 404
    assert "<script>alert(1)" not in missing.text


@pytest.mark.parametrize(
    "path",
    ["/studies/t", "/nowhere", "/studies/s?sort=sideways", "/studies/s?after=x", "/studies/s?after=0~~9999999999"],
)
def test_people_get_a_page_that_says_what_is_missing(stage: Any, browse: Browse, path: str) -> None:
    answer = browse(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "Not here" in answer.text
    assert 'href="/"' in answer.text


@pytest.mark.parametrize(
    ("path", "accept"),
    [("/api/v1/studies/t", "text/html"), ("/api/v1/nowhere", "text/html"), ("/nowhere", "application/json")],
)
def test_programs_get_a_problem(browse: Browse, path: str, accept: str) -> None:
    answer = browse(path, accept=accept)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_is_no_missing_page(browse: Browse) -> None:
    assert browse("/studies/s", method="DELETE").status_code == 405


@pytest.mark.parametrize("path", ["/", "/studies/s", "/nowhere"])
def test_pages_run_nothing_inline_and_load_nothing_from_elsewhere(stage: Any, browse: Browse, path: str) -> None:
    stage.end(stage.start(0), 0.5)
    answer = browse(path)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    for tag, attributes in Elements(answer.text).found:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "script":
            assert attributes.get("src"), "a script without a file"
        for name in ("src", "href", "data-url", "data-events"):
            address = attributes.get(name)
            assert address is None or address.startswith(("/", "#")), f"{address} leaves the origin"
            assert not (address or "").startswith("//")


@pytest.mark.parametrize("path", ["/", "/studies/s", "/nowhere"])
def test_every_file_that_a_page_names_is_served(stage: Any, browse: Browse, path: str) -> None:
    named = set(re.findall(r'"(/static/[^"]+)"', browse(path).text))
    assert named
    for file in named:
        answer = browse(file)
        assert answer.status_code == 200, file
        assert answer.headers["cache-control"] == "no-cache"


def test_modules_import_files_that_exist() -> None:
    for module in (STATIC / "js").glob("*.js"):
        for name in re.findall(r'from "(\./[^"]+)"', module.read_text()):
            assert (module.parent / name).is_file(), f"{module.name} imports {name}"


def test_vendored_files_are_the_recorded_ones() -> None:
    vendor = STATIC / "vendor"
    recorded = dict(re.findall(r"\| `(\S+)` \|.*\| `([0-9a-f]{64})` \|", (vendor / "VERSIONS.md").read_text()))
    files = {path for path in vendor.rglob("*") if path.suffix in (".js", ".css")}
    assert {str(path.relative_to(vendor)) for path in files} == set(recorded)
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == recorded[str(path.relative_to(vendor))]
        assert (path.parent / "LICENSE").is_file()


@pytest.mark.usefixtures("small_pages")
def test_the_table_turns_pages_and_keeps_its_order(stage: Any, text_of: TextOf) -> None:
    for trial in range(7):
        stage.end(stage.start(trial), float(trial % 4))
    seen: list[int] = []
    path = "/studies/s?sort=best"
    while path:
        text = text_of(path)
        seen += [int(number) for number in re.findall(r'<tbody id="trial-(\d+)"', text)]
        following = re.findall(r'<a href="([^"]+)#trials"[^>]*>Next page</a>', text)
        path = following[0].replace("&amp;", "&") if following else ""
    assert seen == [0, 4, 1, 5, 2, 6, 3]


def test_the_outcomes_chart_has_its_columns(
    stage_on: Callable[..., Any],
    sqlite_database: Database,
    browse: Browse,
    study_payload: dict[str, Any],
) -> None:
    space = {**study_payload["space"], "fidelity": {"name": "epochs", "low": 1, "high": 9}}
    stage = stage_on(sqlite_database, space=space)
    for trial, (fidelity, value) in enumerate([(1, 0.5), (1, None), (1, 0.7), (3, 0.6)]):
        stage.end(stage.start(trial, fidelity=fidelity), value)
    found = browse("/studies/s/charts/outcomes.json").json()
    assert (found["metric"], found["maximize"], found["fidelity"], found["finished"]) == ("loss", False, "epochs", 4)
    assert found["points"]["order"] == [1, 3, 4]
    assert found["points"]["value"] == [0.5, 0.7, 0.6]
    assert found["points"]["fidelity"] == [1, 1, 3]
    assert found["points"]["seconds"] == sorted(found["points"]["seconds"])
    assert found["incumbents"] == [0, 3], "a higher fidelity takes the lead, whatever its value"


def test_the_curves_chart_is_bounded_and_ends_with_the_best(
    stage: Any, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "MAX_CURVES", 4)
    monkeypatch.setattr(charts, "MAX_RUNNING", 2)
    for trial in range(5):
        run = stage.start(trial)
        stage.report(run, s1=float(trial + 1))
        stage.end(run, float(trial + 1))
    for trial in range(5, 8):
        stage.report(stage.start(trial), s1=9.0)
    found = browse("/studies/s/charts/curves.json").json()
    assert [curve["trial"] for curve in found["curves"]] == [1, 6, 7, 0]
    assert (found["best"], found["running"], found["trials"], found["limit"]) == (0, [7, 6], 8, 4)


def test_charts_of_an_empty_study_are_empty(stage: Any, browse: Browse) -> None:
    assert browse("/studies/s/charts/outcomes.json").json()["points"]["value"] == []
    curves = browse("/studies/s/charts/curves.json").json()
    assert (curves["curves"], curves["best"], curves["step"]) == ([], None, "step")


def test_the_style_sheet_has_every_colour_in_light_and_dark() -> None:
    style = Path(STATIC / "assay.css").read_text()
    light, dark = (set(re.findall(r"--([a-z0-9-]+): #", block)) for block in style.split("@media", 2)[:2])
    assert light == dark
    assert set(re.findall(r"var\(--([a-z0-9-]+)\)", style)) <= light | {"radius", "space", "mono", "mark", "op"}


def test_what_is_hardly_meant_and_why_auto_chose_is_told_folded(
    sqlite_database: Database, stage_on: Callable[..., Any], text_of: TextOf
) -> None:
    space = {
        "parameters": [
            {"name": "x0", "type": "float", "low": 0.001, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
        ]
    }
    stage_on(sqlite_database, space=space, algorithm={"name": "auto"}, replicates={})

    text = text_of("/studies/s")

    assert [attributes for tag, attributes in Elements(text).found if tag == "details"] == [
        {"class": "card remarks", "id": "remarks"}
    ]
    assert "2 remarks on this study" in text
    assert "auto chose" in text
    assert "space.parameters[0].log" in text
    assert "linear over 4.0 decades" in text
    assert "3 runs of the 5 best" in text


def test_a_study_without_remarks_shows_none(stage: Any, text_of: TextOf) -> None:
    assert "<details" not in text_of("/studies/s")


def test_the_studies_that_one_started_from_are_linked(
    sqlite_database: Database, stage: Any, stage_on: Callable[..., Any], text_of: TextOf
) -> None:
    finish(sqlite_database)
    stage_on(sqlite_database, name="t", warm_start=["s"])

    assert '<a href="/studies/s">s</a> <span class="of">0 configs</span>' in text_of("/studies/t")


TWO = {
    "space": {"parameters": [{"name": f"x{i}", "type": "float", "low": 0, "high": 5} for i in range(2)]},
    "objective": {"type": "function", "function": "binh-korn"},
    "metrics": [
        {"name": "f1", "direction": "minimize"},
        {"name": "f2", "direction": "minimize"},
        {"name": "g1", "at_most": 25},
    ],
    "algorithm": {"name": "nsga2"},
}


def test_several_objectives_have_a_front(
    browse: Callable[..., httpx.Response],
    text_of: Callable[[str], str],
    stage_on: Callable[..., Any],
    sqlite_database: Database,
) -> None:
    stage = stage_on(sqlite_database, **TWO)
    assert browse("/studies/s/charts/front.json").json()["results"] == 0
    results = [(1.0, 4.0, 0.0), (2.0, 2.0, 25.0), (3.0, 3.0, 1.0), (0.5, 0.5, 26.0)]
    for trial, (f1, f2, g1) in enumerate(results):
        stage.end(stage.start(trial), f1, f1=f1, f2=f2, g1=g1)

    chart = browse("/studies/s/charts/front.json").json()
    by_trial = dict(zip(chart["trial"], zip(chart["front"], chart["feasible"], strict=True), strict=True))
    assert by_trial == {0: (True, True), 1: (True, True), 2: (False, True), 3: (False, False)}
    assert chart["objectives"] == [{"name": "f1", "maximize": False}, {"name": "f2", "maximize": False}]
    assert sorted(chart["values"]["f2"]) == [0.5, 2.0, 3.0, 4.0]
    assert chart["hypervolume"] > 0
    page = text_of("/studies/s")
    assert 'data-url="/studies/s/charts/front.json"' in page
    assert "g1 ≤ 25" in page
    assert "front" not in text_of("/").lower()


def test_one_objective_has_no_front(text_of: Callable[[str], str], stage: Any) -> None:
    stage.end(stage.start(0), 1.0)
    assert "front.json" not in text_of("/studies/s")
