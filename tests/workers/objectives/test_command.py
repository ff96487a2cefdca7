"""The objective `command` runs a script as its user would, hears its reports, and says how it ended."""

import json
import sys
from pathlib import Path

import pytest

from workers.guard.words import Verdict
from workers.objectives import OBJECTIVES
from workers.objectives.command_outcome import failure
from workers.pools.attempt import attempt
from workers.protocol import Assignment, Failed, Failure, FailureClass, Finished, Limits, Resources, Result

ROOT = Path(__file__).parents[3]


class TestWhatTheScriptIsTold:
    def told(self, work, carry_out, tmp_path):
        """The arguments and the environment that a script finds, and what lies in its resume directory."""
        script = """
import json, os, sys
found = {"arguments": sys.argv[1:], "environment": dict(os.environ), "cwd": os.getcwd()}
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
with open(os.environ["ASSAY_REPORTS"], "a") as file:
    print('{"metrics": {"loss": 1}}', file=file)
"""
        out = tmp_path / "found.json"
        objective = {**work.objective, "command": ["{python}", "-c", script.replace("{", "{{").replace("}", "}}")]}
        objective["command"] += [str(out), *work.objective["command"]]
        fields = {name: getattr(work, name) for name in ("fidelity", "resume_from", "checkpoint", "resources")}
        carry_out(Assignment(work.key, objective, work.config, work.seed, **fields))
        return json.loads(out.read_text())

    def test_its_config_as_arguments_and_as_json(self, carry_out, tmp_path):
        config = {"lr": 1e-5, "layers": 3, "name": "a b; {lr} $HOME", "skip": True}
        command = ["--lr={lr}", "{layers}", "{name}", "{skip}", ["-m", "{momentum}"], ["-s", "{seed}"], "{{lr}}"]
        work = Assignment("key", {"type": "command", "command": command}, config, 7)
        found = self.told(work, carry_out, tmp_path)
        assert found["arguments"][1:] == ["--lr=1e-05", "3", "a b; {lr} $HOME", "true", "-s", "7", "{lr}"]
        assert json.loads(found["environment"]["ASSAY_CONFIG"]) == config
        assert found["environment"]["ASSAY_SEED"] == "7"
        assert {"ASSAY_FIDELITY", "ASSAY_RESUME_DIR"} & set(found["environment"]) == set()

    def test_its_fidelity(self, carry_out, tmp_path):
        work = Assignment("key", {"type": "command", "command": ["{fidelity}"]}, {}, 7, fidelity=("epochs", 3, 27))
        found = self.told(work, carry_out, tmp_path)
        assert found["arguments"][1] == "3"
        fidelity = json.loads(found["environment"]["ASSAY_FIDELITY"])
        assert fidelity == {"name": "epochs", "value": 3, "maximum": 27}

    def test_where_it_runs_and_with_which_variables(self, carry_out, tmp_path, monkeypatch):
        monkeypatch.setenv("ASSAY_DATABASE_URL", "postgresql://user:secret@host/assay")
        monkeypatch.setenv("ASSAY_ADMIN_TOKEN", "secret")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setenv("MKL_NUM_THREADS", "5")
        objective = {"type": "command", "command": [], "workdir": str(tmp_path), "env": {"MKL_NUM_THREADS": "1"}}
        found = self.told(Assignment("key", objective, {}, 7, resources=Resources(cpus=2)), carry_out, tmp_path)
        environment = found["environment"]
        assert found["cwd"] == str(tmp_path)
        assert "secret" not in json.dumps(environment)
        assert {name for name in environment if name.startswith("ASSAY_")} == {
            "ASSAY_CONFIG", "ASSAY_SEED", "ASSAY_CHECKPOINT_DIR", "ASSAY_REPORTS", "ASSAY_STOP",
        }  # fmt: skip
        assert environment["CUDA_VISIBLE_DEVICES"] == "3"
        assert (environment["OMP_NUM_THREADS"], environment["MKL_NUM_THREADS"]) == ("2", "1")

    def test_the_guard_does_not_hold_the_secrets_either(self, shell, carry_out, monkeypatch, tmp_path):
        monkeypatch.setenv("ASSAY_DATABASE_URL", "postgresql://user:secret@host/assay")
        out = tmp_path / "environ"
        carry_out(shell(f"cat /proc/$PPID/environ > {out}; report 1 1"))
        assert b"PATH=" in out.read_bytes()
        assert b"secret" not in out.read_bytes()


class TestReports:
    def test_each_is_heard_while_the_script_runs(self, shell):
        training = OBJECTIVES["command"].train(shell("report 1 0.5; sleep 60"))
        assert next(training).metrics == {"loss": 0.5}
        training.close()

    def test_the_last_one_is_the_result(self, shell, carry_out):
        reports, result = carry_out(shell("report 1 0.5; sleep 0.2; report 2 0.25"))
        assert [(report.step, report.metrics) for report in reports] == [(1, {"loss": 0.5}), (2, {"loss": 0.25})]
        assert result == Result({"loss": 0.25}, checkpointed=False, complete=True)

    def test_what_lies_beyond_the_fidelity_does_not_count_and_the_script_is_stopped(self, shell, carry_out):
        endless = "i=0; while [ ! -e $ASSAY_STOP ]; do i=$((i+1)); report $i 0.$i; sleep 0.01; done"
        reports, result = carry_out(shell(endless, fidelity=("epochs", 3, 9)))
        assert [report.step for report in reports] == [1, 2, 3]
        assert result.metrics == {"loss": 0.3}

    def test_a_value_that_is_not_finite_is_a_divergence(self, shell):
        for value in ("NaN", '"NaN"', "null", "Infinity", '"-Infinity"'):
            *_, last = attempt(shell(f"report 1 1; report 2 '{value}'; sleep 60"), OBJECTIVES, bool, float)
            assert isinstance(last, Failed)
            assert last.failure is FailureClass.DIVERGED
            assert "at step 2" in last.message

    def test_a_line_that_is_not_a_report_fails_the_run_at_once(self, shell, carry_out):
        with pytest.raises(Failure, match=r"line 2 of the reports is not JSON .*: loss = 3") as caught:
            carry_out(shell("report 1 1; echo 'loss = 3' >> $ASSAY_REPORTS; sleep 60"))
        assert caught.value.failure is FailureClass.ERROR

    def test_none_is_an_error(self, shell, carry_out):
        with pytest.raises(Failure, match="exited without a report"):
            carry_out(shell("exit 0"))


class TestStop:
    def test_the_script_may_save_and_leave(self, shell, carry_out, tmp_path):
        script = """
        report 1 0.5
        while [ ! -e $ASSAY_STOP ]; do sleep 0.01; done
        echo saved > $ASSAY_CHECKPOINT_DIR/model"""
        _, result = carry_out(shell(script, checkpoint=tmp_path / "checkpoint"), stop_after=1)
        assert result == Result({"loss": 0.5}, checkpointed=True)

    def test_a_deaf_script_is_ended_and_what_it_saved_is_not_trusted(self, shell, carry_out, tmp_path):
        script = "echo half > $ASSAY_CHECKPOINT_DIR/model; trap '' TERM; report 1 0.5; while :; do sleep 0.1; done"
        work = shell(script, checkpoint=tmp_path / "checkpoint", grace_seconds=0.1)
        _, result = carry_out(work, stop_after=1)
        assert result == Result({"loss": 0.5}, checkpointed=False)
        assert not (tmp_path / "checkpoint").exists()

    def test_one_that_fails_in_its_grace_period_has_failed(self, shell, carry_out):
        with pytest.raises(Failure, match="exit code 3"):
            carry_out(shell("report 1 1; while [ ! -e $ASSAY_STOP ]; do sleep 0.01; done; exit 3"), stop_after=1)


class TestEnds:
    @pytest.mark.parametrize(
        ("script", "expected", "message"),
        [
            ("echo first >&2; echo oh no >&2; exit 3", FailureClass.ERROR, "exit code 3; .*first\noh no"),
            ("exit 77", FailureClass.INFEASIBLE, "exit code 77"),
            ("echo too wide >&2; exit 77", FailureClass.INFEASIBLE, "too wide"),
            ("kill -SEGV $$", FailureClass.ERROR, "killed by SIGSEGV"),
            ("kill -KILL $$", FailureClass.ERROR, "killed by SIGKILL"),
            ("sh -c 'kill -KILL $$'; exit $?", FailureClass.ERROR, "killed by SIGKILL"),
            ("echo MemoryError >&2; exit 1", FailureClass.OOM, "exit code 1"),
            ("echo 'RuntimeError: CUDA out of memory. Tried' >&2; exit 1", FailureClass.OOM, "out of memory"),
            ("report 1 1; exit 1", FailureClass.ERROR, "exit code 1"),
        ],
    )
    def test_are_told_apart(self, shell, carry_out, script, expected, message):
        with pytest.raises(Failure, match=f"(?s){message}") as caught:
            carry_out(shell(script))
        assert caught.value.failure is expected

    @pytest.mark.parametrize("code", [-9, 137])
    def test_a_kill_by_a_kernel_without_memory_is_told_from_any_other(self, code):
        assert failure(Verdict("exit", code, oom_kills=1), None).failure is FailureClass.OOM
        assert failure(Verdict("exit", code, oom_kills=0), None).failure is FailureClass.ERROR

    def test_an_out_of_memory_that_was_survived_is_none(self, shell, carry_out):
        noise = "echo 'CUDA out of memory, trying a smaller batch' >&2; for i in $(seq 30); do echo $i >&2; done"
        with pytest.raises(Failure) as caught:
            carry_out(shell(f"{noise}; exit 1"))
        assert caught.value.failure is FailureClass.ERROR
        assert caught.value.message.endswith("stderr:\n" + "\n".join(str(i) for i in range(11, 31)))

    @pytest.mark.parametrize("limits", [{"timeout_seconds": 0.3}, {"limits": Limits(seconds=0.3)}])
    def test_too_long_is_a_timeout(self, shell, carry_out, limits):
        with pytest.raises(Failure, match=r"still running after 0.3 seconds; .*\nwaiting") as caught:
            carry_out(shell("report 1 1; echo waiting >&2; sleep 60", **limits))
        assert caught.value.failure is FailureClass.TIMEOUT

    def test_an_endless_message_fits_where_it_is_stored(self, shell, carry_out):
        with pytest.raises(Failure) as caught:
            carry_out(shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1"))
        assert len(caught.value.message) < 2000
        assert caught.value.message.endswith("the end")

    def test_a_missing_program_and_a_missing_directory_are_named(self, carry_out, tmp_path):
        objective = {"type": "command", "command": ["no-such-program"]}
        with pytest.raises(Failure, match=r"cannot be started: .*'no-such-program'"):
            carry_out(Assignment("key", objective, {}, 7))
        with pytest.raises(Failure, match=f"this worker has no directory {tmp_path}/none"):
            carry_out(Assignment("key", {**objective, "workdir": f"{tmp_path}/none"}, {}, 7))

    def test_a_value_that_no_argument_can_hold_is_an_error(self, carry_out):
        work = Assignment("key", {"type": "command", "command": ["echo", "{x}"]}, {"x": "a\0b"}, 7)
        with pytest.raises(Failure, match="cannot be started: embedded null byte"):
            carry_out(work)


class TestLog:
    def test_both_streams_in_their_order(self, shell, carry_out, tmp_path):
        log = tmp_path / "logs/run.log"
        carry_out(shell("echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; report 1 1", log=log))
        assert log.read_text() == "one\ntwo\nthree\n"

    def test_it_grows_while_the_script_runs(self, shell, until, tmp_path):
        log = tmp_path / "run.log"
        training = OBJECTIVES["command"].train(shell("echo hello; report 1 1; sleep 60", log=log))
        next(training)
        assert until(log.read_text) == "hello\n"
        training.close()

    def test_what_a_grandchild_writes_last_is_in_it(self, shell, carry_out, tmp_path):
        log = tmp_path / "run.log"
        carry_out(shell("report 1 1; (echo from below) & wait", log=log))
        assert log.read_text() == "from below\n"


class TestCheckpoints:
    def test_go_from_run_to_run(self, shell, carry_out, tmp_path):
        first = shell(
            "mkdir $ASSAY_CHECKPOINT_DIR/sub; echo 41 > $ASSAY_CHECKPOINT_DIR/sub/n; report 1 1",
            checkpoint=tmp_path / "a/first",
        )
        assert carry_out(first)[1].checkpointed
        second = shell("report 2 $(($(cat $ASSAY_RESUME_DIR/sub/n) + 1))", resume_from=tmp_path / "a/first")
        assert carry_out(second)[1] == Result({"loss": 42.0}, checkpointed=False, complete=True)

    def test_nothing_saved_is_no_checkpoint(self, shell, carry_out, tmp_path):
        _, result = carry_out(shell("report 1 1", checkpoint=tmp_path / "checkpoint"))
        assert not result.checkpointed
        assert list(tmp_path.iterdir()) == []

    def test_what_reaches_out_of_the_directory_is_refused(self, shell, carry_out, tmp_path):
        work = shell("ln -s /etc/passwd $ASSAY_CHECKPOINT_DIR/x; report 1 1", checkpoint=tmp_path / "checkpoint")
        with pytest.raises(Failure, match=r"the checkpoint cannot be kept: .*x"):
            carry_out(work)
        assert list(tmp_path.iterdir()) == []

    def test_a_damaged_one_is_an_error(self, shell, carry_out, tmp_path):
        (tmp_path / "checkpoint").write_text("not an archive")
        with pytest.raises(Failure, match="the checkpoint checkpoint cannot be read"):
            carry_out(shell("report 1 1", resume_from=tmp_path / "checkpoint"))


def test_the_example_continues_exactly_where_it_paused(carry_out, tmp_path):
    """A study file, its script and the SDK, as a user has them; only the package's place must be told here."""
    from assay import load_study

    objective = load_study(ROOT / "examples/studies/command-digits.yaml")["objective"]
    objective = {**objective, "env": {"PYTHONPATH": str(ROOT)}}
    config = {"lr": 0.01, "alpha": 1e-4, "penalty": "elasticnet", "l1_ratio": 0.5}

    def train(epochs, to, resume_from=None):
        fidelity = ("epochs", epochs, 9)
        checkpoint = tmp_path / to
        return carry_out(
            Assignment("key", objective, config, 7, fidelity, resume_from=resume_from, checkpoint=checkpoint)
        )

    train(1, "paused")
    reports, continued = train(3, "continued", tmp_path / "paused")
    assert [report.step for report in reports] == [2, 3]
    _, uninterrupted = train(3, "uninterrupted")
    assert continued == uninterrupted
    assert uninterrupted.checkpointed
    assert uninterrupted.metrics["val_accuracy"] > 0.8


def test_a_script_is_a_run_like_any_other_to_the_pools(shell):
    *_, last = attempt(shell("report 1 0.5"), OBJECTIVES, bool, float)
    assert isinstance(last, Finished)
    assert last.result == Result({"loss": 0.5}, complete=True)


def test_there_is_no_test_of_a_command(shell):
    assert OBJECTIVES["command"].test(shell("exit 1")) == {}


def test_the_interpreter_of_the_worker_is_a_value(carry_out, tmp_path):
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.executable); sys.exit(77)"
    work = Assignment("key", {"type": "command", "command": ["{python}", "-c", code, str(tmp_path / "x")]}, {}, 7)
    with pytest.raises(Failure):
        carry_out(work)
    assert (tmp_path / "x").read_text() == sys.executable


@pytest.mark.parametrize(
    ("script", "stop_after", "fidelity", "complete"),
    [
        ("report 1 2; report 2 1", None, None, True),
        ("report 1 2; report 2 1", 2, None, True),
        ("report 1 1; while [ ! -f $ASSAY_STOP ]; do sleep 0.05; done", 1, None, False),
        ("report 1 1; while [ ! -f $ASSAY_STOP ]; do sleep 0.05; done", 1, ("epochs", 1, 3), True),
    ],
    ids=["to its end", "told after its last report", "it heeds the stop", "nothing was left"],
)
def test_a_result_says_whether_the_script_came_to_its_end(script, stop_after, fidelity, complete, shell, carry_out):
    _, result = carry_out(shell(script, fidelity=fidelity), stop_after)
    assert result.complete == complete
