"""OSS Vizier: its server with the database as it comes, its clients; random search.

Its default algorithm fits a Gaussian process for every suggestion, which takes seconds with a thousand trials.
"""

from __future__ import annotations

import time

from absl import logging
from vizier.service import clients, pyvizier, servers

from benchmarks.service.peers.adapter import Clock, Cycle, main, say
from benchmarks.service.studies import METRIC, SPACE, loss_of

OWNER, STUDY = "benchmark", "cycle"


def serve(url: str, trials: int) -> None:
    server = servers.DefaultVizierServer(host="localhost", database_url=url)
    clients.environment_variables.server_endpoint = server.endpoint
    study = clients.Study.from_study_config(_config(), owner=OWNER, study_id=STUDY)
    for _ in range(trials):
        for trial in study.suggest(count=1, client_id="filler"):
            trial.complete(_measurement(loss_of(dict(trial.parameters))))
    say({"ready": server.endpoint})
    while True:
        time.sleep(3600)


def worker(address: str, name: str) -> Cycle:
    clients.environment_variables.server_endpoint = address
    study = clients.Study.from_owner_and_id(OWNER, STUDY)

    def cycle(clock: Clock) -> int:
        (trial,) = study.suggest(count=1, client_id=name)
        loss = loss_of(dict(trial.parameters))
        clock("suggest")
        trial.add_measurement(_measurement(loss))
        clock("report")
        trial.complete(_measurement(loss))
        clock("complete")
        return int(trial.id)

    return cycle


def _measurement(loss: float) -> pyvizier.Measurement:
    return pyvizier.Measurement({METRIC: loss}, steps=1)


def _config() -> pyvizier.StudyConfig:
    """The space without its condition, which costs nothing with random search."""
    config = pyvizier.StudyConfig(algorithm="RANDOM_SEARCH")
    config.metric_information.append(pyvizier.MetricInformation(METRIC, goal=pyvizier.ObjectiveMetricGoal.MINIMIZE))
    root = config.search_space.root
    for parameter in SPACE["parameters"]:
        name = parameter["name"]
        scale = pyvizier.ScaleType.LOG if parameter.get("log") else pyvizier.ScaleType.LINEAR
        match parameter["type"]:
            case "categorical":
                root.add_categorical_param(name, parameter["choices"])
            case "int":
                root.add_int_param(name, parameter["low"], parameter["high"], scale_type=scale)
            case _:
                root.add_float_param(name, parameter["low"], parameter["high"], scale_type=scale)
    return config


if __name__ == "__main__":
    logging.set_verbosity(logging.ERROR)
    main(serve, worker)
