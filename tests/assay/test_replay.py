"""`assay replay`: the list of decisions, and the result of their verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assay import Client
from assay.cli import app
from assay.errors import ConnectionFailed, ProblemError
from assay.exit_codes import ExitCode

BASE = "/api/v1/studies/digits"
Cli = Callable[..., Result]
RUN = {
    "number": 0, "trial": 0, "state": "succeeded", "kind": "train", "bracket": 2, "rung": 0, "replicate": 0,
    "fidelity": 1, "config": {"lr": 0.01}, "resume_from": None, "metrics": {"val_accuracy": 0.9}, "failure": None,
    "origin": {"rule": "uniform", "probabilities": {"uniform": 0.25, "model": 0.75}}, "stopped_by": None, "attempts": 1,
}  # fmt: skip
PROMOTED = {
    **RUN, "number": 1, "rung": 1, "fidelity": 3, "resume_from": 0, "stopped_by": {"rule": "median", "step": 2},
    "origin": {"rule": "promote", "rank": 1, "of": 3},
}  # fmt: skip
REPEATED = {**RUN, "number": 2, "replicate": 1, "origin": {"rule": "replicate"}}
VERIFIED = {"verified": True, "runs": 40, "stops": 1, "difference": None}
FIELD = {"path": "config.lr", "stored": 0.1, "derived": 0.10000000000000002, "distance": 1.4e-16}


def differing(decision: str = "suggestion", rounding: bool = False, fields: list[dict[str, Any]] | None = None) -> Any:
    found = {"position": 9, "run": 7, "decision": decision, "rounding": rounding, "fields": fields or [FIELD]}
    return {"verified": False, "runs": 7, "stops": 0, "difference": found}


def sse(type_: str, data: Any) -> bytes:
    return f"event: {type_}\ndata: {json.dumps(data)}\n\n".encode()


@pytest.fixture
def cli(service: Any) -> Cli:
    return lambda *args: CliRunner().invoke(app, ["--url", service.url, "replay", *args])


@pytest.fixture
def answers(service: Any) -> Callable[..., None]:
    """What the service streams when it is asked to verify."""

    def told(*messages: tuple[str, Any]) -> None:
        progress = [sse("progress", {"events": done, "of": 80}) for done in (0, 50)]
        stream = [*progress, *(sse(*message) for message in messages)]
        service.routes[f"POST {BASE}/verify"] = lambda request: request.stream(*stream)

    return told


def test_decisions_are_listed_in_order(service: Any, cli: Cli, make_study: Callable[..., Any]) -> None:
    service.add(make_study())
    service.routes[f"GET {BASE}/runs"] = (200, {"items": [RUN, PROMOTED, REPEATED], "next": None})

    result = cli("digits")

    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "run trial slot epochs goes on from rule probabilities why config stop",
        "0 0 2/0 1 uniform uniform=0.25 model=0.75 lr=0.01",
        "1 0 2/1 3 0 promote rank=1 of=3 lr=0.01 median at 2",
        "2 0 2/0 replicate 1 1 replicate lr=0.01",
    ]


def test_decisions_as_json_are_decisions_alone(service: Any, cli: Cli, make_study: Callable[..., Any]) -> None:
    service.add(make_study())
    service.routes[f"GET {BASE}/runs"] = (200, {"items": [RUN], "next": None})

    (decision,) = json.loads(cli("digits", "--json").stdout)

    assert decision == {key: RUN[key] for key in RUN if key not in ("state", "metrics", "failure", "attempts")}


def test_a_study_without_a_fidelity_has_no_slots(service: Any, cli: Cli, make_study: Callable[..., Any]) -> None:
    service.add(make_study(space={"parameters": []}))
    run = {**RUN, "bracket": 0, "fidelity": None}
    service.routes[f"GET {BASE}/runs"] = (200, {"items": [run], "next": None})

    assert cli("digits").stdout.splitlines()[0].split() == ["run", "trial", "rule", "probabilities", "config"]


def test_a_verified_study(cli: Cli, answers: Callable[..., None]) -> None:
    answers(("verification", VERIFIED))

    result = cli("digits", "--verify")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "digits: 40 suggestions and 1 stop derived again, all as stored\n"


def test_a_difference_is_named_with_all_digits(cli: Cli, answers: Callable[..., None]) -> None:
    answers(("verification", differing(rounding=True)))

    result = cli("digits", "--verify")

    assert result.exit_code == ExitCode.ERROR
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "digits: run 7 is not what the search suggests; 7 suggestions and 0 stops before it are as stored",
        "part stored derived apart by",
        "config.lr 0.1 0.10000000000000002 1.4e-16",
    ]
    assert result.stderr.startswith("Only last digits differ")


@pytest.mark.parametrize("decision", ["suggestion", "stop", "end", "order"])
def test_each_kind_of_difference_names_the_run(cli: Cli, answers: Callable[..., None], decision: str) -> None:
    field = {"path": "decision", "stored": "run 7 of trial 3", "derived": "done (budget)", "distance": None}
    answers(("verification", differing(decision, fields=[field])))

    result = cli("digits", "--verify")

    assert (result.exit_code, result.stderr) == (ExitCode.ERROR, "")
    assert "run 7" in result.stdout.splitlines()[0]
    assert "done (budget)" in result.stdout


def test_of_many_fields_the_first_are_shown(cli: Cli, answers: Callable[..., None]) -> None:
    answers(("verification", differing(fields=[{**FIELD, "path": f"origin.rank[{i}]"} for i in range(30)])))

    result = cli("digits", "--verify")

    assert len(result.stdout.splitlines()) == 22
    assert result.stderr == "and 10 more\n"


@pytest.mark.parametrize(("answer", "code"), [(VERIFIED, ExitCode.OK), (differing(), ExitCode.ERROR)])
def test_the_result_as_json(cli: Cli, answers: Callable[..., None], answer: Any, code: ExitCode) -> None:
    answers(("verification", answer))

    result = cli("digits", "--verify", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (code, answer)


def test_progress_is_told(service: Any, answers: Callable[..., None]) -> None:
    answers(("verification", VERIFIED))
    told: list[tuple[int, int]] = []
    with Client(service.url) as client:
        assert client.studies.verify("digits", lambda *progress: told.append(progress)) == VERIFIED

    assert told == [(0, 80), (50, 80)]


def test_a_service_that_ends_before_is_a_broken_connection(
    service: Any, cli: Cli, answers: Callable[..., None]
) -> None:
    answers()

    assert cli("digits", "--verify").exit_code == ExitCode.UNREACHABLE
    with Client(service.url) as client, pytest.raises(ConnectionFailed, match="before study digits was verified"):
        client.studies.verify("digits")


def test_a_verification_that_breaks_is_a_problem(service: Any, cli: Cli, answers: Callable[..., None]) -> None:
    answers(
        ("problem", {"type": "t", "title": "The service failed", "status": 500, "detail": "see 1a2b", "errors": []})
    )

    result = cli("digits", "--verify")

    assert (result.exit_code, result.stdout, result.stderr) == (ExitCode.ERROR, "", "see 1a2b\n")
    with Client(service.url) as client, pytest.raises(ProblemError, match="see 1a2b"):
        client.studies.verify("digits")


@pytest.mark.parametrize("options", [(), ("--verify",)])
def test_an_unknown_study(cli: Cli, options: tuple[str, ...]) -> None:
    assert cli("nobody", *options).exit_code == ExitCode.NOT_FOUND
