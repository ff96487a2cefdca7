"""What can be trained, and on what: two explicit tables of plain data.

To add a network family, write the folder `workers/families/<name>/`: its row FAMILY in `__init__.py`, and the network
with a function `build` in `network.py` (see `workers.training.learner`). To add a dataset, write
`workers/data/sets/<name>.py` with its row and a function `load` (see `workers.data.source`). Then name the row below.
Importing the tables loads no torch.

    python -m workers.catalogue > docs/families.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.data.sets import (
    archive,
    block_models,
    digit_scenes,
    digits,
    environments,
    fashion_mnist,
    karate,
    mnist5k,
    movielens_small,
    multimodal,
    pydoc_text,
    ring,
    scikit_tables,
    series,
    statsmodels_tables,
    two_moons,
)
from workers.data.uploaded import row_of
from workers.families import (
    autoencoder,
    cell,
    chain_cnn,
    chain_net,
    char_lm,
    esn,
    gan,
    gnn,
    lenet,
    linear,
    made_nade,
    mdn,
    mlp,
    mobilenet,
    policy_gradient,
    recommender,
    resnet,
    rnn,
    transformer_enc,
    unet,
    vae,
)
from workers.rows import Dataset, Facts, Family, load
from workers.tasks import TASKS

__all__ = ["DATASETS", "FAMILIES", "Dataset", "Facts", "Family", "dataset_of", "describe", "load"]

DATASETS: Mapping[str, Dataset] = {
    row.name: row
    for row in (
        digits.DATASET,
        *series.DATASETS,
        *archive.DATASETS,
        ring.DATASET,
        two_moons.DATASET,
        mnist5k.DATASET,
        *fashion_mnist.DATASETS,
        digit_scenes.DATASET,
        *scikit_tables.DATASETS,
        *statsmodels_tables.DATASETS,
        multimodal.DATASET,
        movielens_small.DATASET,
        *environments.DATASETS,
        pydoc_text.DATASET,
        karate.DATASET,
        *block_models.DATASETS,
    )
}

FAMILIES: Mapping[str, Family] = {
    row.name: row
    for row in (
        mlp.FAMILY,
        lenet.FAMILY,
        rnn.FAMILY,
        esn.FAMILY,
        transformer_enc.FAMILY,
        chain_cnn.FAMILY,
        chain_net.FAMILY,
        resnet.FAMILY,
        mobilenet.FAMILY,
        cell.FAMILY,
        unet.FAMILY,
        char_lm.FAMILY,
        gnn.FAMILY,
        linear.FAMILY,
        mdn.FAMILY,
        autoencoder.FAMILY,
        vae.FAMILY,
        made_nade.FAMILY,
        gan.FAMILY,
        recommender.FAMILY,
        policy_gradient.FAMILY,
    )
}


def dataset_of(reference: str | Mapping[str, Any]) -> Dataset:
    """The row of the dataset that an objective names: one of the table, or an uploaded one as a study stores it.

    Raises InvalidInput where nothing can be trained on what was uploaded.
    """
    return DATASETS[reference] if isinstance(reference, str) else row_of(reference)


def describe(family: Family) -> dict[str, Any]:
    """The family as JSON: what a study of it may say."""
    return {
        "name": family.name,
        "title": family.title,
        "tasks": list(family.tasks),
        "inputs": list(family.inputs),
        "metric": {"name": TASKS[family.tasks[0]].default.name, "direction": TASKS[family.tasks[0]].default.direction},
        "fidelity": family.axes[0],
        "fidelities": list(family.axes),
        "epochs": family.epochs,
        "datasets": [dataset.name for dataset in DATASETS.values() if family.fits(dataset)],
        "parameters": {inputs: family.parameters(inputs) for inputs in family.inputs},
        "source": family.source,
    }
