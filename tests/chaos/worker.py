"""A worker as its users write one: claims runs of whatever study is open, reports, saves checkpoints, ends them.

    python worker.py URL NAME SEED STUDIES JOURNAL

It asks again until it is answered. What was answered it writes into its journal, one JSON object per line: that is what
the service has promised. `STUDIES` is a file with the names of the studies. Imports only the standard library.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from objective import HIGHEST, LEASE_SECONDS, fate, loss

TIMEOUT_SECONDS = 4.0
STEP_SECONDS = 0.02


class Worker:
    def __init__(self, url: str, name: str, seed: int, studies: Path, journal: Path) -> None:
        self.address = urlsplit(url).netloc
        self.name = name
        self.random = random.Random(f"{seed}/{name}/{time.time_ns()}")
        self.studies = studies
        self.journal = journal.open("a", buffering=1)
        self.over: set[str] = set()

    def work(self) -> None:
        while True:
            open_ = [name for name in self.studies.read_text().split() if name not in self.over]
            if not open_:
                time.sleep(0.1)
                continue
            study = self.random.choice(open_)
            status, answer = self.ask(
                "POST",
                f"/studies/{study}/claims",
                {"worker": self.name, "count": self.random.choice((1, 1, 2)), "lease_seconds": LEASE_SECONDS},
                once=True,
            )
            if status != 200:
                continue
            for assignment in answer["assignments"]:
                self.note("claimed", assignment, status)
                self.carry_out(assignment)
            if answer["reason"] and answer["retry_after"] is None:
                self.over.add(study)
            elif not answer["assignments"]:
                time.sleep(min(answer["retry_after"], 0.05))

    def carry_out(self, assignment: dict[str, Any]) -> None:
        config, fidelity = assignment["config"], assignment["fidelity"]
        target = fidelity["value"] if fidelity else HIGHEST
        step = self.resume(assignment) if fidelity else HIGHEST - 1
        failure = fate(config, assignment["attempt"]) if "rough" in assignment["study"] else None
        if failure == "infeasible":
            self.say("infeasible", assignment, {"message": "drawn to be so"}, once=True)
            return
        told = None
        while step < target and told != "stop":
            step += 1
            time.sleep(STEP_SECONDS * self.random.random())
            value = None if failure == "diverged" else loss(config, step)
            status, heard = self.say("reports", assignment, {"reports": [{"step": step, "metrics": {"loss": value}}]})
            if status != 200 or failure == "diverged":
                return
            if failure:
                self.say("fail", assignment, {"class": failure, "message": "drawn to do so"}, once=True)
                return
            told = heard["answer"]
            chance = self.random.random()
            if chance < 0.15 and self.say("heartbeat", assignment, {}, method="PUT")[0] != 200:
                return
            # The last one for sure: another run may go on from it.
            if fidelity and (step == target or chance > 0.7) and not self.save(assignment, step):
                return
        result = {"metrics": {"loss": loss(config, step)}} if self.random.random() < 0.7 else {}
        self.say("complete", assignment, result, once=True)

    def resume(self, assignment: dict[str, Any]) -> int:
        """The step to go on from: that of the checkpoint, which must be the one that was promised."""
        source = assignment["resume_from"]
        if source is None:
            return 0
        if not source["checkpoint"].startswith("/api/v1/"):
            assert source["checkpoint"].endswith(f"@{source['step']}"), source
            return int(source["step"])
        status, saved = self.ask("GET", source["checkpoint"].removeprefix("/api/v1"))
        if status == 200 and saved == {"config": assignment["config"], "step": source["step"]}:
            return int(source["step"])
        # Either somebody else has the run by now, and what it saved is there; or the checkpoint is lost.
        if self.say("heartbeat", assignment, {}, method="PUT")[0] == 200:
            self.note("broken checkpoint", assignment, status, {"promised": source, "found": saved})
        return 0

    def save(self, assignment: dict[str, Any], step: int) -> bool:
        """Whether the checkpoint was taken: as a file that the service keeps, or as an address."""
        token = assignment["token"]
        if self.random.random() < 0.5:
            content = json.dumps({"config": assignment["config"], "step": step})
            path = f"/runs/{assignment['id']}/checkpoint?token={token}&step={step}"
            status, _ = self.ask("POST", path, content=content, content_type="application/octet-stream")
            self.note("checkpoint", assignment, status, {"step": step})
            return status == 200
        said = {"uri": f"s3://bucket/{assignment['id']}@{step}", "step": step}
        return self.say("checkpoint", assignment, said)[0] == 200

    def say(
        self, what: str, assignment: dict[str, Any], said: dict[str, Any], method: str = "POST", once: bool = False
    ) -> tuple[int, Any]:
        body = {"token": assignment["token"], **said}
        status, answer = self.ask(method, f"/runs/{assignment['id']}/{what}", body, once=once)
        self.note(what, assignment, status, said if what != "heartbeat" else {})
        return status, answer

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        once: bool = False,
        content: str | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, Any]:
        """Asks until there is an answer that is one; half of what must be done once is so by an `Idempotency-Key`."""
        headers = {"Content-Type": content_type}
        if once and self.random.random() < 0.5:
            headers["Idempotency-Key"] = f"{self.name}-{self.random.getrandbits(64):x}"
        content = json.dumps(body) if content is None else content
        while True:
            connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_SECONDS)
            try:
                connection.request(method, f"/api/v1{path}", None if method == "GET" else content, headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status < 500:
                    if response.status not in (200, 409):
                        self.note("refused", {"id": path}, response.status, {"answer": answer})
                    return response.status, answer
                if response.status != 503:
                    self.note("broken", {"id": path}, response.status, {"answer": answer})
            except (OSError, http.client.HTTPException, ValueError):
                pass  # nobody there, cut off in the middle, or too late
            finally:
                connection.close()
            time.sleep(0.05 + 0.1 * self.random.random())

    def note(self, what: str, assignment: dict[str, Any], status: int, more: dict[str, Any] | None = None) -> None:
        line = {
            "what": what,
            "id": assignment["id"],
            "token": assignment.get("token"),
            "status": status,
            **(more or {}),
        }
        self.journal.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    url, name, seed, studies, journal = sys.argv[1:]
    Worker(url, name, int(seed), Path(studies), Path(journal)).work()
