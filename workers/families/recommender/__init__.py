"""Recommenders: how a user will rate an item, from the ratings of all."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer, Real

FAMILY = Family(
    name="recommender",
    title="Recommender",
    tasks=("rating",),
    inputs=("ratings",),
    source="Y. Koren, R. Bell and C. Volinsky, Matrix factorization techniques for recommender systems, 2009; Y. Koren "
    "2008 (svdpp); D. Agarwal and B. Chen 2009 (item_features); X. He et al. 2017 (neural); P. Resnick et al. 1994 "
    "(knn); R. Salakhutdinov, A. Mnih and G. Hinton 2007 (rbm)",
    builder="workers.families.recommender.network:build",
    own=(
        Choice(
            name="model",
            default="svdpp",
            choices=("bias", "mf", "svdpp", "neural", "knn", "rbm", "content"),
            help="what a rating follows from: how kind the user and how good the item is; products of factors; those, "
            "where all that a user rated tells of the user's; a network on factors; users alike; hidden units of all "
            "ratings; what is known of the item",
        ),
        Integer(
            name="factors",
            default=16,
            low=2,
            high=128,
            log=True,
            limits=(1, 2048),
            when={"parameter": "model", "in": ["mf", "svdpp", "neural"]},
            help="numbers that describe a user, and an item",
        ),
        Flag(
            name="item_features",
            default=True,
            when={"parameter": "model", "in": ["mf", "svdpp", "neural"]},
            help="what describes an item is what its features tell, plus something of its own",
        ),
        Real(
            name="reg",
            default=20,
            low=2,
            high=200,
            log=True,
            limits=(0, 1e6),
            when={"parameter": "model", "in": ["mf", "svdpp", "neural", "rbm", "content"]},
            help="penalty on the squares of what describes a user, or an item; the more ratings it has, the less it "
            "matters",
        ),
        Real(
            name="bias_reg",
            default=3,
            low=0.5,
            high=20,
            log=True,
            limits=(0, 1e6),
            when={"parameter": "model", "in": ["bias", "mf", "svdpp", "neural", "content"]},
            help="the same for how kind a user and how good an item is",
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
            when={"parameter": "model", "in": ["bias", "mf", "svdpp", "neural", "knn", "rbm"]},
            help="how good an item without ratings is taken to be: as the others, or as what is known of it tells",
        ),
    ),
    recipe=("optimizer", "schedule", "batch", "clip", "early_stopping"),
    defaults={"batch_size": 512, "lr": 6e-3},
    epochs=15,
)
