"""The training of a classifier, in reading order: build, load, continue, then epoch by epoch train, evaluate, report.

A training that stops at any epoch and goes on from its checkpoint equals one that never stopped, bit for bit: the
schedule refers to the highest fidelity, and every epoch draws from streams of its own.
"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor, nn

from workers.catalogue import load
from workers.checkpoints import Checkpoint
from workers.data.loading import Examples, held_out_data, training_data
from workers.families.blocks import attach_noise, initialize, parameter_count
from workers.protocol import Assignment, Failure, FailureClass, Metrics, Report, Resources, Result, Training
from workers.training.augmentation import augment
from workers.training.optimizers import begin_momentum, clip_gradients, make_optimizer, set_lr
from workers.training.plan import Plan
from workers.training.preprocessing import Standardize
from workers.training.schedules import lr_factor
from workers.training.streams import stream

EVALUATION_BATCH = 1024


def train(assignment: Assignment) -> Training:
    """One report per epoch: train_loss, val_loss, val_accuracy, the epoch's last lr, and how many parameters the model
    has. The result has the last ones.

    Raises Failure: INFEASIBLE before any data is loaded, DIVERGED after the first epoch with a loss that is not finite.
    """
    started = time.monotonic()
    plan, seed = Plan.of(assignment), assignment.seed
    device = prepare_device(assignment.resources)

    model = Classifier(plan, stream(seed, "initialization")).to(device)
    data = training_data(plan.dataset.name, plan.split_seed, device)
    model.standardize.fit(data.train.inputs)
    optimizer = make_optimizer(model, plan.settings)
    parameters = parameter_count(model)

    epoch, metrics = 0, dict[str, float]()
    if assignment.resume_from:
        checkpoint = Checkpoint.load(assignment.resume_from, plan.identity(), device)
        epoch, metrics = checkpoint.epoch, dict(checkpoint.metrics)
        restore(checkpoint, model, optimizer)

    answer = None
    while epoch < plan.epochs and answer != "stop":
        train_loss, lr = train_epoch(plan, model, optimizer, data.train, seed, epoch)
        val_loss, val_accuracy = evaluate(model, data.validation)
        epoch += 1
        if not math.isfinite(val_loss):
            raise Failure(FailureClass.DIVERGED, f"the validation loss is {val_loss} after epoch {epoch}")
        metrics = {
            "train_loss": train_loss,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "lr": lr,
            "parameters": parameters,
        }
        answer = yield Report(epoch, metrics, time.monotonic() - started)

    if assignment.checkpoint:
        snapshot(plan, epoch, metrics, model, optimizer).save(assignment.checkpoint)
    return Result(metrics, checkpointed=assignment.checkpoint is not None)


def test(assignment: Assignment) -> Metrics:
    """The checkpoint's loss and accuracy on the test split; nothing else reads that split."""
    assert assignment.resume_from is not None, "a test needs a checkpoint"
    plan = Plan.of(assignment)
    device = prepare_device(assignment.resources)
    model = Classifier(plan, stream(assignment.seed, "initialization")).to(device)
    model.load_state_dict(dict(Checkpoint.load(assignment.resume_from, plan.identity(), device).model))
    loss, accuracy = evaluate(model, held_out_data(plan.dataset.name, plan.split_seed, device))
    return {"test_loss": loss, "test_accuracy": accuracy}


class Classifier(nn.Module):
    """[batch, *shape] as the dataset has them -> [batch, classes] logits: standardized, then through the family's net.

    Raises Failure INFEASIBLE when the settings describe no network.
    """

    def __init__(self, plan: Plan, rng: torch.Generator) -> None:
        super().__init__()
        self.standardize = Standardize(plan.dataset.shape)
        self.network: nn.Module = load(plan.family.builder)(plan.settings, plan.dataset.shape, plan.dataset.classes)
        initialize(self.network, plan.settings["init"], rng)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(self.standardize(x))
        return logits


def train_epoch(
    plan: Plan, model: nn.Module, optimizer: torch.optim.Optimizer, examples: Examples, seed: int, epoch: int
) -> tuple[float, float]:
    """One pass over the examples in a new order: the mean training loss and the last learning rate.

    The batches differ by at most one example in size, so that no step rests on a few left-overs.
    """
    settings, device = plan.settings, examples.labels.device
    attach_noise(model, stream(seed, "dropout", epoch, device))
    changes = stream(seed, "augmentation", epoch)
    order = torch.randperm(len(examples), generator=stream(seed, "order", epoch)).to(device)
    batches = order.tensor_split(math.ceil(len(examples) / settings["batch_size"]))
    losses = torch.empty(len(batches), device=device)
    lr = 0.0

    model.train()
    for step, batch in enumerate(batches):
        lr = settings["lr"] * lr_factor(settings, (epoch + step / len(batches)) / plan.horizon)
        set_lr(optimizer, lr)
        inputs = augment(examples.inputs[batch], settings, changes)
        loss = nn.functional.cross_entropy(
            model(inputs), examples.labels[batch], label_smoothing=settings["label_smoothing"]
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        clip_gradients(model.parameters(), settings)
        optimizer.step()
        losses[step] = loss.detach()

    # read once per epoch: asking after every step would make a GPU wait for each
    sound = torch.isfinite(losses)
    if not sound.all():
        step = int((~sound).nonzero()[0])
        where = f"at step {step + 1} of {len(batches)} in epoch {epoch + 1}"
        raise Failure(FailureClass.DIVERGED, f"the training loss is {float(losses[step])} {where} (lr {lr:.3g})")
    sizes = torch.tensor([len(batch) for batch in batches], device=device, dtype=torch.float64)
    return float((losses.double() * sizes).sum() / sizes.sum()), lr


@torch.no_grad()
def evaluate(model: nn.Module, examples: Examples) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy."""
    model.eval()
    loss = torch.zeros((), dtype=torch.float64)
    correct = 0
    for start in range(0, len(examples), EVALUATION_BATCH):
        inputs = examples.inputs[start : start + EVALUATION_BATCH]
        labels = examples.labels[start : start + EVALUATION_BATCH]
        logits = model(inputs)
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").double().cpu()
        correct += int((logits.argmax(dim=1) == labels).sum())
    return float(loss / len(examples)), correct / len(examples)


def snapshot(
    plan: Plan, epoch: int, metrics: Metrics, model: nn.Module, optimizer: torch.optim.Optimizer
) -> Checkpoint:
    # some optimizers keep a None where a feature is off
    state = {
        index: {name: value for name, value in entry.items() if isinstance(value, Tensor)}
        for index, entry in optimizer.state_dict()["state"].items()
    }
    return Checkpoint(plan.identity(), epoch, metrics, model.state_dict(), state)


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Weights and what the optimizer remembers come from the checkpoint, its settings from the config, which may be
    another one."""
    model.load_state_dict(dict(checkpoint.model))
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": dict(checkpoint.optimizer), "param_groups": groups})
    begin_momentum(optimizer)


def prepare_device(resources: Resources) -> torch.device:
    """The device to train on. The calling thread uses as many cores from now on as the run may."""
    torch.set_num_threads(max(1, int(resources.cpus)))
    if resources.gpus > 0 and torch.cuda.is_available():
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        return torch.device("cuda")
    return torch.device("cpu")
