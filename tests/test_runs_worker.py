"""Runs as the worker does them: gates, steps, crashes, ends; on hosts in memory."""

from maintsched.runs import RunState
from tests.workshop import OPEN, workshop


def test_an_update_runs_in_a_window_whose_notice_is_proved(store, tmp_path):
    shop = workshop(store, tmp_path)
    done = shop.open()
    assert shop.state() is RunState.DONE, shop.run().why
    assert done.ended == {"done": 1}
    assert [(each.step.name, str(each.step.state)) for each in shop.steps()] == []
