"""The reference page of the catalogue, as Markdown: `python -m workers.catalogue > docs/families.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from workers.catalogue import DATASETS, FAMILIES, Dataset, Family
from workers.objectives.functions import FUNCTIONS, Function
from workers.tasks import COMMON, HEALTH, MEASURED, TASKS
from workers.training.hyperparameters import Choice, Hyperparameter, Number
from workers.training.recipe import MODULES

INTRODUCTION = """\
# Families and datasets

What a study may train, and functions to try things with. `python -m workers.catalogue > docs/families.md` writes this
page from the tables in `workers/catalogue`, `workers/tasks.py`, `workers/training/recipe` and
`workers/objectives/functions.py`.

```yaml
objective: {type: train, family: lenet, dataset: digits}
```

A study's space is a [preset](spaces.md#presets) with changes, or names any hyperparameters of the family and of the
recipe; what it does not name keeps its default. The ranges are where searching usually pays off; a study may leave
them, up to the limits. A hyperparameter with a condition is ignored where the condition does not hold.

Some are not mutable, since a training cannot go on with other values of them: those of the families, and of the recipe
{fixed}.
With `pbt`, a space says `mutable: false` of each of them that it searches.

With `hypergradient` a space searches some of {differentiable}, and nothing else.

Options of the objective: `split_seed` (0) draws another split into train, validation and test (60, 20 and 20 percent,
every class in proportion; series are split in time); `epochs` is the length of a training where the space has no
fidelity in epochs; `schedule_horizon` (max) lays the schedule of the learning rate out over the highest fidelity, or
(rung) over that of the run, which then begins anew; `deterministic` (false) forbids all that may differ from time to
time on a GPU; `compile` (false) hands the network to torch.compile.

## Fidelities

`epochs` go on: a training that pauses and goes on equals one that never paused, for the schedule of the learning rate
is laid out over the highest fidelity. `folds` go on as well: every fold is a training of its own, and the metrics are
means over the folds so far. `fraction` (of the training examples), `width_fraction` (of the network) and `resolution`
(of the images) are parts from 0 to 1 of the whole; every run trains anew.

## Tasks and metrics

Every training reports once per epoch. The scores of its task are measured on the validation split, as `val_<score>`;
for the best run of a study they are measured once on the test split, as `test_<score>`. The first one is the usual
choice.

{tasks}
All trainings also report what may be a second objective or a constraint, best small; `parameters` and `multiply_adds`
are known from the config:

{common}
What costs time to measure is reported only where the study's metrics name it. It differs from time to time, and from
machine to machine: studies that compare need workers of one kind, each with cores of its own.

{measured}
```yaml
metrics:
  - {name: val_accuracy, direction: maximize}
  - {name: parameters, at_most: 50000}
```

And how the training feels, to look at:

{health}"""

FUNCTIONS_INTRODUCTION = """\
## Functions

Nothing is trained with them, but they behave as if: they report at every step, low fidelities are somewhat wrong, and
runs pause, go on, stop and fail. Options: `seconds_per_step` (0) and `failure_rate` (0), the share of trials that fail.

```yaml
objective: {type: function, function: binh-korn}
metrics:
  - {name: f1, direction: minimize}
  - {name: f2, direction: minimize}
  - {name: g1, at_most: 25}
  - {name: g2, at_least: 7.7}
```

A function reads the parameters that it names and ignores all others.
"""


def page() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    recipe = [each for module in MODULES.values() for each in module]
    fixed = [f"`{each.name}`" for each in recipe if not each.mutable]
    tuned = [f"`{each.name}`" for each in recipe if each.differentiable]
    parts = {
        "{fixed}": f"{', '.join(fixed[:-1])} and {fixed[-1]}",
        "{differentiable}": f"{', '.join(tuned[:-1])} and {tuned[-1]}",
        "{tasks}": _text(("task", "what", "score", "best", "measures"), _task_rows()),
        "{common}": _text(("metric", "measures"), ((f"`{each.name}`", each.help) for each in COMMON)),
        "{measured}": _text(("metric", "measures"), ((f"`{each.name}`", each.help) for each in MEASURED)),
        "{health}": _text(("metric", "measures"), ((f"`{name}`", text) for name, text in HEALTH.items())),
    }
    introduction = INTRODUCTION
    for place, text in parts.items():
        introduction = introduction.replace(place, text)
    yield introduction
    yield "## Datasets\n"
    header = ("name", "what", "tasks", "inputs", "outputs", "examples", "licence", "comes with")
    yield from _table(header, map(_dataset_row, DATASETS.values()))
    yield "Sources:\n"
    yield from (f"- `{dataset.name}`: {dataset.source}" for dataset in DATASETS.values())
    yield "\n## Families\n"
    for family in FAMILIES.values():
        yield from _family(family)
    yield "## The training recipe\n"
    yield "In modules; a family names those that it follows. `augmentation` is there where the dataset holds images,"
    yield "`sequence_augmentation` where it holds sequences.\n"
    for name, module in MODULES.items():
        yield f"### {name}\n"
        yield from _hyperparameters(module)
    yield FUNCTIONS_INTRODUCTION
    rows = (_function_row(name, function) for name, function in FUNCTIONS.items())
    yield from _table(("name", "parameters", "metrics", "where"), rows)


def _task_rows() -> Iterator[Sequence[str]]:
    for task in TASKS.values():
        for index, score in enumerate(task.scores):
            first = (f"`{task.name}`", task.title) if index == 0 else ("", "")
            yield *first, f"`{score.name}`", "large" if score.direction == "maximize" else "small", score.help


def _family(family: Family) -> Iterator[str]:
    datasets = ", ".join(f"`{dataset.name}`" for dataset in DATASETS.values() if family.fits(dataset))
    yield f"### `{family.name}`: {family.title}\n"
    yield f"{family.source}.\n"
    yield f"- tasks: {', '.join(family.tasks)} of {', '.join(family.inputs)} inputs; datasets: {datasets}"
    yield f"- fidelities: {', '.join(f'`{axis}`' for axis in family.axes)}; a training takes {family.epochs} epochs"
    yield f"- recipe: {', '.join(family.recipe) or 'none'}{_defaults(family)}\n"
    yield from _hyperparameters(family.own)


def _defaults(family: Family) -> str:
    if not family.defaults:
        return ""
    return "; with " + ", ".join(f"`{name}` {json.dumps(value)}" for name, value in family.defaults.items())


def _hyperparameters(hyperparameters: Iterable[Hyperparameter]) -> Iterator[str]:
    header = ("name", "type", "range", "default", "limits", "only where", "preset", "what")
    yield from _table(header, map(_hyperparameter_row, hyperparameters))


def _hyperparameter_row(each: Hyperparameter) -> Sequence[str]:
    limits = "{:.12g} to {:.12g}".format(*each.limits) if isinstance(each, Number) else ""
    default = json.dumps(each.default).strip('"')
    preset = each.preset if each.within("everything") else "none"
    return f"`{each.name}`", each.type, _range(each), default, limits, _condition(each), preset, each.help


def _range(each: Hyperparameter) -> str:
    match each:
        case Number():
            return f"{each.low:.12g} to {each.high:.12g}{', log' if each.log else ''}"
        case Choice():
            return ", ".join(map(str, each.choices))
        case _:
            return "true, false"


def _condition(each: Hyperparameter) -> str:
    if each.when is None:
        return ""
    words = {"equals": "is", "in": "is one of", "gt": ">"}
    (operator, operand) = next((name, each.when[name]) for name in words if name in each.when)
    values = ", ".join(map(str, operand)) if isinstance(operand, list) else str(operand)
    return f"`{each.when['parameter']}` {words[operator]} {values}"


def _function_row(name: str, function: Function) -> Sequence[str]:
    parameters = [f"`{parameter}`" for parameter in function.names({})] + ["…"] * function.open_ended
    metrics = ", ".join(f"`{metric}`" for metric in function.outputs)
    return f"`{name}`", ", ".join(parameters), metrics, function.help


def _dataset_row(dataset: Dataset) -> Sequence[str]:
    inputs = f"{dataset.inputs}, {'×'.join(map(str, dataset.shape))}"
    tasks = ", ".join(dataset.tasks)
    counts = str(dataset.outputs), str(dataset.examples)
    return f"`{dataset.name}`", dataset.title, tasks, inputs, *counts, dataset.licence, dataset.needs or "the service"


def _text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_table(header, rows))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""
