"""Exports that were damaged at random: each is stored as a whole or refused, and the service has no fault."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from service.app import create_app
from service.settings import Settings

Lines = list[Any]

ODD: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 3, 7, 39, 2**31, 2**63 - 1, -0.0, 0.5, 1e308, "", "run", "enqueued", "told"),
    *("active", "2030-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "x" * 300, [], {}, [{}], {"x": None}),
    *({"rule": "carried"}, {"rule": "told"}, {"rule": "enqueued", "number": 0}, {"rule": "promote"}),
]
"""What may stand anywhere in JSON."""


def damage(lines: Lines, picks: random.Random) -> None:
    """Does one thing to one line."""
    line = picks.choice(lines)
    match picks.randrange(6):
        case 0:
            lines.remove(line)
        case 1:
            lines.insert(picks.randrange(len(lines)), copy.deepcopy(line))
        case 2:
            other = picks.randrange(len(lines))
            place = lines.index(line)
            lines[place], lines[other] = lines[other], lines[place]
        case 3 if line:
            del line[picks.choice(list(line))]
        case 4:
            same = [one for one in lines if one.get("record") == line.get("record")]
            name = picks.choice(list(line) or ["record"])
            line[name] = copy.deepcopy(picks.choice(same).get(name))
        case _:
            _replace(line, picks)


def _replace(holder: Any, picks: random.Random) -> None:
    """Puts something odd somewhere in a JSON value."""
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    if not keys:
        return
    key = picks.choice(keys)
    inner = holder[key]
    if isinstance(inner, dict | list) and inner and picks.random() < 0.7:
        _replace(inner, picks)
    else:
        holder[key] = picks.choice(ODD)


LOOKS = (
    *(
        "",
        "/trials",
        "/runs",
        "/reports",
        "/incumbents",
        "/events?format=json",
        "/best",
        "/front",
        "/enqueued",
        "/notes",
    ),
    *("/artifacts", "/cost", "/runs/0/attempts", "/export", "/export?format=csv", "/export?format=csv&of=reports"),
)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_done_to_it_it_is_stored_whole_or_refused(
    there: Any, played: Lines, seal: Callable[[Lines], bytes], body: Callable[[bytes], Lines], seed: int
) -> None:
    picks = random.Random(seed)
    transport = httpx.ASGITransport(
        create_app(Settings(data_dir=there.folder), there.database), raise_app_exceptions=False
    )

    async def send_damaged() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for number in range(20):
                lines, name = copy.deepcopy(played), f"s{number}"
                for _ in range(picks.randint(1, 3)):
                    damage(lines, picks)
                answer = await client.post("/api/v1/studies/import", params={"name": name}, content=seal(lines))
                assert answer.status_code in (201, 422), answer.text
                if answer.status_code == 422:
                    assert answer.json()["errors"]
                    assert (await client.get(f"/api/v1/studies/{name}")).status_code == 404
                    continue
                found = body(there.export(name))  # what was taken is what comes out, and the search can read it
                assert count_of("trial", found) == count_of("trial", lines)
                there.verified(name)
                await look_and_go_on(client, name)

    anyio.run(send_damaged)


async def look_and_go_on(client: httpx.AsyncClient, name: str) -> None:
    """No answer about the study is a fault, nor is one when it goes on."""
    study = f"/api/v1/studies/{name}"
    for look in LOOKS:
        found = await client.get(study + look)
        assert found.status_code in (200, 404), f"{look}: {found.text}"
    assert (await client.get(f"/studies/{name}")).status_code == 200
    if (await client.post(f"{study}/resume")).status_code != 200:
        return
    claimed = await client.post(f"{study}/claims", json={"worker": "w", "count": 3})
    assert claimed.status_code == 200, claimed.text
    for one in claimed.json()["assignments"]:
        end = {"token": one["token"], "metrics": {"loss": 1.0, "-extra": 0.5}}
        assert (await client.post(f"/api/v1/runs/{one['id']}/complete", json=end)).status_code == 200


def count_of(record: str, lines: Lines) -> int:
    return sum(line.get("record") == record for line in lines)
