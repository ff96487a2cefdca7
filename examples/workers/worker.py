"""A worker in Python: python worker.py STUDY. It goes on until the study has no more runs."""

import logging
import sys

import assay


def train(run: assay.Run) -> None:
    """Ends after its last epoch, or where the study wants it to; the metrics of the last report are the result."""
    begin = run.resume_from["step"] if run.resume_from else 0
    for epoch in range(begin + 1, run.fidelity.value + 1):
        loss = (run.config["x"] - 1) ** 2 + (run.config["y"] + 2) ** 2 + 1 / epoch
        if not run.report(epoch, loss=loss):
            break


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request
    with assay.Client() as client:
        logging.info("carried out %d runs", client.work(sys.argv[1], train))
