"""Creates the peers' environments; one that cannot be installed is reported and skipped."""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv

from benchmarks.service.peers import PEERS, Peer


def install(name: str, peer: Peer) -> None:
    """Creates an environment anew. Raises CalledProcessError when pip fails."""
    folder = peer.python(name).parents[1]
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(peer.python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *peer.requirements], check=True)
    (folder / "complete").touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", required=True, help="Create what is missing.")
    parser.parse_args()
    failed = False
    for name, peer in PEERS.items():
        if peer.installed(name):
            print(f"{name}: already there")
            continue
        try:
            install(name, peer)
            print(f"{name}: installed {', '.join(peer.requirements)}")
        except subprocess.CalledProcessError as error:
            failed = True
            print(f"{name}: pip failed ({error.returncode}); its rows will be missing")
    sys.exit(failed)


if __name__ == "__main__":
    main()
