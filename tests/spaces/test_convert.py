"""What every conversion has in common."""

import pytest

from spaces.convert import Findings, library


def test_a_missing_library_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="needs the package no-such-library: pip install no-such-library"):
        library("no_such_library.distributions", "no-such-library")


def test_kinds_of_loss_are_checked() -> None:
    with pytest.raises(ValueError, match=r'unknown kinds of loss "all" \(known: "fidelity", "default"'):
        Findings(("all",))
