"""Four small tables that come with scikit-learn, as it has them: three of classes, one of numbers."""

from __future__ import annotations

import numpy as np

from workers.data.source import Source
from workers.rows import Dataset

DATASETS = (
    Dataset(
        name="breast_cancer",
        title="Breast tumours, benign or malignant, by 30 measures of cell nuclei",
        tasks=("classification",),
        inputs="table",
        shape=(30,),
        outputs=2,
        examples=569,
        licence="CC BY 4.0",
        source="W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine "
        "Learning Repository, 1993 (as scikit-learn ships it)",
        loader="workers.data.sets.scikit_tables:breast_cancer",
        sha256="f86286b06e0eb4fbbb699d6ba5df7f1432e65642369ae111d0e47b47d02338bc",
    ),
    Dataset(
        name="wine",
        title="Wines of three growers, by 13 measures of a chemical analysis",
        tasks=("classification",),
        inputs="table",
        shape=(13,),
        outputs=3,
        examples=178,
        licence="CC BY 4.0",
        source="S. Aeberhard and M. Forina, Wine, UCI Machine Learning Repository, 1992 (as scikit-learn ships it)",
        loader="workers.data.sets.scikit_tables:wine",
        sha256="300d849b9eb766c3058bcebb4f806f42766e213cbcd8402c411d3d592747e011",
    ),
    Dataset(
        name="diabetes",
        title="Progression of diabetes within a year, by 10 measures of a patient",
        tasks=("regression", "uncertainty"),
        inputs="table",
        shape=(10,),
        outputs=1,
        examples=442,
        licence="given without one by the authors of the paper; scikit-learn ships it",
        source="B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Least angle regression, 2004",
        loader="workers.data.sets.scikit_tables:diabetes",
        splitting="random",
        sha256="70a45af6bc04fb77f713e6aca86019c4707501ef0cbd17c743d74f7a9ca8bf11",
    ),
)


def breast_cancer() -> Source:
    from sklearn.datasets import load_breast_cancer

    features, labels = load_breast_cancer(return_X_y=True)
    return Source(features.astype(np.float32), labels.astype(np.int64))


def wine() -> Source:
    from sklearn.datasets import load_wine

    features, labels = load_wine(return_X_y=True)
    return Source(features.astype(np.float32), labels.astype(np.int64))


def diabetes() -> Source:
    """Inputs in their own units (years, mm Hg, ...), targets [examples, 1] from 25 to 346."""
    from sklearn.datasets import load_diabetes

    features, targets = load_diabetes(return_X_y=True, scaled=False)
    return Source(features.astype(np.float32), targets.astype(np.float32)[:, None])
