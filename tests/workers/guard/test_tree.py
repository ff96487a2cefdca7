"""Where the kernel's count of processes that it ended for want of memory is found."""

import pytest

from workers.guard import tree


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Writes files of /proc and /sys/fs/cgroup."""
    monkeypatch.setattr(tree, "PROC", tmp_path / "proc")
    monkeypatch.setattr(tree, "CGROUPS", tmp_path / "cgroup")

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_version_2_of_the_control_groups(kernel):
    kernel(
        proc__self__cgroup="0::/user/run\n",
        proc__vmstat="oom_kill 9\n",
        cgroup__user__run__memory_DOT_events="oom 5\noom_kill 3\noom_group_kill 0\n",
    )
    assert tree.oom_kills() == 3


def test_version_1_within_a_container(kernel):
    kernel(
        proc__self__cgroup="7:cpu:/docker/1\n4:memory:/docker/1\n0::/\n",
        cgroup__memory__memory_DOT_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    )
    assert tree.oom_kills() == 2


def test_the_whole_machine_where_there_is_no_group_to_be_seen(kernel):
    kernel(proc__self__cgroup="0::/\n", proc__vmstat="pgfault 1\noom_kill 9\n")
    assert tree.oom_kills() == 9


def test_another_system_knows_nothing(kernel):
    assert tree.oom_kills() == 0
    assert tree.descendants(1) == []
    assert tree.carrying("A", "1") == []
