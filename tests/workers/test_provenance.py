"""Where a run was carried out: true, JSON, and cheap to ask for."""

import json
import os
import platform
import subprocess
import sys
from importlib import metadata

import pytest

from workers import provenance
from workers.provenance import checkout


def git(folder, *words):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A checkout whose folder `package` is tracked."""
    root = tmp_path / "checkout"
    (root / "package").mkdir(parents=True)
    (root / "package" / "code.py").write_text("1\n")
    (root / ".gitignore").write_text("environment\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def test_it_names_the_code_the_libraries_and_the_machine():
    told = json.loads(json.dumps(provenance.provenance()))
    assert set(told) == {"assay", "code", "python", "platform", "packages", "host", "gpus"}
    assert told["python"] == platform.python_version()
    assert told["packages"]["numpy"] == metadata.version("numpy")
    assert told["packages"]["scikit-learn"] == metadata.version("scikit-learn")
    assert told["host"]["cpus"] >= 1
    assert told["host"]["memory_bytes"] > 2**28


def test_it_is_gathered_once():
    assert provenance.provenance() is provenance.provenance()


def test_asking_for_it_imports_no_library():
    script = "import sys; from workers.provenance import provenance; provenance(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert {"torch", "ray", "sklearn", "scipy"}.isdisjoint(done.stdout.split())


def test_a_checkout_is_known_by_its_commit(repository):
    commit = git(repository, "rev-parse", "HEAD")
    assert checkout(repository / "package") == {"commit": commit, "dirty": False}
    (repository / "package" / "scratch.txt").write_text("not the code's\n")
    assert checkout(repository / "package") == {"commit": commit, "dirty": False}
    (repository / "package" / "code.py").write_text("2\n")
    assert checkout(repository / "package") == {"commit": commit, "dirty": True}


def test_what_is_installed_inside_somebodys_checkout_is_not_that_checkout(repository):
    installed = repository / "environment" / "package"
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("1\n")
    assert checkout(installed) is None


def test_a_folder_without_git_has_no_commit(tmp_path):
    assert checkout(tmp_path) is None


def test_a_machine_without_git_has_no_commit(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert checkout(repository / "package") is None


def test_the_repository_of_a_git_hook_is_not_taken_for_the_codes(repository, tmp_path, monkeypatch):
    other = tmp_path / "other"
    git(tmp_path, "init", "--quiet", other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert checkout(repository / "package")["commit"] == git(repository, "rev-parse", "HEAD")


SMI = """#!/bin/sh
echo "NVIDIA A100-SXM4-80GB, 81920, 550.54.15"
echo "NVIDIA GB10, [N/A], 550.54.15"
"""


def test_the_machines_gpus_are_those_that_the_driver_names(tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(SMI)
    tool.chmod(0o755)
    script = "import json; from workers.provenance import provenance; print(json.dumps(provenance()['gpus']))"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment)
    assert json.loads(done.stdout) == [
        {"name": "NVIDIA A100-SXM4-80GB", "memory_bytes": 81920 << 20, "driver": "550.54.15"},
        {"name": "NVIDIA GB10", "memory_bytes": None, "driver": "550.54.15"},
    ]
