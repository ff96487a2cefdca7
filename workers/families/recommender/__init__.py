"""Recommenders: how a user will rate an item, from the ratings of all."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Integer, Real

FAMILY = Family(
    name="recommender",
    title="Recommender",
    tasks=("rating",),
    inputs=("ratings",),
    source="Y. Koren, R. Bell and C. Volinsky, Matrix factorization techniques for recommender systems, 2009; X. He et "
    "al. 2017 (neural); P. Resnick et al. 1994 (knn); R. Salakhutdinov, A. Mnih and G. Hinton 2007 (rbm)",
    builder="workers.families.recommender.network:build",
    own=(
        Choice(
            name="model",
            default="mf",
            choices=("bias", "mf", "neural", "knn", "rbm", "content"),
            help="what a rating follows from: how kind the user and how good the item is; products of factors; a "
            "network on factors; users alike; hidden units of all ratings; what is known of the item",
        ),
        Integer(
            name="factors",
            default=16,
            low=2,
            high=128,
            log=True,
            limits=(1, 2048),
            when={"parameter": "model", "in": ["mf", "neural"]},
            help="numbers that describe a user, and an item",
        ),
        Real(
            name="reg",
            default=0.15,
            low=1e-3,
            high=1,
            log=True,
            limits=(0, 100),
            when={"parameter": "model", "in": ["bias", "mf", "neural", "rbm", "content"]},
            help="penalty on the squares of what describes a user and an item, per rating",
        ),
        Integer(
            name="neighbours",
            default=30,
            low=5,
            high=100,
            log=True,
            limits=(1, 10_000),
            when={"parameter": "model", "equals": "knn"},
            help="users alike, who rated the item, at most",
        ),
        Integer(
            name="hidden",
            default=64,
            low=16,
            high=256,
            log=True,
            limits=(2, 8192),
            when={"parameter": "model", "in": ["neural", "rbm"]},
            help="hidden units",
        ),
        Choice(
            name="cold",
            default="mean",
            choices=("mean", "content"),
            when={"parameter": "model", "in": ["bias", "mf", "neural", "knn", "rbm"]},
            help="how good an item without ratings is taken to be: as the others, or as what is known of it tells",
        ),
    ),
    recipe=("optimizer", "schedule", "batch", "clip", "early_stopping"),
    defaults={"batch_size": 512},
)
