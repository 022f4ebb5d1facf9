"""Whatever a server does at whatever step: one outcome for each mail, a true one, and few attempts."""

import asyncio
import threading
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maintsched.mail.outcomes import REPLY_MAX, Hint, Outcome, Outgoing, Result, Step
from maintsched.mail.send import BREAKS_MAX, OPEN_FAILURES_MAX, SmtpMailer
from maintsched.mail.settings import MailSettings, Tls
from tests.smtp_servers import SmtpServer, Trouble, settings_for, smtp_server

A, D, R, U = Result.ACCEPTED, Result.DEFERRED, Result.REFUSED, Result.UNCERTAIN
HERE = Path()
QUICK = 0.3
"""Seconds after which a server that does not answer is given up, where that is what is tested."""
LOGIN: dict[str, Any] = {"user": "mailer", "password": "canary-in-the-mine"}
ALWAYS = ("connect", "ehlo", "auth", "mail", "rcpt", "data", "dot")
STEPS = {Tls.NONE: ALWAYS, Tls.REQUIRED: ("tls", *ALWAYS), Tls.STARTTLS: ("starttls", "tls", "ehlo2", *ALWAYS)}
BEFORE = {"connect": Hint.CONNECT, "ehlo": Hint.CONNECT, "ehlo2": Hint.CONNECT, "auth": Hint.AUTH}
BEFORE |= {"starttls": Hint.TLS, "tls": Hint.TLS}
TROUBLES = {
    "4xx": "450 4.3.0 not now",
    "5xx": "550 5.7.1 never",
    "421": "421 4.3.2 going down",
    "garbage": "quux",
    "wrong": "299 what?",
    "drop": Trouble.DROP,
    "lost": Trouble.LOST,
    "reset": Trouble.RESET,
    "slow": Trouble.SLOW,
}


def mail(number: int = 0, domain: str = "acme.example", data: bytes = b"Subject: x\r\n\r\nhello\r\n") -> Outgoing:
    return Outgoing(
        key=f"notice/{number}",
        sender="bounce@provider.example",
        recipient=f"eva{number}@{domain}",
        envid=f"{number:040x}",
        data=data,
    )


def spread(count: int) -> list[Outgoing]:
    return [mail(n, f"d{n % 50}.example") for n in range(count)]


def deliver(given_settings: MailSettings, mails: list[Outgoing]) -> list[Outcome]:
    async def run() -> list[Outcome]:
        return [outcome async for outcome in SmtpMailer(given_settings).deliver(mails)]

    return asyncio.run(run())


def sent(script, mails=None, tls: Tls = Tls.NONE, folder: Path = HERE, **changes) -> tuple[SmtpServer, list[Outcome]]:
    """Send to a server with `script` and check what holds always; the outcomes come in the order of the mails."""
    listed = list(mails or [mail()])
    extensions = changes.pop("extensions", ("SIZE 0", "DSN", "AUTH PLAIN LOGIN CRAM-MD5"))
    with smtp_server(script, tls=tls, extensions=extensions) as server:
        outcomes = deliver(settings_for(server, tls, folder, **changes), listed)
        server.hear.set()
        server.wait_closed()
    by_key = {each.key: each for each in outcomes}
    assert Counter(each.key for each in outcomes) == Counter(each.key for each in listed)
    taken = Counter(each.recipient for each in server.mails)
    for each in listed:
        result = by_key[each.key].result
        assert taken[each.recipient] <= 1, "sent twice"
        assert taken[each.recipient] == 1 or result is not A, "an accepted mail that the server does not have"
        assert taken[each.recipient] == 0 or result in (A, U), "a mail that the server has, and nobody knows"
        assert all(c.isprintable() for c in by_key[each.key].reply)
    return server, [by_key[each.key] for each in listed]


def expected(step: str, trouble: str) -> Result:
    if step in BEFORE or trouble in ("4xx", "421"):
        return D
    if trouble == "5xx":
        return R
    if trouble == "wrong" and step in ("mail", "rcpt", "dot"):  # any 2xx is a yes
        return A
    return U if step == "dot" else D


def cells(*left_out: str):
    for tls in Tls:
        for step, trouble in product(STEPS[tls], TROUBLES):
            replies = trouble not in ("drop", "lost", "reset", "slow")
            odd = (step == "tls" and replies) or (trouble == "wrong" and step in BEFORE)
            if trouble not in left_out and not odd:
                yield pytest.param(tls, step, trouble, id=f"{tls}-{step}-{trouble}")


@pytest.mark.parametrize(("tls", "step", "trouble"), list(cells()))
def test_trouble_at_a_step_has_the_outcome_that_is_true(tls, step, trouble, tmp_path):
    timeout = QUICK if trouble == "slow" else 5.0
    server, (outcome,) = sent(
        {step: TROUBLES[trouble]}, tls=tls, folder=tmp_path, timeout_seconds=timeout, connections=2, **LOGIN
    )
    assert outcome.result is expected(step, trouble)
    if step == "tls":
        assert outcome.hint in (Hint.TLS, Hint.CONNECT)  # a connection that breaks in the handshake may be either
    else:
        assert outcome.hint is BEFORE.get(step)
    said = TROUBLES[trouble]
    if isinstance(said, str) and trouble != "garbage":
        assert f"{outcome.code} {outcome.reply}" == said or outcome.result is A
    else:
        assert (outcome.code, bool(outcome.reply)) == (None, True)
    assert len(server.conversations) <= OPEN_FAILURES_MAX


@pytest.mark.parametrize(("tls", "step", "trouble"), list(cells("slow")))
def test_trouble_that_passes_costs_at_most_one_mail_its_attempt(tls, step, trouble, tmp_path):
    server, outcomes = sent(
        {step: [TROUBLES[trouble]]}, [mail(1), mail(2), mail(3)], tls, tmp_path, connections=1, **LOGIN
    )
    results = [each.result for each in outcomes]
    if {each.hint for each in outcomes} != {None}:  # a refused login and broken encryption are not tried again
        assert step in ("starttls", "tls", "auth")
        assert results == [D, D, D]
    else:
        assert results == [A if step in BEFORE else expected(step, trouble), A, A]
    assert len(server.conversations) <= 2


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_becomes_of_the_good_bye_changes_nothing(trouble):
    _, outcomes = sent({"quit": TROUBLES[trouble]}, spread(3), timeout_seconds=QUICK)
    assert [each.result for each in outcomes] == [A] * 3


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_refusal_stays_one_whatever_becomes_of_the_reset_after_it(trouble):
    script = {"rcpt": ["550 5.1.1 unknown"], "rset": TROUBLES[trouble]}
    _, outcomes = sent(script, [mail(1), mail(2)], connections=1, timeout_seconds=QUICK)
    assert [each.result for each in outcomes] == [R, A]
    assert outcomes[0].reply == "5.1.1 unknown"


@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
def test_a_refused_mail_leaves_nothing_behind_for_the_next(step):
    server, outcomes = sent({step: ["550 5.0.0 no"]}, [mail(1), mail(2)], connections=1)
    assert [(each.result, each.step) for each in outcomes] == [(R, Step(step)), (A, Step.DOT)]
    assert len(server.conversations) == 1
    assert ("RSET" in server.lines) == (step != "mail")
    assert [each.recipient for each in server.mails] == [mail(2).recipient]


@pytest.mark.parametrize("code", [530, 538])
def test_a_server_that_wants_a_login_first_refuses_no_mail(code):
    _, (outcome,) = sent({"mail": f"{code} 5.7.0 authentication required"})
    assert (outcome.result, outcome.hint, outcome.code) == (D, Hint.AUTH, code)


# --- many mails, few attempts ---


def test_a_server_that_is_not_there_is_asked_twice_for_a_thousand_mails():
    with smtp_server() as server:
        gone = settings_for(server, Tls.NONE, HERE)
    outcomes = deliver(gone, spread(1000))
    assert len({each.key for each in outcomes}) == 1000
    assert {(each.result, each.hint, each.step) for each in outcomes} == {(D, Hint.CONNECT, Step.CONNECT)}


@pytest.mark.parametrize("step", ["connect", "ehlo"])
@pytest.mark.parametrize("trouble", ["5xx", "421", "drop", "garbage"])
def test_a_server_that_lets_nobody_in_is_asked_twice(step, trouble):
    server, outcomes = sent({step: TROUBLES[trouble]}, spread(200))
    assert {(each.result, each.hint) for each in outcomes} == {(D, Hint.CONNECT)}
    assert len(server.conversations) == OPEN_FAILURES_MAX


def test_a_wrong_password_is_tried_once():
    server, outcomes = sent({"auth": "535 5.7.8 wrong"}, spread(200), **LOGIN)
    assert {(each.result, each.hint, each.code) for each in outcomes} == {(D, Hint.AUTH, 535)}
    assert len([line for line in server.lines if line.startswith("AUTH")]) == 1


@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "dot"])
def test_connections_that_break_with_every_mail_are_given_up(step):
    server, outcomes = sent({step: Trouble.DROP}, spread(500), connections=4)
    assert len(server.conversations) <= 4 * BREAKS_MAX
    tried = [each for each in outcomes if each.hint is None]
    assert len(tried) <= 4 * BREAKS_MAX
    assert {each.result for each in tried} == {U if step == "dot" else D}
    assert {(each.result, each.hint) for each in outcomes if each.hint} == {(D, Hint.CONNECT)}
    assert all(f"broke at {step} again and again" in each.reply for each in outcomes if each.hint)


def test_a_mail_that_breaks_the_connection_takes_no_other_along():
    def dot(recipient: str):
        return Trouble.DROP if recipient.startswith(("eva3@", "eva4@")) else None

    _, outcomes = sent({"dot": dot}, spread(20), connections=1)
    assert [each.result for each in outcomes] == [U if n in (3, 4) else A for n in range(20)]


def test_a_server_that_takes_one_connection_at_a_time_gets_all_mails_over_it():
    inside = threading.Lock()

    def greet(_line: str):
        return None if inside.acquire(blocking=False) else "421 4.7.0 too many connections"

    server, outcomes = sent({"connect": greet}, spread(100), connections=4)
    assert {each.result for each in outcomes} == {A}
    assert len(server.conversations) <= 1 + 3 * OPEN_FAILURES_MAX


def test_a_server_that_ends_a_connection_after_some_mails_gets_the_others_over_new_ones():
    asked = Counter[str]()

    def sender(line: str):
        asked["mail"] += 1
        return "421 4.7.0 enough for now" if asked["mail"] % 5 == 0 else None

    server, outcomes = sent({"mail": sender}, spread(20), connections=1)
    assert Counter(each.result for each in outcomes) == {A: 16, D: 4}
    assert {each.code for each in outcomes if each.result is D} == {421}
    assert len(server.conversations) == 4


def test_a_place_that_was_given_up_shuts_no_other_out():
    asked = Counter[str]()

    def greet(_line: str):
        asked["connect"] += 1
        return "421 4.7.0 too many connections" if asked["connect"] in (2, 3) else None

    def sender(_line: str):
        if asked["connect"] == 3 and not asked["ended"]:
            asked["ended"] += 1
            return "421 4.7.0 enough for now"
        return None

    server, outcomes = sent({"connect": greet, "mail": sender}, spread(100), connections=2)
    assert Counter(each.result for each in outcomes) == {A: 99, D: 1}
    assert len(server.conversations) == 4


def test_failures_count_in_a_row_only():
    busy = "421 4.3.2 busy"
    server, outcomes = sent({"connect": [busy, "220 hi", busy], "mail": ["250 ok", busy]}, spread(5), connections=1)
    assert [each.result for each in outcomes] == [A, D, A, A, A]
    assert len(server.conversations) == 4


def test_mails_that_waited_for_their_domain_have_an_outcome_too():
    mails = [mail(n) for n in range(50)]
    _, outcomes = sent({"dot": Trouble.DROP}, mails, connections=2, per_domain=1)
    assert Counter(each.result for each in outcomes) == {U: 2 * BREAKS_MAX, D: 50 - 2 * BREAKS_MAX}


def test_a_mail_whose_last_byte_never_left_is_not_uncertain():
    big = mail(data=b"Subject: x\r\n\r\n" + b"y" * 78 * 400_000 + b"\r\n")
    server, (outcome,) = sent({"data": Trouble.DEAF}, [big], timeout_seconds=QUICK, connections=1)
    assert (outcome.result, outcome.step, server.mails) == (D, Step.DATA, [])
    assert 0 < len(server.conversations[0].clear) < len(big.data)  # nor did the system send it afterwards


# --- what servers say ---


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        ("250-2.0.0 Ok:\n250 queued as 1", 250, "2.0.0 Ok: queued as 1"),
        ("250 \x1b[31mred\x00\x7f", 250, "\\x1b[31mred\\x00\\x7f"),
        ("250 Gr\xfc\xdfe", 250, "Gr\\udcfc\\udcdfe"),
        ("250 " + "x" * 4000, 250, "x" * REPLY_MAX),
        ("250", 250, ""),
    ],
)
def test_the_words_of_a_server_are_kept_printable_and_short(reply, code, words):
    _, (outcome,) = sent({"dot": reply})
    assert (outcome.result, outcome.code, outcome.reply) == (A, code, words)


@pytest.mark.parametrize("reply", ["25 ok", "999 ok", "-50 ok", "ok", "", "250\xa0ok\n" * 3 + "x", "354 go on"])
@pytest.mark.parametrize("step", ["rcpt", "dot"])
def test_an_answer_that_cannot_be_understood_is_none(step, reply):
    _, (outcome,) = sent({step: reply})
    assert outcome.result in ((U, A) if reply.startswith("250") else (U,)) if step == "dot" else (D,)


def test_a_flood_of_words_ends_the_conversation():
    _, (outcome,) = sent({"rcpt": "\n".join(["250-" + "x" * 900] * 100)})
    assert (outcome.result, outcome.code) == (D, None)


WILD = st.sampled_from([None, None, None, *(each for each in TROUBLES.values() if each is not Trouble.SLOW)])
SCRIPTS = st.dictionaries(st.sampled_from([*ALWAYS, "rset", "quit"]), st.lists(WILD, max_size=6))


@settings(max_examples=60)
@given(SCRIPTS, st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4))
def test_every_mail_has_one_true_outcome_whatever_the_server_does(script, count, connections, per_domain, domains):
    mails = [mail(n, f"d{n % domains}.example") for n in range(count)]
    sent(script, mails, connections=connections, per_domain=per_domain, **LOGIN)  # which checks it
