"""A training script as one has it, and four calls that make it part of a study. Runs by hand, too:

python train.py --lr 0.01 --epochs 5
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import assay

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--alpha", type=float, default=1e-4)
parser.add_argument("--penalty", choices=["l2", "elasticnet"], default="l2")
parser.add_argument("--l1-ratio", type=float, default=0.15)
parser.add_argument("--epochs", type=int, default=10)
args = parser.parse_args()

inputs, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(inputs / 16, labels, test_size=0.3, random_state=0, stratify=labels)
classes = np.unique(labels)
model = SGDClassifier(
    loss="log_loss",
    learning_rate="constant",
    eta0=args.lr,
    alpha=args.alpha,
    penalty=args.penalty,
    l1_ratio=args.l1_ratio,
)

done = 0
if resume := assay.resume_dir():  # an earlier run of this trial went up to here
    saved = np.load(resume / "model.npz")
    done, model.t_ = int(saved["epoch"]), float(saved["t"])
    model.classes_, model.coef_, model.intercept_ = classes, saved["coef"], saved["intercept"]

for epoch in range(done + 1, args.epochs + 1):
    # An order of its own for each epoch: a training that goes on equals one that never paused.
    order = np.random.default_rng([assay.seed(), epoch]).permutation(len(train_x))
    model.set_params(random_state=assay.seed() + epoch)
    model.partial_fit(train_x[order], train_y[order], classes=classes)
    done = epoch
    if assay.report(
        step=epoch,
        val_loss=log_loss(val_y, model.predict_proba(val_x), labels=classes),
        val_accuracy=model.score(val_x, val_y),
    ):
        break

if folder := assay.checkpoint_dir():
    np.savez(folder / "model.npz", epoch=done, t=model.t_, coef=model.coef_, intercept=model.intercept_)
