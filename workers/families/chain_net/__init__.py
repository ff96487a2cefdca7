"""Chains of convolutions in stages, whose architecture is searched by growing trained networks."""

from spaces.architectures.chain import KERNELS, WIDTHS, Chain
from workers.rows import Family
from workers.training.hyperparameters import Choice
from workers.training.recipe import EVERYTHING

NAME = "cell"  # the name that the architecture has in a space of this family
LARGEST = Chain(NAME, stages=3, blocks=6)


def choices() -> tuple[Choice, ...]:
    """The preset, and every choice of the largest chain."""
    found = [Choice(name=NAME, default=Chain.preset, choices=(Chain.preset,), help="what kind of architecture it is")]
    for gene in LARGEST.genes:
        what = gene.rest.rpartition(".")[2]
        known = {"width": WIDTHS, "kernel": KERNELS}.get(what, gene.choices)
        found.append(
            Choice(
                name=f"{NAME}.{gene.rest}",
                default=gene.choices[0],
                choices=known,
                rare=tuple(choice for choice in known if choice not in gene.choices),
                when=None if gene.least is None else {"parameter": f"{NAME}.{gene.least[0]}", "gt": gene.least[1] - 1},
                optional=True,
                help=HELP[what],
            )
        )
    return tuple(found)


HELP = {
    "width": "maps of the stage",
    "blocks": "convolutions of the stage",
    "kernel": "side of the convolution",
    "skip": "whether the block's input is added to its output",
}

FAMILY = Family(
    name="chain_net",
    title="Chain of convolutions that can grow (network morphisms)",
    tasks=("classification",),
    inputs=("image",),
    source="T. Wei et al., Network morphism, 2016; T. Chen, I. Goodfellow and J. Shlens, Net2Net: accelerating "
    "learning via knowledge transfer, 2016; T. Elsken, J. Metzen and F. Hutter, Efficient multi-objective neural "
    "architecture search via Lamarckian evolution, 2019",
    builder="workers.families.chain_net.network:build",
    own=choices(),
    # growing keeps the function of rectifiers and batch normalization
    recipe=tuple(module for module in EVERYTHING if module not in ("activation", "norm")),
    axes=("epochs", "fraction", "resolution", "folds"),
    epochs=15,
)
