"""External studies are known to the service, and to no pool."""

import pytest

from workers.objectives import OBJECTIVES, check, runs_on_pool
from workers.protocol import Assignment


def test_it_has_no_options_and_any_metrics():
    assert check({"objective": {"type": "external"}, "metrics": [{"name": "anything"}]}) == []
    (problem,) = check({"objective": {"type": "external", "url": "http://host"}})
    assert (problem.location, "unknown field" in problem.message) == ("objective.url", True)


def test_it_alone_does_not_run_on_a_pool():
    assert [name for name in OBJECTIVES if not runs_on_pool({"type": name})] == ["external"]


def test_it_is_never_carried_out_here():
    assignment = Assignment("key", {"type": "external"}, {}, 0)
    with pytest.raises(AssertionError):
        OBJECTIVES["external"].train(assignment)
    with pytest.raises(AssertionError):
        OBJECTIVES["external"].test(assignment)
