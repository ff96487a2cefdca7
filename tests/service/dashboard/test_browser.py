"""A study in a real browser: it grows while somebody looks, and it can be steered."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.checkpoints import Checkpoints
from service.database import Database
from service.dispatcher import Dispatcher
from workers.pools.local import LocalPool

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome is installed"),
]

HOSTILE = "<img src=x onerror=alert(1)>"
LIVE: dict[str, Any] = {
    "space": {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
            {"name": "kind", "type": "categorical", "choices": [HOSTILE, "plain"]},
        ],
        "fidelity": {"name": "epochs", "low": 1, "high": 9},
    },
    "objective": {"type": "function", "function": "branin", "seconds_per_step": 0.05, "failure_rate": 0.2},
    "algorithm": {"name": "hyperband", "eta": 3},
    "budget": {"max_runs": 2000},
}


CELL_EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
ONE_SHOT: dict[str, Any] = {
    "space": {"parameters": [{"name": "cell", "type": "cell", "preset": "nas-bench-201"}]},
    "objective": {"type": "train", "family": "cell", "dataset": "digits", "epochs": 1},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "algorithm": {"name": "darts", "epochs": 3, "retrain": 2, "trusted": 0},
    "budget": {},
    "checks": False,
}


DESCENT: dict[str, Any] = {
    "space": {
        "parameters": [
            {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True, "default": 1e-3},
        ]
    },
    "objective": {"type": "train", "family": "mlp", "dataset": "wine", "epochs": 2},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "algorithm": {"name": "hypergradient", "epochs": 2},
    "budget": {},
    "checks": False,
}


@pytest.fixture
def work(sqlite_database: Database, tmp_path: Path) -> Iterator[None]:
    """Two workers carry out whatever is stored."""
    stopping = threading.Event()
    pool = LocalPool(2)
    dispatcher = Dispatcher(sqlite_database, pool, Checkpoints(tmp_path / "checkpoints"), exclusive=True)
    thread = threading.Thread(target=dispatcher.run, args=(stopping,), daemon=True)
    thread.start()
    yield
    stopping.set()
    thread.join(30)
    pool.shutdown()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any, server: Any) -> Iterator[Any]:
    """A tab that must end without an error on its console and without a request to anywhere else."""
    context = chromium.new_context(base_url=server.url)
    page = context.new_page()
    page.set_default_timeout(30_000)
    troubles: list[str] = []
    loads: list[str] = []
    page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(f"a dialog: {dialog.message}"))
    page.on("request", lambda request: None if request.url.startswith(server.url) else troubles.append(request.url))
    page.on("load", lambda: loads.append(page.url))
    page.troubles, page.loads = troubles, loads
    yield page
    context.close()
    assert troubles == []


def inked(page: Any, chart: str) -> int:
    """How many pixels of the chart's canvas are in the colour of the incumbent."""
    return int(
        page.evaluate(
            """(selector) => {
                const canvas = document.querySelector(selector + " canvas");
                if (!canvas) return 0;
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                let count = 0;
                for (let i = 0; i < data.length; i += 4) {
                    if (data[i] === 0xd9 && data[i + 1] === 0x48 && data[i + 2] === 0x0f) count += 1;
                }
                return count;
            }""",
            chart,
        )
    )


def wait_for(page: Any, condition: Callable[[], object]) -> None:
    for _ in range(300):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not happen within 30 s")


def newest(page: Any) -> int:
    return int(page.locator("#trials tbody").first.get_attribute("data-trial"))


@pytest.mark.usefixtures("work")
def test_a_running_study_grows_and_can_be_paused(
    tab: Any, stage_on: Callable[..., Any], sqlite_database: Database
) -> None:
    stage_on(sqlite_database, **LIVE)
    tab.goto("/studies/s")
    wait_for(tab, lambda: inked(tab, "#outcomes") > 0 and inked(tab, "#curves") > 0)
    first = newest(tab)
    tab.locator(f"#trial-{first} button.expand").click()
    wait_for(tab, lambda: newest(tab) > first + 2)
    assert tab.locator(f"#detail-{first}").is_visible(), "what was opened stays open while the table grows"
    assert len(tab.loads) == 1, "nothing of this took a reload"
    assert "Trial" in tab.locator("#trials").inner_text()

    tab.get_by_role("button", name="Pause").click()
    playwright.expect(tab.locator(".heading .badge")).to_have_text("paused")
    tab.get_by_role("button", name="Resume").click()
    playwright.expect(tab.locator(".heading .badge")).to_have_text("active")

    tab.get_by_role("button", name="Cancel…").click()
    tab.get_by_role("button", name="Keep it").click()
    playwright.expect(tab.locator(".heading .badge")).to_have_text("active")
    tab.get_by_role("button", name="Cancel…").click()
    tab.get_by_role("button", name="Cancel the study").click()
    playwright.expect(tab.locator(".heading .badge")).to_have_text("cancelled")
    assert len(tab.loads) == 1


@pytest.mark.usefixtures("work")
def test_the_list_grows_while_somebody_looks(tab: Any, server: Any, study_payload: dict[str, Any]) -> None:
    tab.goto("/")
    playwright.expect(tab.get_by_text("No studies yet")).to_be_visible()
    httpx.post(f"{server.url}/api/v1/studies", json={**study_payload, "name": "fresh"}).raise_for_status()
    playwright.expect(tab.get_by_role("link", name="fresh")).to_be_visible()
    playwright.expect(tab.locator("#studies .badge")).to_have_text("completed")
    assert len(tab.loads) == 1


@pytest.mark.usefixtures("work")
def test_the_proposed_range_becomes_a_study_and_a_finalization_is_cancelled(
    tab: Any, server: Any, stage_on: Callable[..., Any], sqlite_database: Database
) -> None:
    stage_on(
        sqlite_database,
        space={"parameters": [{"name": "lr", "type": "float", "low": 1e-5, "high": 1e-3, "log": True}]},
        objective={"type": "train", "family": "mlp", "dataset": "digits", "epochs": 40},
        metrics=[{"name": "val_accuracy", "direction": "maximize"}],
        checks={"overfit": False},
        budget={"max_runs": 2},
    )
    tab.goto("/studies/s")
    playwright.expect(tab.locator(".heading .badge")).to_have_text("completed", timeout=60_000)
    tab.get_by_label("Confirm the best").fill("2")
    tab.get_by_label("with trainings each").fill("50")
    tab.get_by_role("button", name="Finalize").click()
    playwright.expect(tab.locator("#final .badge")).to_have_text("running")
    playwright.expect(tab.get_by_text("of 100 trainings and reports have ended")).to_be_visible()
    tab.get_by_role("button", name="Cancel the finalization").click()
    playwright.expect(tab.locator("#final .badge")).to_have_text("cancelled")
    playwright.expect(tab.get_by_role("button", name="Finalize")).to_be_visible()

    shown = tab.get_by_role("form", name="Search the proposed range")
    bounds = re.search(r"lr 1e-05 to 0.001 → (\S+) to (\S+)", shown.inner_text().replace("\n", " "))
    assert bounds, shown.inner_text()
    shown.get_by_label("Name").fill("s")
    shown.get_by_role("button", name="Search this range").click()
    playwright.expect(tab.get_by_text("exists already")).to_be_visible()
    shown.get_by_label("Name").fill("in-range")
    shown.get_by_role("button", name="Search this range").click()
    playwright.expect(tab).to_have_url(re.compile(r"/studies/in-range$"))
    made = httpx.get(f"{server.url}/api/v1/studies/in-range").json()["space"]["parameters"][0]
    assert (made["low"], made["high"]) == (float(bounds[1]), float(bounds[2]))
    tab.troubles[:] = [one for one in tab.troubles if "409" not in one]  # the console tells of the taken name


def test_the_table_is_ordered_and_filtered_in_place(tab: Any, stage: Any) -> None:
    for trial, value in enumerate([0.5, None, 0.25]):
        stage.end(stage.start(trial), value)
    tab.goto("/studies/s")
    tab.get_by_role("link", name="loss").click()
    playwright.expect(tab.locator("#trials tbody").first).to_have_id("trial-2")
    playwright.expect(tab).to_have_url(re.compile(r"\?sort=best$"))
    assert tab.locator("#trials th[aria-sort=ascending]").inner_text().startswith("loss")
    tab.get_by_role("navigation", name="Trials by state").get_by_role("link", name="failed").click()
    playwright.expect(tab.locator("#trials tbody")).to_have_count(1)
    tab.get_by_role("button", name="Trial 1: details").press("Enter")
    playwright.expect(tab.get_by_text("it broke")).to_be_visible()
    assert len(tab.loads) == 1
    tab.go_back()
    playwright.expect(tab.locator("#trials tbody")).to_have_count(3)


def test_pointing_at_a_row_brings_out_its_curve(tab: Any, stage: Any) -> None:
    for trial in range(3):
        run = stage.start(trial)
        stage.report(run, s1=0.9, s2=0.5 + trial / 10, s3=0.4 + trial / 10)
        stage.end(run, 0.4 + trial / 10)
    tab.goto("/studies/s")
    wait_for(tab, lambda: inked(tab, "#curves") > 0)
    strong = inked(tab, "#curves")
    tab.locator("#trial-1 td").first.hover()
    wait_for(tab, lambda: inked(tab, "#curves") < strong)
    playwright.expect(tab.locator("#trial-1")).to_have_class(re.compile("focused"))


def test_the_front_of_several_objectives(tab: Any, stage_on: Callable[..., Any], sqlite_database: Database) -> None:
    stage = stage_on(
        sqlite_database,
        objective={"type": "function", "function": "binh-korn"},
        metrics=[{"name": name, "direction": "minimize"} for name in ("f1", "f2", "g1")],
        algorithm={"name": "nsga2"},
    )
    for trial, (f1, f2, g1) in enumerate([(1.0, 4.0, 0.5), (2.0, 2.0, 0.25), (3.0, 3.0, 1.0)]):
        stage.end(stage.start(trial), f1, f1=f1, f2=f2, g1=g1)
    tab.goto("/studies/s")
    wait_for(tab, lambda: inked(tab, "#front") > 0)
    playwright.expect(tab.locator("#front-note")).to_contain_text("f2 ↓ over f1 ↓")
    tab.get_by_label("Vertical axis").select_option("g1")
    playwright.expect(tab.locator("#front-note")).to_contain_text("g1 ↓ over f1 ↓")
    box = tab.locator("#front .u-over").bounding_box()
    for x in range(0, int(box["width"]), 8):  # along the lower edge, where the least g1 is
        tab.mouse.move(box["x"] + x, box["y"] + box["height"] - 6)
        if tab.locator("#front .tip").is_visible():
            break
    playwright.expect(tab.locator("#front .tip")).to_contain_text("trial 1, run 1")
    playwright.expect(tab.locator("#trial-1")).to_have_class(re.compile("focused"))


def supernets_report(epoch: int) -> dict[str, float]:
    """Every edge of a cell leans to skips, more and more."""
    skip = 0.2 + epoch / 10
    others = ("none", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    weights = {f"weight.cell.{edge}.{op}": (1 - skip) / 4 for edge in CELL_EDGES for op in others}
    weights |= {f"weight.cell.{edge}.skip_connect": skip for edge in CELL_EDGES}
    return {"val_accuracy": 0.2 + epoch / 20, "skips.cell": 6.0, **weights}


def test_a_supernet_is_followed_while_it_is_trained(
    tab: Any, create: Callable[..., int], pool: Any, turn: Callable[[], None]
) -> None:
    create(**ONE_SHOT)
    turn()
    supernet = pool.first
    tab.goto("/studies/s")
    playwright.expect(tab.get_by_text("The first epoch is under way")).to_be_visible()
    tab.wait_for_function("document.querySelector('#connection').hidden")
    pool.report(supernet, 1, **supernets_report(1))
    turn()
    playwright.expect(tab.locator(".weights")).to_have_count(len(CELL_EDGES))
    playwright.expect(tab.locator(".caution")).to_contain_text("collapsing to skips")
    playwright.expect(tab.get_by_role("img", name="cell: input to 1 by skip_connect")).to_be_visible()
    pool.report(supernet, 2, **supernets_report(2))
    turn()
    playwright.expect(tab.locator(".edges p").first).to_contain_text("skip_connect 0.4")
    tab.get_by_text("Genotype by epoch").click()
    playwright.expect(tab.locator("#genotypes tbody th")).to_have_text("1–2")
    ranking = [
        {"config": {f"cell.{edge}": op for edge in CELL_EDGES}, "score": score}
        for op, score in (("nor_conv_3x3", 0.5), ("nor_conv_1x1", 0.25))
    ]
    pool.finish(supernet, details={"ranking": ranking}, val_accuracy=0.5)
    turn()
    turn()
    playwright.expect(tab.locator("#trust [data-verdict]")).to_have_text("unknown")
    pool.finish(pool.first, val_accuracy=0.875)
    turn()
    playwright.expect(tab.locator("#architecture-title")).to_contain_text("of the best trial, 1")
    playwright.expect(tab.locator("#trust tbody tr").first).to_contain_text("0.875")
    assert tab.locator("#genotypes").get_attribute("open") is not None, "what was opened stays open"
    assert len(tab.loads) == 1
    for width in (360, 1440):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_hyperparameters_are_followed_while_they_descend(
    tab: Any, create: Callable[..., int], pool: Any, turn: Callable[[], None]
) -> None:
    create(**DESCENT)
    turn()
    first = pool.first
    tab.goto("/studies/s")
    playwright.expect(tab.locator("#descent")).to_contain_text("The first epoch is under way")
    tab.wait_for_function("document.querySelector('#connection').hidden")
    drawn = tab.get_by_role("img", name="weight_decay from 0.001 to")
    # the dashboard reads a report every two seconds at most
    for epoch, decay in enumerate((0.01, 0.1), 1):
        pool.report(first, epoch, **{"hyper.weight_decay": decay, "held_loss": 1 / epoch, "val_accuracy": 0.5})
        turn()
        playwright.expect(drawn.locator("polyline")).to_have_attribute("points", re.compile(rf"( [\d.,]+){{{epoch}}}$"))
    playwright.expect(drawn).to_have_attribute("aria-label", "weight_decay from 0.001 to 0.1")
    playwright.expect(tab.locator("[data-line=held]").first).to_contain_text("held loss 0.5")
    place = {"config": {"weight_decay": 0.1}, "score": 1.0, "epoch": 2}
    pool.finish(first, details={"ranking": [place]}, val_accuracy=0.5)
    turn()
    turn()
    pool.finish(pool.first, val_accuracy=0.875)
    turn()
    playwright.expect(tab.locator("#places tbody tr")).to_contain_text("0.875")
    (dot,) = drawn.locator("path").all()
    box, around = dot.bounding_box(), drawn.bounding_box()
    assert box["y"] < around["y"] + 8, "at the upper end of its range"
    assert box["x"] + box["width"] > around["x"] + around["width"] - 12, "at the end of its path"
    assert len(tab.loads) == 1
    for width in (360, 1440):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_the_best_config_is_copied(tab: Any, stage: Any) -> None:
    stage.end(stage.start(0, x0=1.5, x1=2.0), 0.75)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto("/studies/s")
    tab.get_by_role("button", name="Copy env").click()
    playwright.expect(tab.get_by_role("button", name="Copied")).to_be_visible()
    assert tab.evaluate("navigator.clipboard.readText()") == "X0=1.5\nX1=2.0"


def test_a_lost_service_is_told_and_the_page_comes_back(tab: Any, stage: Any, app: FastAPI) -> None:
    tab.goto("/studies/s")
    tab.wait_for_function("document.querySelector('#connection').hidden")
    tab.context.set_offline(True)
    app.state.closing.set()
    playwright.expect(tab.get_by_text("Reconnecting…")).to_be_visible()
    app.state.closing.clear()
    stage.end(stage.start(0), 0.5)
    tab.context.set_offline(False)
    playwright.expect(tab.get_by_text("Reconnecting…")).to_be_hidden()
    playwright.expect(tab.locator("#trial-0")).to_be_visible()
    # The browser itself notes every attempt that found nobody.
    tab.troubles[:] = [line for line in tab.troubles if "ERR_INTERNET_DISCONNECTED" not in line]


def test_an_action_that_is_too_late_says_why(tab: Any, stage: Any, server: Any) -> None:
    tab.route(
        re.compile(r"/events\?after"), lambda route: route.abort()
    )  # so that the page does not learn of it before
    tab.goto("/studies/s")
    httpx.post(f"{server.url}/api/v1/studies/s/cancel").raise_for_status()
    tab.get_by_role("button", name="Pause").click()
    playwright.expect(tab.get_by_role("alert")).to_contain_text("cannot become paused")
    playwright.expect(tab.locator(".heading .badge")).to_have_text("cancelled")
    # The browser itself notes the refusal and the streams that were cut.
    tab.troubles[:] = [line for line in tab.troubles if not line.startswith("Failed to load resource")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_no_page_is_wider_than_the_screen(chromium: Any, server: Any, stage: Any, width: int, scheme: str) -> None:
    stage.end(stage.start(0), 0.5)
    context = chromium.new_context(base_url=server.url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    for path in (
        *("/", "/studies/s", "/studies/s/trials/0", "/studies/s/runs/0"),
        *("/workers", "/tokens", "/projects", "/audit", "/nowhere"),
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_a_trial_is_invalidated_and_marked(tab: Any, stage: Any) -> None:
    for trial, value in enumerate([0.5, 0.25]):
        stage.end(stage.start(trial), value)
    tab.goto("/studies/s/trials/1")
    tab.get_by_text("Invalidate this trial…").click()
    tab.get_by_label("Why?").fill(HOSTILE)
    tab.get_by_role("button", name="Invalidate trial 1").click()
    playwright.expect(tab.locator(".heading .mark")).to_have_text("invalidated")
    playwright.expect(tab.get_by_text(f"Invalidated by local: {HOSTILE}")).to_be_visible()
    tab.get_by_role("link", name="s", exact=True).click()
    playwright.expect(tab.locator("#trial-1 .mark")).to_have_text("invalidated")
    playwright.expect(tab.locator("#outcomes-legend")).to_contain_text("invalidated")
    playwright.expect(tab.locator(".best .figure")).to_have_text("0.5")


def test_a_config_is_enqueued_and_what_is_wrong_is_told_in_place(tab: Any, stage: Any) -> None:
    tab.goto("/studies/s")
    tab.get_by_label("Config to try").fill("x0: 99\nx1: 1")
    tab.get_by_role("button", name="Enqueue").click()
    playwright.expect(tab.locator("#enqueued-problems")).to_contain_text("configs[0].x0")
    playwright.expect(tab.get_by_label("Config to try")).to_be_focused()
    tab.get_by_label("Config to try").fill("x0: 9\nx1: 1")
    tab.get_by_role("button", name="Enqueue").click()
    playwright.expect(tab.locator("#enqueued")).to_contain_text("waiting")
    tab.get_by_label("New note").fill(HOSTILE)
    tab.get_by_role("button", name="Add note").click()
    playwright.expect(tab.locator("#notes .text")).to_have_text(HOSTILE)
    tab.get_by_label("Priority").select_option("2")
    tab.get_by_role("button", name="Change").click()
    playwright.expect(tab.get_by_label("Priority")).to_have_value("2")
    # The browser itself notes the refusal.
    tab.troubles[:] = [line for line in tab.troubles if "422" not in line]


def test_the_workers_come_and_go_while_somebody_looks(tab: Any, server: Any, study_payload: dict[str, Any]) -> None:
    api = httpx.Client(base_url=f"{server.url}/api/v1")
    api.post("/studies", json={**study_payload, "objective": {"type": "external"}}).raise_for_status()
    tab.goto("/workers")
    playwright.expect(tab.get_by_text("Nobody has a run")).to_be_visible()
    claim = api.post("/studies/s/claims", json={"worker": HOSTILE}).raise_for_status()
    playwright.expect(tab.get_by_role("rowheader", name=HOSTILE)).to_be_visible()
    tab.get_by_role("row").filter(has_text=HOSTILE).get_by_role("link", name="0").first.click()
    playwright.expect(tab.locator("#run .heading .badge")).to_have_text("running")
    tab.wait_for_load_state()
    loads = len(tab.loads)
    (assignment,) = claim.json()["assignments"]
    body = {"token": assignment["token"], "metrics": {"loss": 0.5}}
    api.post(f"/runs/{assignment['id']}/complete", json=body).raise_for_status()
    playwright.expect(tab.locator("#run .heading .badge")).to_have_text("succeeded")
    assert len(tab.loads) == loads, "nothing of this took a reload"


def test_a_token_is_made_and_revoked(tab: Any) -> None:
    tab.goto("/tokens")
    tab.get_by_label("Name").fill(HOSTILE)
    tab.get_by_label("write").check()
    tab.get_by_role("button", name="Create").click()
    playwright.expect(tab.locator("#secret")).to_have_text(re.compile("^assay_"))
    tab.goto("/tokens")
    assert tab.locator("#secret").count() == 0
    tab.get_by_text("Revoke…").click()
    tab.get_by_role("button", name="Revoke the token").click()
    playwright.expect(tab.locator("#tokens .mark")).to_have_text("revoked")


def test_without_scripts_the_study_is_all_there(chromium: Any, server: Any, stage: Any) -> None:
    stage.end(stage.start(0), 0.5)
    context = chromium.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/studies/s")
    assert page.get_by_text("sampler random").is_visible(), "details that a script would unfold"
    playwright.expect(page.locator("#outcomes noscript")).to_be_visible()
    assert not page.get_by_role("button", name="Pause").is_visible()
    page.get_by_role("navigation", name="Trials by state").get_by_role("link", name="failed").click()
    assert page.get_by_text("No trial is failed").is_visible()
    context.close()


def test_the_api_page_is_served_from_here(tab: Any, server: Any) -> None:
    tab.goto(f"{server.url}/docs")
    tab.get_by_text("/api/v1/studies/{name}/best").wait_for()
