"""Other sites cannot steer studies through a visitor's browser."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://[half"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_changes_that_another_site_asks_for_are_refused(
    api: httpx.Client, study: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = api.post("studies/s/cancel", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:assay:foreign-origin"
    assert api.get("studies/s", headers=headers).json()["state"] == "active", "reading is harmless"


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
def test_the_dashboard_and_programs_may_change(
    api: httpx.Client, study: dict[str, Any], headers: dict[str, str]
) -> None:
    own = {"origin": f"http://{api.base_url.netloc.decode()}"} if headers else {}
    assert api.post("studies/s/pause", headers={**headers, **own}).json()["state"] == "paused"
