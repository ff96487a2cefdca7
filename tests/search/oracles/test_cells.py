"""A cell search space in the style of NAS-Bench-201: six edges, each with one of five operations."""

from search import Outcome, RunState, StudySpec
from search.samplers.variation import mutated
from search.simulation import simulate
from search.streams import stream
from spaces import Space

OPERATIONS = ["none", "skip", "conv1", "conv3", "pool"]
CELLS = {"parameters": [{"name": f"edge{i}", "type": "categorical", "choices": OPERATIONS} for i in range(6)]}
SPACE = Space.from_json(CELLS)


def distance(one, other):
    return sum(one[name] != other[name] for name in one)


def test_a_cell_has_24_neighbours():
    assert SPACE.size() == 5**6 == 15_625
    cell = SPACE.sample(stream(0, 0, "cell"))
    neighbours = SPACE.neighbours(cell, stream(0, 0, "neighbours"))
    assert len({SPACE.key(neighbour) for neighbour in neighbours}) == 24
    assert {distance(neighbour, cell) for neighbour in neighbours} == {1}


def test_a_thousand_children_are_legal_and_one_edit_away():
    rng, cell = stream(0, 1, "children"), SPACE.sample(stream(0, 1, "cell"))
    seen = set()
    for _ in range(1000):
        child = mutated(SPACE, cell, rng)
        SPACE.validate(child)
        assert distance(child, cell) == 1
        seen.add(SPACE.key(child))
        cell = child
    assert len(seen) > 500
    children = {SPACE.key(mutated(SPACE, cell, rng)) for _ in range(1000)}
    assert len(children) == 24, "each neighbour is some mutant"


def test_evolution_is_one_edit_at_a_time():
    spec = StudySpec.from_json(
        {
            "space": CELLS,
            "algorithm": {"name": "evolution", "population": 10, "tournament": 3},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": {"max_runs": 200},
        }
    )

    def loss(run):
        return Outcome(RunState.SUCCEEDED, (float(sum(OPERATIONS.index(op) for op in run.config.values())),))

    history = simulate(spec, loss, workers=4).history
    children = [run for run in history.runs if run.origin["rule"] == "mutation"]
    assert len(children) > 180
    for run in children:
        parent = history.runs[history.runs_of(run.origin["parent"])[0]]
        assert distance(run.config, parent.config) == 1
    first, last = (sum(history.outcome(number).loss for number in range(start, start + 50)) / 50 for start in (0, 150))
    assert last < first - 2
