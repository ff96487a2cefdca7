"""The variational autoencoder: a latent variable model and the network that infers its latents."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Integer, Real

FAMILY = Family(
    name="vae",
    title="Variational autoencoder",
    tasks=("density", "generation"),
    inputs=("table", "image"),
    source="D. Kingma and M. Welling, Auto-encoding variational Bayes, 2014; planar flows: D. Rezende and S. Mohamed "
    "2015; pseudo-inputs: J. Tomczak and M. Welling 2018; masked convolutions: A. van den Oord et al. 2016",
    builder="workers.families.vae.network:build",
    own=(
        Integer(name="latent", default=8, low=2, high=64, log=True, limits=(1, 2048), help="latent variables"),
        Integer(name="width", default=256, low=32, high=512, log=True, limits=(1, 8192), help="units per hidden layer"),
        Integer(name="depth", default=1, low=1, high=3, limits=(1, 16), help="hidden layers of encoder and decoder"),
        Choice(
            name="likelihood",
            default="auto",
            choices=("auto", "bernoulli", "gauss"),
            preset="everything",
            help="bernoulli: of inputs that are binarized at half; gauss: a density of the inputs as they are; auto: "
            "bernoulli for pixels, gauss for tables. Nats of the two do not compare",
        ),
        Choice(
            name="posterior",
            default="diag",
            choices=("diag", "planar"),
            help="q(z|x): a diagonal Gaussian, or one that planar flows bend",
        ),
        Integer(
            name="flows",
            default=4,
            low=1,
            high=8,
            limits=(1, 64),
            when={"parameter": "posterior", "equals": "planar"},
            help="planar flows, one after the other",
        ),
        Choice(
            name="prior",
            default="normal",
            choices=("normal", "pseudo"),
            help="p(z): a standard Gaussian, or the mean of the posteriors of learnt pseudo-inputs",
        ),
        Integer(
            name="pseudo_inputs",
            default=50,
            low=5,
            high=200,
            log=True,
            limits=(1, 5000),
            when={"parameter": "prior", "equals": "pseudo"},
            help="pseudo-inputs; they start as training examples",
        ),
        Choice(
            name="decoder",
            default="mlp",
            choices=("mlp", "conv", "pixelcnn"),
            help="p(x|z); conv and pixelcnn are for images; pixelcnn also reads the pixels before",
        ),
        Real(
            name="kl_warmup",
            default=0.1,
            low=0,
            high=0.5,
            limits=(0, 1),
            help="fraction of the training in which the divergence's weight rises from 0 to 1",
        ),
        Real(
            name="free_nats",
            default=0,
            low=0,
            high=0.5,
            limits=(0, 100),
            when={"parameter": "decoder", "equals": "pixelcnn"},
            help="divergence per latent that costs nothing in training, so that the decoder does not ignore it",
        ),
    ),
    recipe=(
        "optimizer",
        "schedule",
        "batch",
        "clip",
        "decay",
        "init",
        "activation",
        "norm",
        "dropout",
        "early_stopping",
    ),
    defaults={"norm": "none", "dropout": 0, "lr": 6e-3, "weight_decay": 0.1},
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("width",),
    epochs=100,
)
