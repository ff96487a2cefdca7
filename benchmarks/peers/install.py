"""Creates the peers' virtual environments under benchmarks/.venv, with pinned versions.

    python -m benchmarks.peers.install              # all that are missing
    python -m benchmarks.peers.install smac dehb    # some of them

An environment that cannot be installed is reported and skipped; the others are installed all the same.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.peers import CONSTRAINTS, ENVIRONMENTS_FOLDER, PEERS


def install(environment: str, requirements: tuple[str, ...]) -> None:
    """Creates one environment anew. Raises CalledProcessError when pip fails."""
    folder = ENVIRONMENTS_FOLDER / environment
    venv.create(folder, with_pip=True, clear=True)
    with tempfile.TemporaryDirectory() as temporary:
        constraints = Path(temporary) / "constraints.txt"
        constraints.write_text("\n".join(CONSTRAINTS) + "\n")
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--constraint", str(constraints), *requirements], check=True)
    (folder / "complete").touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}")
    wanted = parser.parse_args().peers or list(PEERS)
    if unknown := [name for name in wanted if name not in PEERS]:
        parser.error(f"unknown peer {', '.join(unknown)} (known: {', '.join(PEERS)})")
    environments = {PEERS[name].environment: PEERS[name].requirements for name in wanted}
    failed = False
    for environment, requirements in environments.items():
        if (ENVIRONMENTS_FOLDER / environment / "complete").is_file():
            print(f"{environment}: already there")
            continue
        try:
            install(environment, requirements)
            print(f"{environment}: installed {', '.join(requirements)}")
        except subprocess.CalledProcessError as error:
            failed = True
            print(f"{environment}: pip failed ({error.returncode}); its peers will be skipped")
    sys.exit(failed)


if __name__ == "__main__":
    main()
