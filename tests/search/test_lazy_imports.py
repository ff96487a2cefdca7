"""The libraries that some samplers wrap are loaded when such a study asks, not before."""

import subprocess
import sys

HEAVY = ["torch", "botorch", "gpytorch", "optuna", "cmaes", "smac", "ConfigSpace", "sklearn"]


def loaded(code):
    command = f"{code}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_search_loads_none_of_them():
    assert loaded("import search") == "[]"


def test_reading_a_study_loads_none_of_them():
    code = (
        "from search import ALGORITHMS, StudySpec\n"
        "space = {'parameters': [{'name': 'x', 'type': 'float', 'low': 0, 'high': 1}]}\n"
        "metrics = [{'name': 'loss', 'direction': 'minimize'}]\n"
        "for name in ('optuna-tpe', 'optuna-cmaes', 'nsga2', 'optuna-gp', 'smac', 'gp', 'dngo'):\n"
        "    StudySpec.from_json({'space': space, 'algorithm': {'name': name}, 'metrics': metrics})\n"
    )
    assert loaded(code) == "[]"
