"""The transformer's encoder: tokens that look at each other."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Integer, Real

FAMILY = Family(
    name="transformer_enc",
    title="Transformer encoder",
    tasks=("classification", "forecasting"),
    inputs=("image", "sequence"),
    source="A. Vaswani et al., Attention is all you need, 2017; A. Dosovitskiy et al., An image is worth 16×16 words, "
    "2021",
    builder="workers.families.transformer_enc.network:build",
    own=(
        Choice(
            name="width",
            default=64,
            choices=(16, 32, 64, 128, 256),
            help="numbers per token, a multiple of heads",
        ),
        Choice(name="heads", default=4, choices=(1, 2, 4, 8), help="attentions side by side, each with its share"),
        Integer(name="layers", default=2, low=1, high=6, limits=(1, 48), help="blocks of attention and perceptron"),
        Choice(
            name="expansion",
            default=2,
            choices=(1, 2, 4),
            help="hidden units of each block's perceptron, as a multiple of width",
        ),
        Integer(
            name="patch",
            default=2,
            low=1,
            high=4,
            limits=(1, 256),
            help="side of the square of pixels that is one token; how many steps, where the inputs are sequences",
        ),
        Choice(
            name="positions",
            default="sine",
            choices=("sine", "learned"),
            help="how a token knows where it is",
        ),
        Choice(
            name="similarity",
            default="scaled",
            choices=("dot", "scaled", "general", "additive"),
            help="how a query q and a key k compare: q k, q k / √size, q W k, v tanh(q + k)",
        ),
        Choice(
            name="layer_norm",
            default="post",
            choices=("pre", "post"),
            help="normalize what each part of a block reads, or the sum that it is added to, as in the paper",
        ),
        Real(
            name="attention_dropout",
            default=0.1,
            low=0,
            high=0.4,
            limits=(0, 0.95),
            help="probability that a token does not see another",
        ),
        Choice(
            name="pool",
            default="mean",
            choices=("token", "mean"),
            help="what the answer follows from: a token of its own, or the mean of all",
        ),
    ),
    recipe=(
        "optimizer",
        "schedule",
        "batch",
        "clip",
        "decay",
        "init",
        "head",
        "dropout",
        "label_smoothing",
        "sequence_augmentation",
        "early_stopping",
        "averaging",
    ),
    defaults={"init": "xavier_uniform", "warmup": 0.1},
    axes=("epochs", "fraction", "folds"),
    epochs=60,
)
