"""Echo state networks: a recurrent network that stays as it was drawn, and a linear readout in closed form."""

from workers.rows import Family
from workers.training.hyperparameters import Flag, Integer, Real

FAMILY = Family(
    name="esn",
    title="Echo state network",
    tasks=("classification", "forecasting"),
    inputs=("sequence", "image"),
    source="H. Jaeger, The echo state approach to analysing and training recurrent neural networks, 2001; "
    "M. Lukoševičius, A practical guide to applying echo state networks, 2012",
    builder="workers.families.esn.network:build",
    own=(
        Integer(
            name="width", default=200, low=50, high=2000, log=True, limits=(1, 5000), help="units of the reservoir"
        ),
        Real(
            name="spectral_radius",
            default=0.9,
            low=0.1,
            high=1.5,
            limits=(0, 10),
            help="largest absolute eigenvalue of the weights between units: how long inputs echo",
        ),
        Real(
            name="input_scale",
            default=0.5,
            low=0.01,
            high=2,
            log=True,
            limits=(0, 100),
            help="input weights and biases are drawn between -input_scale and input_scale",
        ),
        Real(
            name="leak",
            default=0.8,
            low=0.05,
            high=1,
            limits=(1e-6, 1),
            help="part of the state that each step replaces; note that rnn's leak is the part that stays",
        ),
        Real(
            name="density",
            default=0.1,
            low=0.01,
            high=1,
            log=True,
            limits=(0, 1),
            help="probability of a connection between two units",
        ),
        Real(
            name="ridge",
            default=0.1,
            low=1e-8,
            high=10,
            log=True,
            limits=(1e-12, 1e6),
            help="penalty on the squares of the readout's weights, beside the sum over the sequences of the mean "
            "squared error of their steps",
        ),
        Real(
            name="washout",
            default=0.2,
            low=0,
            high=1,
            limits=(0, 1),
            help="first part of each sequence whose states the readout does not use; with 1 it uses the last one only",
        ),
        Flag(name="quadratic", default=False, help="the readout also reads the squares of the units"),
    ),
    recipe=("preprocessing",),
    axes=("fraction", "width_fraction", "folds"),
    widths=("width",),
    epochs=1,
)
