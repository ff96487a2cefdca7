"""The rows of the table that fit a model for each suggestion take long, so their contracts count as slow."""

from pathlib import Path

import pytest

from search.testbed import LONGEST


@pytest.hookimpl(tryfirst=True)  # before the marks are looked at
def pytest_collection_modifyitems(items):
    for item in items:
        parameters = getattr(item, "callspec", None)
        if item.path.parent == Path(__file__).parent and parameters and parameters.params.get("algorithm") in LONGEST:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.computes)
