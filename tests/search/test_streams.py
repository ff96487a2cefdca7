import subprocess
import sys

import numpy as np
import pytest

from search.streams import stream


def test_a_stream_is_found_by_name_in_any_process():
    code = "from search.streams import stream; print(stream(7, 3, 'config').random().hex())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == stream(7, 3, "config").random().hex()


def test_seeds_numbers_and_purposes_have_streams_of_their_own():
    keys = [(seed, number, purpose) for seed in (0, 1, 11) for number in (0, 1, 11) for purpose in ("config", "model")]
    assert len({stream(*key).random() for key in keys}) == len(keys)


@pytest.mark.parametrize("seed", [0, 2**32, 2**64, 10**40])
def test_any_non_negative_integer_is_a_seed(seed):
    assert 0 <= stream(seed, 0, "config").random() < 1


def test_first_draws_over_the_numbers_are_uniform():
    draws = np.array([stream(0, number, "config").random() for number in range(2000)])
    counts, _ = np.histogram(draws, bins=10, range=(0, 1))
    assert abs(counts - 200).max() < 60  # sd 13.4
