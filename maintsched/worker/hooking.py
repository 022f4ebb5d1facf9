"""Calls hooks at windows and runs: before them, so that work waits for it, and after them, whatever came of the work.

A call is written down with what it answered. What did its part is not called again; what failed is, with each pass.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maintsched.errors import MaintschedError
from maintsched.fleet import instance_url
from maintsched.hooks import Hook, Kind, Moment, Occasion, Outcome, call_all, hook_key
from maintsched.intake.config import HookConfig
from maintsched.intake.passwords import hook_password, hook_secret
from maintsched.runs import ENDS, Run
from maintsched.store.fleets import read_fleet
from maintsched.store.hookcalls import HookCall, HookState, read_hook_calls, write_hook_call
from maintsched.store.runs import read_runs
from maintsched.worker.alerts import Alert, record_alerts
from maintsched.worker.house import House


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """A call that is to be made."""

    config: HookConfig
    occasion: Occasion
    kept: Mapping[str, Any]

    @property
    def key(self) -> str:
        return hook_key(self.config.name, self.occasion.moment, self.occasion.subject)


async def call_before(house: House, runs: Collection[Run], *, now: datetime) -> None:
    """Call the hooks that have to do their part before these runs, or their windows, may begin."""
    if house.config.hooks and runs:
        urls = _urls(house, runs)
        await _call(house, _windows(runs, Moment.BEFORE_WINDOW), now=now)
        await _call(house, _of_runs(runs, Moment.BEFORE_RUN, urls), now=now)


async def call_after(house: House, windows: Collection[str], *, now: datetime) -> None:
    """Call the hooks after runs that are over, and after windows of which every run is."""
    if not house.config.hooks or not windows:
        return
    with house.store.reading() as connection:
        runs = [each.run for each in read_runs(connection, windows=windows)]
    over = [run for run in runs if run.state in ENDS]
    still = {run.window for run in runs if run.state not in ENDS}
    ended = [run for run in over if run.window not in still]
    await _call(house, _of_runs(over, Moment.AFTER_RUN, _urls(house, over)), now=now)
    await _call(house, _windows(ended, Moment.AFTER_WINDOW), now=now)


def _urls(house: House, runs: Iterable[Run]) -> dict[str, str]:
    """Return the address of each instance, as far as it has one."""
    wanted = {run.customer for run in runs}
    with house.store.reading() as connection:
        fleet = read_fleet(connection, wanted)
    found = {
        instance.key: instance_url(house.contract, customer, instance)
        for customer in fleet.customers
        for instance in customer.instances
    }
    return {key: url for key, url in found.items() if url}


def _windows(runs: Iterable[Run], moment: Moment) -> list[Occasion]:
    found = {run.window: run for run in runs}
    return [Occasion(moment=moment, window=run.window, start=run.start, end=run.end) for run in found.values()]


def _of_runs(runs: Iterable[Run], moment: Moment, urls: Mapping[str, str]) -> list[Occasion]:
    return [
        Occasion(
            moment=moment,
            window=run.window,
            start=run.start,
            end=run.end,
            run=run.key,
            instance=run.instance,
            host=run.host,
            customer=run.customer,
            url=urls.get(run.instance),
            result=str(run.state) if moment is Moment.AFTER_RUN else None,
            attempt=run.attempt,
        )
        for run in runs
    ]


async def _call(house: House, occasions: Collection[Occasion], *, now: datetime) -> None:
    """Make the calls that are wanted, those of several hooks at once, and write down what each answered."""
    wanted, done = _wanted(house, occasions)
    if not wanted:
        return
    _intend(house, wanted, done, now)
    ready, answered = [], []
    for each in wanted:
        try:
            ready.append((each, (_hook(each.config), each.occasion, each.kept)))
        except MaintschedError as error:  # a secret that cannot be read holds this work, and no other
            answered.append((each, Outcome(ok=False, said=str(error), retry=True)))
    outcomes = await call_all([made for _, made in ready])
    _write(house, [*answered, *zip([each for each, _ in ready], outcomes, strict=True)], done, now)


def _intend(house: House, wanted: Iterable[_Wanted], done: Mapping[str, HookCall], now: datetime) -> None:
    """Write down that calls are made: whoever is killed meanwhile leaves something to be ended."""
    with house.store.writing() as connection:
        for each in wanted:
            if each.key not in done:
                subject, state = each.occasion.subject, HookState.WAITING
                made = HookCall(key=each.key, subject=subject, state=state, tries=0, changed_at=now, kept=each.kept)
                write_hook_call(connection, made)


def _wanted(house: House, occasions: Collection[Occasion]) -> tuple[list[_Wanted], dict[str, HookCall]]:
    """Return the calls to be made: not those that did their part; an end only where there was a begin."""
    subjects = {each.subject for each in occasions}
    with house.store.reading() as connection:
        done = read_hook_calls(connection, subjects)
    found = []
    for occasion in occasions:
        for hook in house.config.hooks:
            if occasion.moment not in [Moment(each) for each in hook.moments]:
                continue
            known = done.get(hook_key(hook.name, occasion.moment, occasion.subject))
            if known is not None and known.state is HookState.DONE:
                continue
            begin = done.get(hook_key(hook.name, occasion.moment.begin, occasion.subject))
            pair = Moment(occasion.moment.begin) in [Moment(each) for each in hook.moments]
            if not occasion.moment.before and pair and begin is None:
                continue  # it was never told of the begin
            kept = begin.kept if begin is not None else {}
            found.append(_Wanted(config=hook, occasion=occasion, kept=kept))
    return found, done


def _hook(hook: HookConfig) -> Hook:
    """Return a hook with its secrets, which are read when it is called."""
    return Hook(
        name=hook.name,
        kind=Kind(hook.kind),
        moments=tuple(Moment(each) for each in hook.moments),
        command=hook.command,
        url=hook.url,
        user=hook.user,
        password=hook_password(hook),
        secret=hook_secret(hook),
        ca_file=hook.ca_file,
        timeout_seconds=hook.timeout_seconds,
        margin_minutes=hook.margin_minutes,
        settings=hook.settings,
    )


def _write(
    house: House, answered: Iterable[tuple[_Wanted, Outcome]], done: Mapping[str, HookCall], now: datetime
) -> None:
    alerts = []
    with house.store.writing() as connection:
        for wanted, outcome in answered:
            before = done.get(wanted.key)
            state = HookState.DONE if outcome.ok else HookState.WAITING if outcome.retry else HookState.FAILED
            made = HookCall(
                key=wanted.key,
                subject=wanted.occasion.subject,
                state=state,
                tries=(before.tries if before else 0) + 1,
                changed_at=now,
                said=outcome.said,
                kept=outcome.kept,
            )
            write_hook_call(connection, made)
            if not outcome.ok:
                alerts.append(_alert(wanted, outcome))
        record_alerts(connection, house.contract, alerts, now)


def _alert(wanted: _Wanted, outcome: Outcome) -> Alert:
    before = wanted.occasion.moment.before
    effect = "Work waits for it" if before else "What it put up may still be there"
    return Alert(
        key=wanted.key,
        subject=f"hook/{wanted.config.name}",
        title=f"Hook {wanted.config.name} has not done its part",
        lines=(f"{wanted.occasion.subject}, {wanted.occasion.moment}: {outcome.said}",),
        way_out=f"{effect}. Mend it: it is called again with each pass.",
    )
