"""What the client and the commands say of architectures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from assay import Client, NotFound
from assay.cli import app

FOUND: dict[str, Any] = {
    "trial": 3,
    "name": "cell",
    "preset": "nas-bench-201",
    "genotype": "|nor_conv_3x3~0|",
    "canonical": "#",
    "objection": None,
    "drawing": {
        "cells": [
            {
                "name": "cell",
                "nodes": [{"id": "0", "label": "input", "layer": 0}, {"id": "1", "label": "output", "layer": 1}],
                "edges": [{"from": "0", "to": "1", "op": "nor_conv_3x3"}],
            }
        ]
    },
}
TRUST: dict[str, Any] = {
    "metric": "val_accuracy",
    "verdict": "withheld",
    "reason": "the ranking is close to chance",
    "kendall": {"value": 0.1, "low": -0.4, "high": 0.6},
    "spearman": None,
    "top_hit": {"value": 0.5, "low": 0.0, "high": 1.0, "top": 1},
    "pairs": [
        {"trial": 2, "rank": 9, "score": 0.3, "value": 0.95},
        {"trial": 1, "rank": 1, "score": 0.6, "value": 0.91},
    ],
}


@pytest.fixture
def served(service: Any) -> Any:
    service.routes["GET /api/v1/studies/cells/best"] = (200, {"trial": 3})
    service.routes["GET /api/v1/studies/cells/trials/3/architecture"] = (200, FOUND)
    service.routes["GET /api/v1/studies/cells/trust"] = (200, TRUST)
    return service


def test_the_client_asks_for_the_best_trials_unless_told_otherwise(served: Any) -> None:
    with Client(served.url) as client:
        assert client.studies.architecture("cells") == client.studies.architecture("cells", 3) == FOUND
        assert client.studies.trust("cells") == TRUST
        with pytest.raises(NotFound):
            client.studies.architecture("cells", 4)
    assert [request.path.rsplit("/", 1)[1] for request in served.requests][:3] == [
        "best",
        "architecture",
        "architecture",
    ]


def run(served: Any, *words: str) -> Any:
    return CliRunner().invoke(app, [*words, "--url", served.url])


def test_an_architecture_is_printed(served: Any) -> None:
    shown = run(served, "architecture", "cells")
    assert shown.exit_code == 0, shown.output
    assert "trial 3: nas-bench-201\n|nor_conv_3x3~0|" in shown.stdout
    assert shown.stdout.split()[-4:] == ["cell", "input", "output", "nor_conv_3x3"]
    assert json.loads(run(served, "architecture", "cells", "3", "--json").stdout) == FOUND
    assert run(served, "architecture", "cells", "4").exit_code == 4


def test_one_that_cannot_be_trained_says_so_on_stderr(served: Any) -> None:
    served.routes["GET /api/v1/studies/cells/trials/3/architecture"] = (200, {**FOUND, "objection": "nothing leads on"})
    assert "cannot be trained: nothing leads on" in run(served, "architecture", "cells").stderr


def test_the_trust_report_is_printed_in_the_order_of_the_ranking(served: Any) -> None:
    shown = run(served, "trust", "cells")
    assert shown.exit_code == 0, shown.output
    assert "withheld: the ranking is close to chance" in shown.stdout
    assert "Kendall's tau 0.10 (95 %: -0.40 to 0.60)" in shown.stdout
    assert "Spearman" not in shown.stdout
    assert "hits in the first tenth (1) 0.50 (95 %: 0.00 to 1.00); by chance 0.50" in shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()[-2:]]
    assert rows == [["1", "0.6", "1", "0.91"], ["9", "0.3", "2", "0.95"]]
    assert json.loads(run(served, "trust", "cells", "--json").stdout) == TRUST
