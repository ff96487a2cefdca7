"""The API against its own description: whatever the description lets one think of is sent to every operation, right and
wrong, and every answer must be one that the description knows.

`ASSAY_FUZZ_EXAMPLES` says how many random requests each operation gets beside the systematic ones.
"""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st

from service.auth.callers import Scope
from tests.fuzz.mutations import examples
from tests.fuzz.site import HELD, SECRETS, Site, run_ids

EXAMPLES = examples(5)
BASE = "http://localhost"
pytestmark = [pytest.mark.slow, pytest.mark.computes, pytest.mark.timeout(600 + 10 * EXAMPLES)]

KNOWN: dict[tuple[str, str], list[Any]] = {
    ("/studies/", "name"): ["ext", "pooled", "done", "paused", "cancelled", "untouched"],
    ("/datasets/", "name"): ["table", "digits"],
    ("/projects/", "name"): ["default", "empty", "other"],
    ("/tokens/", "token_id"): [1, 2],
    ("/webhooks/", "webhook_id"): [1, 2],
    ("/webhooks/", "number"): [1, 2, 3],
    ("/artifacts/", "id"): [1, 2],
    ("/runs/", "number"): [0, 1, 2, 4, 5],
    ("/trials/", "number"): [0, 1, 4],
}
"""What there is at a site, by a part of the path and the parameter's name."""

MEANING_IS_CHECKED = [
    "create_study",
    "add_trial",
    "enqueue_configs",
    "upload_dataset",
    "create_webhook",
    "change_webhook",
    "create_token",
    "import_study",
    "claim_runs",
    "upload_artifact",
    "save_checkpoint",
    "revise_study",
]
"""What these take cannot all be said by a schema: they may refuse what fits it."""

CONFIG: dict[str, Any] = {
    "seed": 1,
    "generation": {"deterministic": True, "max-examples": EXAMPLES, "database": "none", "allow-x00": False},
    "request-timeout": 120,
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 413, 503]},
        "negative_data_rejection": {"expected-statuses": ["4xx"]},
    },
    "operations": [
        {
            "include-operation-id": MEANING_IS_CHECKED,
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 413, 422, 503]},
            },
        },
        {
            # Another route answers GET there: a study may be called `import`.
            "include-operation-id": "import_study",
            "checks": {"allow_header_conformance": {"enabled": False}},
        },
    ],
}


class OneLook(threading.Event):
    """A service that is about to stop when it is asked for the second time: no stream goes on for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def is_set(self) -> bool:
        asked, self._asked = self._asked, True
        return asked


def seeded(description: dict[str, Any], ids: list[str], tokens: list[str], *, auth: bool = False) -> dict[str, Any]:
    """The description, which names as one possibility what there is, so that requests reach the depths."""
    found = copy.deepcopy(description)
    if not auth:
        del found["components"]["securitySchemes"]
    for path, methods in found["paths"].items():
        for operation in methods.values():
            if not auth:
                operation.pop("security", None)
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                values = next((values for (part, key), values in KNOWN.items() if part in path and key == name), None)
                if path.startswith("/api/v1/runs/") and name == "id":
                    values = ids
                if name == "token":
                    values = tokens
                if values is not None:
                    parameter["schema"] = {"anyOf": [{"enum": values}, parameter["schema"]]}
    _shorten(found["components"]["schemas"]["StudyCreate"]["properties"]["algorithm"])
    for schema in found["components"]["schemas"].values():
        properties = schema.get("properties", {})
        if "token" in properties and "id" not in properties:
            properties["token"] = {"anyOf": [{"enum": tokens}, properties["token"]]}
    return found


def _shorten(algorithm: Any) -> None:
    """Some rows stand for all of their table: every option of every row would be tried on its own."""
    if "oneOf" in algorithm:
        algorithm["oneOf"] = [variant for variant in algorithm["oneOf"] if variant["title"] in ("random", "median")]
    for part in algorithm.values() if isinstance(algorithm, dict) else algorithm:
        if isinstance(part, dict | list):
            _shorten(part)


@schemathesis.serializer("application/x-ndjson")
def _lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def loaded(site: Site, request: pytest.FixtureRequest, config: dict[str, Any], *, auth: bool) -> Any:
    request.node._nodeid = request.node.nodeid  # schemathesis writes there which operation it is at
    tokens = [HELD[0]]
    description = seeded(site.app.openapi(), run_ids(site.database, *tokens), tokens, auth=auth)
    schema = schemathesis.openapi.from_dict(description, config=schemathesis.Config.from_dict(config))
    schema.app = site.front
    return schema


@pytest.fixture
def schema(site: Site, request: pytest.FixtureRequest) -> Any:
    return loaded(site, request, CONFIG, auth=False)


@pytest.fixture
def guarded_schema(guarded: Site, request: pytest.FixtureRequest) -> Any:
    few = {**CONFIG["generation"], "max-examples": examples(4), "mode": "positive"}
    config = {**CONFIG, "generation": few, "phases": {name: {"enabled": False} for name in ("coverage", "examples")}}
    return loaded(guarded, request, config, auth=True)


api = schemathesis.pytest.from_fixture("schema")
guarded_api = schemathesis.pytest.from_fixture("guarded_schema")


def ask(case: Any, site: Site, headers: dict[str, str] | None = None) -> Any:
    """Sends the request, has the answer checked, and takes back what it changed."""
    site.app.state.closing = OneLook()
    response = case.call(base_url=BASE, headers=headers)
    site.app.state.closing = OneLook()  # a check may ask again, without the token
    case.validate_response(response, headers=headers, transport_kwargs={"base_url": BASE})
    if response.status_code < 300 and case.method != "GET":
        site.renew()  # a run that has ended could not be ended again
    return response


@api.parametrize()
def test_every_operation(case: Any, site: Site) -> None:
    ask(case, site)


@guarded_api.parametrize()
@guarded_api.given(scope=st.sampled_from(Scope))
def test_every_operation_with_every_token(case: Any, scope: Scope, guarded: Site) -> None:
    response = ask(case, guarded, {"Authorization": f"Bearer {SECRETS[scope]}"})
    assert response.status_code != 401
    if scope == "execute" and "security" in case.operation.definition.raw:
        assert response.status_code == 403, "this scope alone is good for nothing"
    if scope == "read" and response.status_code < 300:
        assert case.method == "GET" or case.path.endswith("/verify"), "who may only read changes nothing"
