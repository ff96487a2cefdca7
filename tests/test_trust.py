"""Nothing that comes from somebody else is unpickled, or executed in another way, anywhere in the packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("assay", "spaces", "search", "workers", "service", "migrations")
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "torch.load",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "tarfile.extractall",
}
SAFE_ARGUMENTS = {"np.load": ("allow_pickle", False), "numpy.load": ("allow_pickle", False)}


def findings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.partition(".")[0] in FORBIDDEN_MODULES)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in FORBIDDEN_MODULES:
                yield module
            case ast.Call(func=func, keywords=keywords):
                name = ast.unparse(func)
                given = {one.arg: ast.unparse(one.value) for one in keywords}
                if name in FORBIDDEN_CALLS or name.endswith(".read_pickle"):
                    yield name
                if name in SAFE_ARGUMENTS:
                    argument, value = SAFE_ARGUMENTS[name]
                    if given.get(argument) != str(value):
                        yield f"{name} without {argument}={value}"
                if given.get("allow_pickle") == "True":
                    yield f"{name} with allow_pickle=True"
                if name.endswith(".extractall") and given.get("filter") != "'data'":
                    yield f"{name} without filter='data'"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "numpy.lib.format.read_array(file, allow_pickle=True)",
        "archive.extractall(folder)",
        "pandas.read_pickle(path)",
        "eval(text)",
    ],
)
def test_the_scan_sees(source: str) -> None:
    assert list(findings(source))


@pytest.mark.parametrize(
    "source", ["np.load(path, allow_pickle=False)", "archive.extractall(folder, filter='data')", "# import pickle"]
)
def test_the_scan_lets_pass(source: str) -> None:
    assert not list(findings(source))


def test_nothing_in_the_packages_unpickles() -> None:
    found = {
        str(path.relative_to(ROOT)): list(findings(path.read_text()))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    assert len(found) > 100, "the packages are where they are looked for"
    assert {path: what for path, what in found.items() if what} == {}
