"""What Assay costs when it does nothing: the time to import the client, the memory of an idle service.

    python -m benchmarks.footprint

Prints a table and writes benchmarks/results/footprint.json. The bars: `import assay` below 0.3 s, an idle service
(API, dispatcher, dashboard and a pool of threads; Ray not counted) at most 250 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

PORT = 18765
IMPORTS = 7


def import_seconds(statement: str) -> float:
    """The fastest of several fresh interpreters, less the time of one that imports nothing."""

    def fastest(code: str) -> float:
        times = []
        for _ in range(IMPORTS):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    return fastest(statement) - fastest("pass")


def idle_megabytes() -> float:
    """The unique memory of a service that has served its pages and has nothing to do."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "assay", "up", "--pool", "local", "--port", str(PORT), "--data-dir", folder]
        service = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for page in ("readyz", "", "api/v1/studies", "openapi.json"):
                _get(f"http://127.0.0.1:{PORT}/{page}")
            time.sleep(2)
            memory = psutil.Process(service.pid).memory_full_info()
            return float(memory.uss) / 1e6
        finally:
            service.terminate()
            service.wait(30)


def _get(url: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main() -> None:
    rows = {
        "import assay": (import_seconds("import assay"), 0.3, "s"),
        "import assay.client": (import_seconds("import assay.client"), None, "s"),
        "idle service": (idle_megabytes(), 250.0, "MB"),
    }
    print(f"{'':<24}{'measured':>12}{'bar':>12}")
    for name, (value, bar, unit) in rows.items():
        print(f"{name:<24}{value:>9.3g} {unit:<2}{f'{bar:g} {unit}' if bar else '':>12}")
    target = Path(__file__).parent / "results" / "footprint.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({name: {"value": v, "bar": b, "unit": u} for name, (v, b, u) in rows.items()}) + "\n")


if __name__ == "__main__":
    main()
