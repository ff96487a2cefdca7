"""Optuna: workers sample by TPE themselves, and store through the gRPC proxy in front of the database."""

from __future__ import annotations

import socket
import threading
import time
import warnings
from typing import Any

import optuna

from benchmarks.service.peers.adapter import Clock, Cycle, main, say
from benchmarks.service.studies import SPACE, loss_of

STUDY = "cycle"


def serve(url: str, trials: int) -> None:
    storage = optuna.storages.get_storage(url)
    study = optuna.create_study(storage=storage, study_name=STUDY, sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, loss_of(_suggest(trial)))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    arguments = {"host": "127.0.0.1", "port": port}
    server = threading.Thread(target=optuna.storages.run_grpc_proxy_server, args=(storage,), kwargs=arguments)
    server.start()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    say({"ready": str(port)})
    server.join()


def worker(address: str, name: str) -> Cycle:
    del name  # Optuna's workers have none
    storage = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=int(address))
    study = optuna.load_study(study_name=STUDY, storage=storage, sampler=optuna.samplers.TPESampler())

    def cycle(clock: Clock) -> int:
        trial = study.ask()
        loss = loss_of(_suggest(trial))
        clock("suggest")
        trial.report(loss, 1)
        clock("report")
        study.tell(trial, loss)
        clock("complete")
        return trial.number

    return cycle


def _suggest(trial: optuna.Trial) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for parameter in SPACE["parameters"]:
        name, when = parameter["name"], parameter.get("when")
        if when is not None and config[when["parameter"]] != when["equals"]:
            continue
        match parameter["type"]:
            case "categorical":
                config[name] = trial.suggest_categorical(name, parameter["choices"])
            case "int":
                config[name] = trial.suggest_int(
                    name, parameter["low"], parameter["high"], log=parameter.get("log", False)
                )
            case _:
                config[name] = trial.suggest_float(
                    name, parameter["low"], parameter["high"], log=parameter.get("log", False)
                )
    return config


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    main(serve, worker)
