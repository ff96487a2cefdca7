"""One-shot architecture search: one run trains a network that holds all architectures, and the best are trained alone.

A method is how the weights of the operations follow from what is learnt, how their outputs are mixed, and who is
trained on what; the workers carry it out (`workers.supernets`). Its options are declared here, with the constants of
its paper as defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from search.algorithms.row import Algorithm, Options
from search.algorithms.shared import uniform
from search.options import Option
from search.schedulers import Scheduler
from search.schedulers.one_shot import ENOUGH, OneShot
from spaces import Problem, Space
from spaces.architectures import of_space

RANKING = (
    Option("ranked", "int", "Architectures that the supernet ranks.", default=100, at_least=1, at_most=10_000),
    Option("retrain", "int", "The best of them, each trained by itself.", default=5, at_least=1, at_most=1000),
    Option(
        "trusted",
        "int",
        "Others from the whole ranking that are trained too, to tell whether it can be trusted.",
        default=15,
        at_least=0,
        at_most=1000,
    ),
)
SUPERNET = (
    Option("epochs", "int", "How long the supernet is trained.", default=50, at_least=1, at_most=10_000),
    Option("batch_size", "int", "Examples per step of the supernet.", default=64, at_least=2, at_most=65_536),
    Option("channels", "int", "Maps of its first cells; the space's or the family's if not given.", at_least=1),
    Option("layers", "int", "Its cells, or those of each stage; as above.", at_least=1, at_most=100),
    Option("lr", "float", "Learning rate of its weights, by a cosine to a 25th.", default=0.025, above=0, at_most=10),
    Option("momentum", "float", "Of its weights.", default=0.9, at_least=0, at_most=0.999),
    Option("weight_decay", "float", "Of its weights.", default=3e-4, at_least=0, at_most=1),
    Option("clip", "float", "Largest norm of the gradient of its weights.", default=5.0, above=0),
)
ARCHITECTURE = (
    Option("alpha_lr", "float", "Learning rate of the architecture (Adam).", default=3e-4, above=0, at_most=10),
    Option("alpha_decay", "float", "L2 penalty of the architecture.", default=1e-3, at_least=0, at_most=1),
)
ORDER = Option(
    "order",
    "text",
    "Whether the architecture's gradient looks one step of the weights ahead (second), or not (first).",
    default="second",
    choices=("first", "second"),
)


COST_WEIGHTS: Mapping[str, float] = {"multiply": 0.3, "add": 0.1}
"""By the form in which it enters the loss of proxyless: what a cost counts where a study does not say."""


def with_defaults(options: Iterable[Option], **defaults: float | int | str) -> tuple[Option, ...]:
    return tuple(replace(each, default=defaults.get(each.name, each.default)) for each in options)


def _scheduler(space: Space, options: Options) -> Scheduler:
    highest = space.fidelity.high if space.fidelity else None
    return OneShot(space.default(), highest, options["retrain"], options["trusted"])


def _advice(space: Space, options: Options) -> Iterable[Problem]:
    architecture = of_space(space)
    if architecture is None:
        return
    own = {parameter["name"] for parameter in architecture.parameters()}
    for index, parameter in enumerate(space):
        if parameter.name not in own and parameter.domain.count != 1:
            message = (
                "keeps its default: a supernet searches the architecture alone; search the recipe in another study"
            )
            yield Problem(("space", "parameters", index), message)
    if (pairs := min(options["ranked"], options["retrain"] + options["trusted"])) < ENOUGH:
        message = f"{pairs} architectures are trained by themselves: {ENOUGH} would tell whether to trust the ranking"
        yield Problem(("algorithm", "ranked" if options["ranked"] < ENOUGH else "trusted"), message)


def _row(name: str, summary: str, paper: str, options: tuple[Option, ...]) -> Algorithm:
    return Algorithm(
        name=name,
        summary=summary,
        paper=paper,
        sampler=uniform,
        scheduler=_scheduler,
        options=(*options, *RANKING),
        one_shot=True,
        needs_architecture=True,
        several_metrics=True,
        learns=True,
        ends=True,
        advise=_advice,
    )


ROWS = (
    _row(
        "darts",
        "Descends on mixtures of all operations, weights and architecture in turns; keeps the strongest.",
        "Liu et al. 2019, DARTS: differentiable architecture search",
        (ORDER, *SUPERNET, *ARCHITECTURE),
    ),
    _row(
        "gdas",
        "As darts, but every step draws one operation per edge: a fraction of the memory.",
        "Dong and Yang 2019, Searching for a robust neural architecture in four GPU hours",
        (
            Option("tau_start", "float", "Temperature of the draws at first.", default=10.0, above=0, at_most=1000),
            Option("tau_end", "float", "And at last.", default=0.1, above=0, at_most=1000),
            *with_defaults(SUPERNET, epochs=250, weight_decay=5e-4),
            *ARCHITECTURE,
        ),
    ),
    _row(
        "pc-darts",
        "As darts, but only a part of the channels is mixed, and edges have weights of their own.",
        "Xu et al. 2020, PC-DARTS: partial channel connections for memory-efficient architecture search",
        (
            Option("partial", "int", "One channel of so many is mixed.", default=4, at_least=1, at_most=64),
            Option("warmup", "float", "Share of the epochs that only train weights.", 0.3, at_least=0, at_most=0.9),
            *with_defaults(SUPERNET, batch_size=256, lr=0.1),
            *with_defaults(ARCHITECTURE, alpha_lr=6e-4),
        ),
    ),
    _row(
        "sdarts",
        "As darts, with weights that are trained under a perturbed architecture: a flatter end.",
        "Chen and Hsieh 2020, Stabilizing differentiable architecture search via perturbation-based regularization",
        (
            Option("perturbation", "text", "How it is perturbed.", "random", choices=("random", "adversarial")),
            Option("epsilon_start", "float", "Size of the perturbation at first.", default=0.03, at_least=0, at_most=1),
            Option("epsilon_end", "float", "And at last.", default=0.3, at_least=0, at_most=1),
            Option("ascent", "int", "Steps of the adversary.", default=7, at_least=1, at_most=100),
            *with_defaults((ORDER,), order="first"),
            *SUPERNET,
            *ARCHITECTURE,
        ),
    ),
    _row(
        "robust-darts",
        "As darts; watches the curvature of the validation loss, and stops or regularizes when it rises.",
        "Zela et al. 2020, Understanding and robustifying differentiable architecture search",
        (
            Option(
                "response",
                "text",
                "The answer to a rise: the architecture before it (stop), or on from there with ten times the weight"
                " decay (regularize).",
                default="stop",
                choices=("stop", "regularize"),
            ),
            Option("every", "int", "Epochs between two looks.", default=2, at_least=1, at_most=100),
            Option("window", "int", "Looks that are averaged.", default=5, at_least=1, at_most=100),
            Option("patience", "int", "Looks back to compare with.", default=4, at_least=1, at_most=100),
            Option("start", "int", "The first epoch that may stop.", default=10, at_least=0, at_most=10_000),
            Option("rise", "float", "A larger ratio is a rise.", default=1.3, above=1, at_most=100),
            *with_defaults((ORDER,), order="first"),
            *SUPERNET,
            *ARCHITECTURE,
        ),
    ),
    _row(
        "drop-path",
        "As darts, with operations that are left out at random, more and more of them.",
        "Zela et al. 2020; Zoph et al. 2018, Learning transferable architectures (ScheduledDropPath)",
        (
            Option("drop", "float", "Share that is left out.", default=0.3, at_least=0, at_most=0.9),
            Option(
                "drop_schedule", "text", "From the start, or growing to it.", "linear", choices=("constant", "linear")
            ),
            *with_defaults((ORDER,), order="first"),
            *SUPERNET,
            *ARCHITECTURE,
        ),
    ),
    _row(
        "rsps",
        "Random search with shared weights: every step trains one architecture drawn at random.",
        "Li and Talwalkar 2019, Random search and reproducibility for neural architecture search",
        SUPERNET,
    ),
    _row(
        "enas",
        "A controller is rewarded for architectures that do well with shared weights.",
        "Pham et al. 2018, Efficient neural architecture search via parameter sharing",
        (
            Option("controller_lr", "float", "Its learning rate (Adam).", default=1e-3, above=0, at_most=1),
            Option("controller_hidden", "int", "Its units.", default=32, at_least=1, at_most=1024),
            Option("controller_steps", "int", "Its steps per epoch.", default=50, at_least=1, at_most=10_000),
            Option("controller_samples", "int", "Architectures per step.", default=20, at_least=1, at_most=1000),
            Option("entropy", "float", "Reward for staying undecided.", default=1e-4, at_least=0, at_most=1),
            Option(
                "baseline_decay", "float", "Of the mean of earlier rewards.", default=0.99, at_least=0, at_most=0.9999
            ),
            *with_defaults(SUPERNET, lr=0.05, weight_decay=2.5e-4),
        ),
    ),
    _row(
        "proxyless",
        "Trains one path at a time and compares two; may weigh what an architecture costs.",
        "Cai et al. 2019, ProxylessNAS: direct neural architecture search on target task and hardware",
        (
            Option("warmup", "float", "Share of the epochs that only train weights.", 0.25, at_least=0, at_most=0.9),
            Option("alpha_every", "int", "Steps of the weights per step of the architecture.", 5, at_least=1),
            Option("cost", "text", "What an operation costs.", "none", choices=("none", "latency", "multiply_adds")),
            Option("cost_form", "text", "How it enters the loss.", "multiply", choices=tuple(COST_WEIGHTS)),
            Option("cost_reference", "float", "The cost aimed at; the mean architecture's if not given.", above=1),
            Option(
                "cost_weight",
                "float",
                f"How much it counts; if not given, {COST_WEIGHTS['multiply']:g} in multiply (the exponent), and"
                f" {COST_WEIGHTS['add']:g} in add.",
                at_least=0,
                at_most=100,
            ),
            *SUPERNET,
            *with_defaults(ARCHITECTURE, alpha_lr=1e-3, alpha_decay=0),
        ),
    ),
    _row(
        "weight-entanglement",
        "As darts, on weights instead of outputs: small kernels are parts of the large one.",
        "Sukthanker et al. 2024, Weight-entanglement meets gradient-based neural architecture search",
        (
            Option(
                "relaxation", "text", "How weights are drawn.", "softmax", choices=("softmax", "gumbel", "dirichlet")
            ),
            *with_defaults((ORDER,), order="first"),
            *SUPERNET,
            *ARCHITECTURE,
        ),
    ),
)
