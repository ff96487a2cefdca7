"""`python -m benchmarks`: all measured claims, one after another, each in a process of its own."""

import subprocess
import sys

MODULES = ("footprint", "latency", "dispatch", "service", "training", "studies", "nas")

if __name__ == "__main__":
    failed = 0
    for name in MODULES:
        print(f"\n== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode != 0
    sys.exit(failed)
