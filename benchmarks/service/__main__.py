"""`python -m benchmarks.service`: one benchmark after another, each in a process of its own."""

import subprocess
import sys

MODULES = ("large", "cycle", "many")

if __name__ == "__main__":
    failed = 0
    for name in MODULES:
        print(f"\n== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.service.{name}"]).returncode != 0
    sys.exit(failed)
