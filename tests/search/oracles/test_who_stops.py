"""Whatever rule stops runs: the one that is best is never stopped for being worse than others."""

import pytest

from search import STOPPING_RULES, Ended, History, Outcome, RunState, StudySpec, ask_many, reported, should_stop
from search.streams import stream

EPOCHS = 16
COMPARING = [name for name, rule in STOPPING_RULES.items() if rule.compares or name == "curve"]


def study(rule, direction):
    options = {"every": 2} if rule == "curve" else {}
    return StudySpec.from_json(
        {
            "space": {
                "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
                "fidelity": {"name": "epochs", "low": 1, "high": EPOCHS},
            },
            "algorithm": {"name": "random", "stop": {"rule": rule, **options}},
            "metrics": [{"name": "m", "direction": direction}],
        }
    )


@pytest.mark.parametrize("rule", COMPARING)
@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_the_leader_goes_on(rule, direction, sign):
    """Noisy curves of 30 runs, four at a time: who is stopped has been beaten, by then, by the best of another run."""
    spec, history, epochs, stopped = study(rule, direction), History(), {}, 0
    while len(history.runs) < 30 or history.open_count:
        ask_many(spec, history, min(4 - history.open_count, 30 - len(history.runs)))
        for number in list(history.open):
            epoch = epochs[number] = epochs.get(number, 0) + 1
            noise = 0.1 * stream(0, number, f"noise {epoch}").standard_normal()
            loss = history.runs[number].config["x"] + 1 / epoch + noise
            history.append(reported(spec, number, epoch, {"m": sign * loss}))
            if should_stop(spec, history, number):
                stopped += 1
                bests = {
                    run.number: min(report.loss for report in history.curve(run.number))
                    for run in history.runs
                    if history.curve(run.number)
                }
                own = bests.pop(number)
                assert own > min(bests.values())
                history.append(Ended(number, Outcome(RunState.STOPPED)))
            elif epoch == EPOCHS:
                history.append(Ended(number, Outcome(RunState.SUCCEEDED, (loss,))))
    assert stopped > 3
