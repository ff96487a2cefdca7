"""The reference page of the catalogue, as Markdown: `python -m workers.catalogue > docs/families.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from workers.catalogue import DATASETS, FAMILIES, TASK_METRICS, Dataset, Family
from workers.objectives.functions import FUNCTIONS, Function
from workers.training.hyperparameters import Choice, Hyperparameter, Number
from workers.training.recipe import IMAGE_RECIPE, RECIPE

INTRODUCTION = """\
# Families and datasets

What a study may train, and functions to try things with. `python -m workers.catalogue > docs/families.md` writes this
page from the tables in `workers/catalogue.py`, `workers/training/recipe.py` and `workers/objectives/functions.py`.

```yaml
objective: {type: train, family: lenet, dataset: digits}
```

A study's space may name any hyperparameter of the family and of the recipe; what it does not name keeps its default.
The ranges are where searching usually pays off; a study may leave them, up to the limits. A hyperparameter with a
condition is ignored where the condition does not hold.

Some are not mutable, since a training cannot go on with other values of them: those of the families, and of the recipe
{fixed}.
With `pbt`, a space says `mutable: false` of each of them that it searches.

Options of the objective: `split_seed` (0) draws another split into train, validation and test (60, 20 and 20 percent,
every class in proportion); `epochs` is the length of a training where the space has no fidelity.

Every training reports once per epoch, the learning rate `lr` beside the metrics below. The schedule of the learning
rate is laid out over the highest fidelity, so that a training that pauses and goes on equals one that never paused. The
test split is read once, for the best run of a study: `test_accuracy` and `test_loss`.

`parameters` is how many numbers the training fits. It is known from the config, is best small, and may be a second
objective or a constraint:

```yaml
metrics:
  - {name: val_accuracy, direction: maximize}
  - {name: parameters, at_most: 50000}
```
"""

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
    fixed = [f"`{each.name}`" for each in RECIPE if not each.mutable]
    yield INTRODUCTION.replace("{fixed}", f"{', '.join(fixed[:-1])} and {fixed[-1]}")
    yield "## Datasets\n"
    yield from _table(
        ("name", "what", "inputs", "classes", "examples", "licence"), map(_dataset_row, DATASETS.values())
    )
    yield "Sources:\n"
    yield from (f"- `{dataset.name}`: {dataset.source}" for dataset in DATASETS.values())
    yield "\n## Families\n"
    for family in FAMILIES.values():
        yield from _family(family)
    yield "## The training recipe\n"
    yield "All families have these. The minimal preset comes first.\n"
    yield from _hyperparameters(RECIPE)
    yield "Where the dataset holds images, there are also:\n"
    yield from _hyperparameters(IMAGE_RECIPE)
    yield FUNCTIONS_INTRODUCTION
    rows = (_function_row(name, function) for name, function in FUNCTIONS.items())
    yield from _table(("name", "parameters", "metrics", "where"), rows)


def _family(family: Family) -> Iterator[str]:
    datasets = ", ".join(f"`{dataset.name}`" for dataset in DATASETS.values() if family.fits(dataset))
    metrics = ", ".join(f"`{name}`" for task in family.tasks for name in TASK_METRICS[task])
    yield f"### `{family.name}`: {family.title}\n"
    yield f"{family.source}.\n"
    yield f"- tasks: {', '.join(family.tasks)} of {' and '.join(family.inputs)} inputs; datasets: {datasets}"
    yield f"- metrics: {metrics}"
    yield f"- fidelity: `{family.fidelity}`; without one, a training takes {family.epochs}\n"
    yield from _hyperparameters(family.own)


def _hyperparameters(hyperparameters: Iterable[Hyperparameter]) -> Iterator[str]:
    header = ("name", "type", "range", "default", "limits", "only where", "preset", "what")
    yield from _table(header, map(_hyperparameter_row, hyperparameters))


def _hyperparameter_row(each: Hyperparameter) -> Sequence[str]:
    limits = "{:.12g} to {:.12g}".format(*each.limits) if isinstance(each, Number) else ""
    default = json.dumps(each.default).strip('"')
    return f"`{each.name}`", each.type, _range(each), default, limits, _condition(each), each.preset, each.help


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
    return f"`{dataset.name}`", dataset.title, inputs, str(dataset.classes), str(dataset.examples), dataset.licence


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""
