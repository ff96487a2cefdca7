"""Networks that read graphs: what is known of a node comes from its neighbours."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer, Real

SAGE = ["sage_mean", "sage_max", "sage_lstm"]

FAMILY = Family(
    name="gnn",
    title="Graph neural network",
    tasks=("classification",),
    inputs=("graph",),
    source="T. Kipf and M. Welling, Semi-supervised classification with graph convolutional networks, 2017; "
    "W. Hamilton, R. Ying and J. Leskovec, Inductive representation learning on large graphs, 2017",
    builder="workers.families.gnn.network:build",
    own=(
        Choice(
            name="aggregation",
            default="gcn",
            choices=("gcn", *SAGE),
            help="how a layer reads a node's neighbours: graph convolution, or GraphSAGE by mean, maximum or LSTM",
        ),
        Integer(name="layers", default=2, low=1, high=4, limits=(1, 16), help="steps that news travel along the edges"),
        Integer(name="hidden", default=32, low=4, high=128, log=True, limits=(1, 4096), help="units per hidden layer"),
        Flag(
            name="self_loops",
            default=True,
            when={"parameter": "aggregation", "equals": "gcn"},
            help="let every node be its own neighbour, too",
        ),
        Choice(
            name="adjacency",
            default="sym",
            choices=("sym", "row"),
            when={"parameter": "aggregation", "equals": "gcn"},
            help="neighbours' weights: over the root of both degrees, or over the node's own degree (their mean)",
        ),
        Integer(
            name="fanout",
            default=10,
            low=2,
            high=25,
            log=True,
            limits=(1, 1024),
            when={"parameter": "aggregation", "in": SAGE},
            help="neighbours that a training step reads of each node, drawn anew for every layer",
        ),
        Choice(
            name="features",
            default="identity",
            choices=("identity", "degree", "deepwalk"),
            help="what is known of a node alone: its number, its degree, or where random walks from it lead",
        ),
        Real(
            name="edge_dropout",
            default=0,
            low=0,
            high=0.5,
            limits=(0, 0.95),
            help="probability of leaving an edge out of a training step",
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
        "dropout",
        "label_smoothing",
        "early_stopping",
    ),
    defaults={
        "lr": 0.02,
        "batch_size": 512,
        "weight_decay": 5e-3,
        "dropout": 0.5,
        "init": "xavier_uniform",
        "activation": "tanh",
    },
    axes=("epochs", "fraction"),
    epochs=100,
)
