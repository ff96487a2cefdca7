"""Language models over characters: counted n-grams, recurrent networks, and a causal transformer."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer, Real

RECURRENT = ["vanilla", "lstm", "gru"]
NEURAL = [*RECURRENT, "transformer"]

FAMILY = Family(
    name="char_lm",
    title="Character language model",
    tasks=("language",),
    inputs=("text",),
    source="n-grams: F. Jelinek and R. Mercer 1980, D. MacKay and L. Peto 1995; recurrent: T. Mikolov et al. 2010, "
    "S. Hochreiter and J. Schmidhuber 1997, K. Cho et al. 2014; transformer: A. Vaswani et al. 2017; "
    "tied embeddings: O. Press and L. Wolf 2017",
    builder="workers.families.char_lm.network:build",
    own=(
        Choice(
            name="core",
            default="gru",
            choices=("ngram", *NEURAL),
            help="what reads the characters before the one to predict; ngram counts once and needs one epoch",
        ),
        Integer(
            name="order",
            default=5,
            low=2,
            high=8,
            limits=(1, 12),
            when={"parameter": "core", "equals": "ngram"},
            help="characters of the longest n-grams",
        ),
        Real(
            name="smoothing",
            default=5,
            low=0.1,
            high=50,
            log=True,
            limits=(1e-6, 1e6),
            when={"parameter": "core", "equals": "ngram"},
            help="how many observations the shorter context's distribution counts for",
        ),
        Integer(
            name="hidden",
            default=256,
            low=64,
            high=512,
            log=True,
            limits=(1, 4096),
            when={"parameter": "core", "in": RECURRENT},
            help="units of each recurrent layer",
        ),
        Integer(
            name="embedding",
            default=64,
            low=16,
            high=128,
            log=True,
            limits=(1, 1024),
            when={"parameter": "core", "in": RECURRENT},
            help="numbers that stand for a character",
        ),
        Choice(
            name="width",
            default=64,
            choices=(64, 96, 128, 192),
            when={"parameter": "core", "equals": "transformer"},
            help="numbers that stand for a position, in all of the transformer's blocks",
        ),
        Choice(
            name="heads",
            default=4,
            choices=(2, 4, 8),
            when={"parameter": "core", "equals": "transformer"},
            help="attention heads of each block",
        ),
        Integer(
            name="layers",
            default=1,
            low=1,
            high=4,
            limits=(1, 16),
            when={"parameter": "core", "in": NEURAL},
            help="recurrent layers, or blocks",
        ),
        Integer(
            name="context",
            default=64,
            low=32,
            high=256,
            log=True,
            limits=(2, 4096),
            when={"parameter": "core", "in": NEURAL},
            help="characters that a gradient goes back; a transformer sees no more than these",
        ),
        Flag(
            name="tied",
            default=False,
            when={"parameter": "core", "in": NEURAL},
            help="read and predict characters by the same embedding",
        ),
    ),
    recipe=("optimizer", "schedule", "batch", "clip", "decay", "init", "dropout", "early_stopping"),
    defaults={"batch_size": 32, "clip": "norm", "init": "inverse_sqrt", "weight_decay": 1e-4},
    axes=("epochs",),
    epochs=10,
)
