"""The run of a supernet, in reading order: build, load, continue, then epoch by epoch search and report, and rank.

A search that stops at any epoch and goes on from its checkpoint equals one that never stopped, bit for bit.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from workers.checkpoints import Checkpoint
from workers.data.loading import training_data
from workers.families.blocks import parameter_count
from workers.pools.failures import classify
from workers.protocol import Assignment, Failure, FailureClass, Report, Result, Training
from workers.supernets.methods import METHODS
from workers.supernets.ranking import ranking
from workers.supernets.recipe import settings_of
from workers.supernets.report import warnings_of
from workers.supernets.search import Search
from workers.training.devices import prepare_device
from workers.training.plan import Plan
from workers.training.streams import stream


def train(assignment: Assignment) -> Training:
    """One report per epoch (`workers.supernets.report`, with train_loss and the scores on the validation split). The
    result's details: `genotype`, `genotypes` of every epoch, `ranking` of configs, `supernet`, `warnings`.

    After every epoch the checkpoint is saved. A batch that memory cannot hold is halved once, and the epoch begun
    again. Raises Failure: INFEASIBLE before any data is loaded, DIVERGED, OOM.
    """
    plan, latest, halved = Plan.of(assignment), None, False
    assert assignment.supernet is not None, "a run of kind supernet says what is searched"
    options = assignment.supernet.options
    batch_size = int(settings_of(plan, METHODS[assignment.supernet.method], options)["batch_size"])
    while True:
        run = Run(plan, assignment, latest, batch_size)
        try:
            return (yield from run.steps())
        except Exception as error:
            if classify(error) is not FailureClass.OOM:
                raise
            if halved or run.halved or run.batch_size < 2:
                raise Failure(FailureClass.OOM, _too_large(run.batch_size, str(error))) from error
        latest, batch_size, halved = run.latest, run.batch_size // 2, True
        del run  # and with it what memory it holds


def _too_large(batch_size: int, error: str) -> str:
    return (
        f"the supernet does not fit into memory, not even with batches of {batch_size} examples: take fewer channels "
        f"or layers, a smaller batch_size, or gdas or pc-darts, which keep a fraction of it ({error.splitlines()[0]})"
    )


class Run:
    """One try with a batch size. `latest` is where the search stood after its last epoch."""

    def __init__(self, plan: Plan, assignment: Assignment, latest: Checkpoint | None, batch_size: int) -> None:
        self.plan, self.assignment, self.latest, self.batch_size = plan, assignment, latest, batch_size
        self.halved = False  # by an attempt before this one

    def steps(self) -> Training:
        started, assignment = time.monotonic(), self.assignment
        assert assignment.supernet is not None
        device = prepare_device(assignment.resources, self.plan.options)
        search = Search(self.plan, assignment.supernet, assignment.seed, device, self.batch_size)
        resumed = self.latest is None and assignment.resume_from is not None
        if self.latest is None and assignment.resume_from:
            self.latest = Checkpoint.load(assignment.resume_from, search.identity(), device)
            stored = int(self.latest.extra["batch_size"])
            if stored < self.batch_size:
                self.batch_size, self.halved = stored, True
                search = Search(self.plan, assignment.supernet, assignment.seed, device, stored)
        data = training_data(self.plan.dataset, self.plan.part, device)
        search.prepare(data)
        if self.latest is not None:
            search.restore(self.latest)
        answer = None
        if resumed:
            self._save()  # it may be told to stop before another epoch is done
            for epoch, metrics in enumerate(search.course.reported, 1):
                # whoever saved it may have been lost before these were heard
                answer = yield Report(epoch, metrics, time.monotonic() - started)
        while not search.over and answer != "stop":
            metrics = search.epoch()
            self.latest = kept(search.checkpoint())
            self._save()
            answer = yield Report(search.course.epoch, metrics, time.monotonic() - started)
        return self._result(search, stopped=not search.over)

    def _save(self) -> None:
        if self.latest is not None and self.assignment.checkpoint:
            self.latest.save(self.assignment.checkpoint)

    def _result(self, search: Search, stopped: bool) -> Result:
        """A search that was told to stop ranks nothing: it may go on."""
        course, architecture = search.course, search.architecture
        details: dict[str, Any] = {
            "genotype": search.genotype,
            "genotypes": list(course.genotypes),
            "warnings": warnings_of(architecture, architecture.config_of(search.genotype)),
            "supernet": {
                "method": search.method.name,
                "epochs": course.epoch,
                "parameters": parameter_count(search.model),
                "batch_size": search.settings["batch_size"],
                "curvature": [list(look) for look in course.looks],
                "genotype_of_epoch": course.genotype_of,
                "raised_decay": course.rises,
            },
        }
        if not stopped:
            many = self.assignment.supernet.options.get("ranked", 100) if self.assignment.supernet else 0
            rng = stream(self.assignment.seed, "ranking")
            own = architecture.config_of(search.genotype)
            details["ranking"] = ranking(search.model, search.relaxation, search.data.validation, many, rng, own)
        kept = self.assignment.checkpoint is not None
        return Result(dict(course.metrics), checkpointed=kept, details=details, complete=not stopped)


def kept(checkpoint: Checkpoint) -> Checkpoint:
    """With tensors of its own, which the next epoch does not change."""
    model = {name: tensor.clone() for name, tensor in checkpoint.model.items()}
    optimizer = {
        index: {name: tensor.clone() for name, tensor in memory.items()}
        for index, memory in checkpoint.optimizer.items()
    }
    return replace(checkpoint, model=model, optimizer=optimizer)
