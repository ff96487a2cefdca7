"""What is told of an error: enough to act on, never more than a page."""

from workers.pools.failures import MESSAGE_LIMIT, TRACEBACK_LIMIT, failed
from workers.protocol import Failure, FailureClass


def caught(raiser):
    try:
        raiser()
    except (ArithmeticError, ValueError, Failure) as error:
        return failed("key", error)
    raise AssertionError("it raised nothing")


def test_an_endless_message_is_cut_and_the_end_of_the_traceback_is_kept():
    def shout():
        raise ValueError("a" * 50_000 + "the end")

    told = caught(shout)
    assert len(told.message) == MESSAGE_LIMIT
    assert told.message.startswith("ValueError: aaa")
    assert len(told.traceback) == TRACEBACK_LIMIT
    assert told.traceback.endswith("the end\n")


def test_a_failure_speaks_for_itself_unless_something_else_caused_it():
    def alone():
        raise Failure(FailureClass.INFEASIBLE, "too wide for the input")

    def caused():
        try:
            raise KeyError("width")
        except KeyError as error:
            raise Failure(FailureClass.INFEASIBLE, "no width") from error

    assert caught(alone).traceback == ""
    assert (caught(alone).failure, caught(alone).message) == (FailureClass.INFEASIBLE, "too wide for the input")
    assert "KeyError: 'width'" in caught(caused).traceback


def test_an_overflow_is_a_divergence():
    assert caught(lambda: 10.0**400).failure is FailureClass.DIVERGED


def test_what_no_database_stores_is_spelt_out():
    def odd():
        raise ValueError("cannot read 'a\x00b\ud83d.png'")

    told = caught(odd)
    assert told.message == "ValueError: cannot read 'a\\x00b\\ud83d.png'"
    assert "\x00" not in told.traceback
    told.traceback.encode()
