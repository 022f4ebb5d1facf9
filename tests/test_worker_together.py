"""Several passes at once: every notice goes out once, and every chain is continued by one hand."""

import asyncio
import multiprocessing
from datetime import timedelta

from maintsched.fleet import Customer, Fleet, Language
from maintsched.journal import first_fault
from maintsched.store import open_store
from maintsched.store.evidence import chains, entries_of, heads
from maintsched.store.ledger import ActionState
from maintsched.testing import FrozenClock, RecordingMailer
from maintsched.worker.house import House
from maintsched.worker.tick import tick
from tests.databases import address
from tests.houses import REMINDED, config_of, contact, instance, world

CUSTOMERS = 60
PASSES = 3


def fleet() -> Fleet:
    return Fleet(
        customers=tuple(
            Customer(
                key=f"c{number}",
                name=f"Customer {number}",
                language=Language.EN,
                package="starter",
                contacts=(contact(f"p{number}"),),
                instances=(instance(f"i{number}"),),
            )
            for number in range(CUSTOMERS)
        )
    )


def one_pass(url, folder, contract, said):
    """Make a pass in a process of its own and say which mails went out."""
    mailer = RecordingMailer()
    with open_store(url) as store:
        house = House(
            contract=contract, config=config_of(store, folder, batch=7), store=store, clock=FrozenClock(REMINDED)
        )
        house.mailer = mailer
        asyncio.run(tick(house, now=REMINDED))
    said.put([mail.key for mail in mailer.mails])


def test_three_passes_at_once_send_each_notice_once(store, tmp_path):
    home = world(store, tmp_path, now=REMINDED, fleet=fleet())
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    arguments = (address(store), tmp_path, home.house.contract, said)
    passes = [context.Process(target=one_pass, args=arguments) for _ in range(PASSES)]
    for each in passes:
        each.start()
    sent = [key for _ in passes for key in said.get(timeout=120)]
    for each in passes:
        each.join(120)
        assert each.exitcode == 0
    assert len(sent) == len(set(sent)) == CUSTOMERS
    assert {stored.state for stored in home.notices()} == {ActionState.DONE}
    with store.reading() as connection:
        kept = heads(connection)
        assert all(
            first_fault(chain, entries_of(connection, chain), kept[chain]) is None for chain in chains(connection)
        )
    home.clock.set(REMINDED + timedelta(minutes=1))
    assert home.tick().results.total() == 0
