"""The description of the API is complete, and its routes are what clients rely on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx
import jsonschema
import pytest

from search import ALGORITHMS, STOPPING_RULES, AlgorithmSpec, StopSpec
from search.options import read_options
from service.schemas import EXAMPLE_STUDY

ROUTES = {
    "DELETE /api/v1/datasets/{name}": "delete_dataset",
    "DELETE /api/v1/projects/{name}": "delete_project",
    "DELETE /api/v1/tokens/{token_id}": "revoke_token",
    "DELETE /api/v1/webhooks/{webhook_id}": "delete_webhook",
    "GET /api/v1/algorithms": "list_algorithms",
    "GET /api/v1/audit": "list_audit",
    "GET /api/v1/datasets": "list_datasets",
    "GET /api/v1/datasets/{name}": "get_dataset",
    "GET /api/v1/datasets/{name}/content": "download_dataset",
    "GET /api/v1/families": "list_families",
    "GET /api/v1/me": "get_me",
    "GET /api/v1/projects": "list_projects",
    "GET /api/v1/projects/{name}": "get_project",
    "GET /api/v1/projects/{name}/usage": "get_usage",
    "GET /api/v1/runs/{id}/checkpoint": "get_checkpoint",
    "GET /api/v1/stopping-rules": "list_stopping_rules",
    "GET /api/v1/studies": "list_studies",
    "GET /api/v1/studies/{name}": "get_study",
    "GET /api/v1/studies/{name}/artifacts": "list_artifacts",
    "GET /api/v1/studies/{name}/artifacts/{id}/content": "download_artifact",
    "GET /api/v1/studies/{name}/best": "get_best",
    "GET /api/v1/studies/{name}/cost": "get_cost",
    "GET /api/v1/studies/{name}/enqueued": "list_enqueued",
    "GET /api/v1/studies/{name}/events": "stream_events",
    "GET /api/v1/studies/{name}/export": "export_study",
    "GET /api/v1/studies/{name}/final": "get_final",
    "GET /api/v1/studies/{name}/front": "get_front",
    "GET /api/v1/studies/{name}/incumbents": "list_incumbents",
    "GET /api/v1/studies/{name}/jobs": "list_jobs",
    "GET /api/v1/studies/{name}/jobs/{number}": "get_job",
    "GET /api/v1/studies/{name}/jobs/{number}/model": "get_model",
    "GET /api/v1/studies/{name}/notes": "list_notes",
    "GET /api/v1/studies/{name}/reports": "list_reports",
    "GET /api/v1/studies/{name}/runs": "list_runs",
    "GET /api/v1/studies/{name}/runs/{number}": "get_run",
    "GET /api/v1/studies/{name}/runs/{number}/attempts": "list_attempts",
    "GET /api/v1/studies/{name}/runs/{number}/log": "read_log",
    "GET /api/v1/studies/{name}/trials": "list_trials",
    "GET /api/v1/studies/{name}/trials/{number}": "get_trial",
    "GET /api/v1/studies/{name}/trials/{number}/architecture": "get_architecture",
    "GET /api/v1/studies/{name}/trust": "get_trust",
    "GET /api/v1/tokens": "list_tokens",
    "GET /api/v1/webhooks": "list_webhooks",
    "GET /api/v1/webhooks/{webhook_id}": "get_webhook",
    "GET /api/v1/webhooks/{webhook_id}/deliveries": "list_deliveries",
    "GET /api/v1/webhooks/{webhook_id}/deliveries/{number}": "get_delivery",
    "GET /healthz": "get_health",
    "GET /metrics": "get_metrics",
    "GET /readyz": "get_readiness",
    "PATCH /api/v1/projects/{name}": "change_project",
    "PATCH /api/v1/studies/{name}": "change_study",
    "PATCH /api/v1/webhooks/{webhook_id}": "change_webhook",
    "POST /api/v1/datasets": "upload_dataset",
    "POST /api/v1/projects": "create_project",
    "POST /api/v1/runs/{id}/checkpoint": "save_checkpoint",
    "POST /api/v1/runs/{id}/complete": "complete_run",
    "POST /api/v1/runs/{id}/fail": "fail_run",
    "POST /api/v1/runs/{id}/infeasible": "reject_run",
    "POST /api/v1/runs/{id}/reports": "report_metrics",
    "POST /api/v1/studies": "create_study",
    "POST /api/v1/studies/import": "import_study",
    "POST /api/v1/studies/{name}/cancel": "cancel_study",
    "POST /api/v1/studies/{name}/claims": "claim_runs",
    "POST /api/v1/studies/{name}/enqueued": "enqueue_configs",
    "GET /api/v1/studies/{name}/proposal": "get_proposal",
    "POST /api/v1/studies/{name}/final/cancel": "cancel_finalization",
    "POST /api/v1/studies/{name}/finalize": "finalize_study",
    "POST /api/v1/studies/{name}/revise": "revise_study",
    "POST /api/v1/studies/{name}/notes": "write_note",
    "POST /api/v1/studies/{name}/pause": "pause_study",
    "POST /api/v1/studies/{name}/resume": "resume_study",
    "POST /api/v1/studies/{name}/trials": "add_trial",
    "POST /api/v1/studies/{name}/trials/{number}/invalidate": "invalidate_trial",
    "POST /api/v1/studies/{name}/verify": "verify_study",
    "POST /api/v1/tokens": "create_token",
    "POST /api/v1/webhooks": "create_webhook",
    "POST /api/v1/webhooks/{webhook_id}/deliveries/{number}/redeliver": "redeliver",
    "POST /api/v1/webhooks/{webhook_id}/test": "test_webhook",
    "PUT /api/v1/runs/{id}/artifacts/{filename}": "upload_artifact",
    "PUT /api/v1/runs/{id}/heartbeat": "beat",
}


PROBLEM, STALE = ({"$ref": f"#/components/schemas/{name}"} for name in ("Problem", "StaleAttempt"))


@pytest.fixture
def description(api: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = api.get("http://localhost/openapi.json").json()
    return answer


def operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_routes(description: dict[str, Any]) -> None:
    assert {route: operation["operationId"] for route, operation in operations(description)} == ROUTES


def test_every_operation_is_described(description: dict[str, Any]) -> None:
    for route, operation in operations(description):
        assert operation["summary"][0].isupper(), route
        assert len(operation["tags"]) == 1, route
        success = next(response for status, response in operation["responses"].items() if status < "400")
        assert ("content" in success) == ("204" not in operation["responses"]), route
        for content in success.get("content", {}).values():
            assert "schema" in content or "itemSchema" in content, route


def test_problems_are_described_as_problems(description: dict[str, Any]) -> None:
    for route, operation in operations(description):
        for status, response in operation["responses"].items():
            if status >= "400":
                (content,) = response["content"].items()
                assert content[0] == "application/problem+json", route
                kinds = content[1]["schema"].get("anyOf", [content[1]["schema"]])
                stale = [PROBLEM, STALE] if "/api/v1/runs/{id}/" in route and status == "409" else [PROBLEM]
                assert all(kind in stale for kind in kinds), route
    assert "HTTPValidationError" not in description["components"]["schemas"]


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            node = list(node.values())
        if isinstance(node, list):
            for item in node:
                yield from references(item)

    found = set(references(description))
    assert found
    for reference in found:
        target: Any = description
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def schema_of(description: dict[str, Any], name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": description["components"]}


def test_the_example_fits_its_schema(description: dict[str, Any]) -> None:
    schema = schema_of(description, "StudyCreate")

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(EXAMPLE_STUDY, schema)
    assert description["components"]["schemas"]["StudyCreate"]["examples"] == [EXAMPLE_STUDY]


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": {"name": "hyperband", "etaa": 3}},
        {"algorithm": {"name": "nobody"}},
        {"budget": {"max_run": 6}},
        {"metrics": []},
        {"metrics": [{"name": "loss", "direction": "max"}]},
        {"metrics": [{"name": "loss"}]},
        {"algorithm": {"name": "auto", "eta": 3}},
        {"algorithm": {"name": "random", "stop": {"rule": "medain"}}},
        {"algorithm": {"name": "random", "stop": {"rule": "median", "delta": 1}}},
        {"algorithm": {"name": "random", "stop": {"rule": "threshold"}}},
        {"algorithm": {"name": "random", "stop": {"rule": "curve", "probability": 2}}},
        {"algorithm": {"name": "dehb", "crossover": 2}},
        {"budget": {"max_runs": 10**9 + 1}},
        {"replicates": {"max": 1}},
        {"replicates": {"most": 3}},
        {"warm_start": "before"},
        {"warm_start": [{"study": "before"}]},
        {"warm_start": [f"s{number}" for number in range(11)]},
        {"parallelism": 10_001},
        {"name": "a/b"},
        {"parallelism": 0},
        {"surplus": 1},
    ],
    ids=str,
)
def test_what_the_service_refuses_does_not_fit_the_schema(description: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**EXAMPLE_STUDY, **change}, schema_of(description, "StudyCreate"))


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": None},
        {"algorithm": {"name": "auto"}},
        {"algorithm": {"name": "auto", "stop": {"rule": "patience", "reports": 3}}},
        {"algorithm": {"name": "random", "stop": None}},
        {"algorithm": {"name": "nsga2", "mutation": None}},
        {"metrics": [{"name": "a", "direction": "maximize"}, {"name": "b", "at_most": 5}]},
        {"replicates": {}},
        {"warm_start": ["before"]},
    ],
    ids=str,
)
def test_what_may_be_said_fits_the_schema(description: dict[str, Any], change: dict[str, Any]) -> None:
    jsonschema.validate({**EXAMPLE_STUDY, **change}, schema_of(description, "StudyCreate"))


def test_whole_numbers_may_have_a_fraction_of_zero(
    api: httpx.Client, description: dict[str, Any], study_payload: dict[str, Any]
) -> None:
    """JSON knows no integers, and its schemas take 4.0 for one."""
    whole = {"parallelism": 4.0, "seed": 7.0, "priority": 1.0, "retry": {"error": 2.0}}
    jsonschema.validate({**study_payload, **whole}, schema_of(description, "StudyCreate"))
    answer = api.post("studies", json={**study_payload, **whole})
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    assert (stored["parallelism"], stored["seed"], stored["priority"], stored["retry"]["error"]) == (4, 7, 1, 2)
    for key, value in (("parallelism", 4.5), ("seed", True), ("priority", "1"), ("seed", 2.0**53)):
        answer = api.post("studies", json={**study_payload, "name": "t", key: value})
        assert answer.status_code == 422, (key, value)
        assert answer.json()["errors"][0]["path"] == key
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**study_payload, key: value}, schema_of(description, "StudyCreate"))


@pytest.mark.parametrize("cursor", ["", "-1", "+1", " 1", "1.0", "1_0", "٣", "x", "null", "9" * 19])
def test_a_cursor_is_the_next_of_a_page(api: httpx.Client, description: dict[str, Any], cursor: str) -> None:
    for path in ("studies", "audit"):
        (described,) = (
            parameter["schema"]
            for parameter in description["paths"][f"/api/v1/{path}"]["get"]["parameters"]
            if parameter["name"] == "after"
        )
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(cursor, described)
        answer = api.get(path, params={"after": cursor})
        assert answer.status_code == 422
        assert [error["path"] for error in answer.json()["errors"]] == ["after"]


def test_streams_are_described_message_by_message(description: dict[str, Any]) -> None:
    for path, method in (("events", "get"), ("verify", "post")):
        answers = description["paths"][f"/api/v1/studies/{{name}}/{path}"][method]["responses"]
        assert set(answers["200"]["content"]["text/event-stream"]) == {"itemSchema"}
        assert set(answers["404"]["content"]) == {"application/problem+json"}


def test_every_algorithm_fits_its_schema_as_it_is_stored(description: dict[str, Any]) -> None:
    schema = jsonschema.Draft202012Validator(schema_of(description, "StudyCreate"))
    for algorithm, (rule, row) in product(ALGORITHMS, STOPPING_RULES.items()):
        needed = {option.name: 1 for option in row.options if option.required}
        stored = AlgorithmSpec(
            algorithm,
            read_options({}, ALGORITHMS[algorithm].options, (), []),
            StopSpec(rule, read_options(needed, row.options, (), [])),
            "because",
        )
        schema.validate({**EXAMPLE_STUDY, "algorithm": stored.to_json()})


ANSWERS = {
    "studies/s": "Study",
    "studies/s/best": "Best",
    "studies/s/trials/0": "Trial",
    "studies/s/runs/0": "Run",
    "studies": "Page_Study_",
    "studies/s/trials": "Page_Trial_",
    "studies/s/runs": "Page_Run_",
    "studies/s/reports": "Page_Report_",
    "studies/s/incumbents": "Listing_Incumbent_",
    "families": "Listing_Family_",
    "datasets": "DatasetPage",
    "algorithms": "Listing_AlgorithmRow_",
    "stopping-rules": "Listing_StoppingRuleRow_",
    "nowhere": "Problem",
}


def test_answers_fit_their_schema(api: httpx.Client, finished: str, description: dict[str, Any]) -> None:
    for path, name in ANSWERS.items():
        jsonschema.validate(api.get(path).json(), schema_of(description, name))
