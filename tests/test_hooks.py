"""Hooks: silences, downtimes, webhooks and commands are put once, taken away, and say in one line what went wrong."""

import asyncio
import hmac
import json
import os
import signal
import ssl
import sys
import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from maintsched.errors import InvalidValue
from maintsched.hooks import Hook, Kind, Moment, Occasion, Outcome, call, call_all, hook_key
from maintsched.intake.hookconfig import HookConfig, HookKind, HookMoment
from maintsched.worker.clock import read_clock
from tests.hook_servers import (
    PASSWORD,
    USER,
    Alertmanager,
    HookServer,
    Icinga,
    Receiver,
    Trouble,
    ca_file,
    hook_server,
    plain_authority,
    real_alertmanager,
    real_icinga,
)

START = datetime(2026, 12, 1, 17, tzinfo=UTC)
END = START + timedelta(hours=3)
RUN = "run/monthly:2026-12/acme-prod"
SECRET = "signet-77aa"
HOSTS = {"a.example": ("web", "db"), "b.example": ()}
HTTP = ("webhook", "alertmanager", "icinga")


def occasion(moment: str = "before_run", **changes: Any) -> Occasion:
    about: dict[str, Any] = {"moment": moment, "window": "monthly/2026-12", "start": START, "end": END}
    if moment.endswith("_run"):
        about |= {"run": RUN, "instance": "acme-prod", "host": "a.example", "customer": "acme"}
    return Occasion(**(about | changes))


def service_of(kind: str) -> Any:
    return Icinga(HOSTS) if kind == "icinga" else {"webhook": Receiver, "alertmanager": Alertmanager}[kind]()


def hook_for(kind: str, url: str, folder: Any, **changes: Any) -> Hook:
    usual: dict[str, dict[str, Any]] = {
        "webhook": {"secret": SECRET},
        "alertmanager": {"settings": {"instance": "{host}:9100", "team": "hosting"}},
        "icinga": {"user": USER, "password": PASSWORD, "settings": {"host": "{host}"}},
    }
    about = usual[kind]
    base = f"{url}/am" if kind == "alertmanager" and not url.endswith("/am") else url
    about |= {"name": "silence", "kind": kind, "url": base, "ca_file": ca_file(folder), "timeout_seconds": 20}
    return Hook(**(about | changes))


def called(hook: Hook, about: Occasion, kept: Any = None, **more: Any) -> Outcome:
    outcome = asyncio.run(call(hook, about, kept or {}, **more))
    assert outcome.said
    assert outcome.said.isprintable(), outcome.said
    assert len(outcome.said) <= 300
    assert json.loads(json.dumps(dict(outcome.kept))) == outcome.kept
    for secret in (PASSWORD, SECRET):
        assert secret not in repr(outcome)
    return outcome


class Scene(NamedTuple):
    kind: str
    server: HookServer
    hook: Hook


@pytest.fixture(params=HTTP)
def scene(request, tmp_path):
    with hook_server(service_of(request.param), tls=True) as server:
        yield Scene(request.param, server, hook_for(request.param, server.url, tmp_path))


def changing(asked):
    """Whether a request changes something at the other side."""
    return asked.method != "GET" and asked.path != "/v1/objects/downtimes"


# --- what goes well ---------------------------------------------------------------------------------------------------


def test_what_is_put_at_a_begin_is_there_once_and_gone_at_the_end(scene):
    outcome = called(scene.hook, occasion())
    assert outcome.ok, outcome
    assert scene.server.service.effects() == 1
    ended = called(scene.hook, occasion("after_run", result="done"), outcome.kept)
    assert ended.ok, ended
    assert scene.server.service.effects() == (2 if scene.kind == "webhook" else 0)


def test_a_call_that_is_made_again_changes_nothing(scene):
    first, again = called(scene.hook, occasion()), called(scene.hook, occasion())
    assert (first.ok, again.ok) == (True, True)
    assert scene.server.service.effects() == 1
    assert first.kept == again.kept
    for _ in range(2):
        assert called(scene.hook, occasion("after_run"), first.kept).ok
    assert scene.server.service.effects() == (2 if scene.kind == "webhook" else 0)


def test_two_runs_of_one_window_have_each_their_own(scene):
    other = {"run": "run/monthly:2026-12/acme-test", "instance": "acme-test", "host": "b.example"}
    first, second = called(scene.hook, occasion()), called(scene.hook, occasion(**other))
    assert scene.server.service.effects() == 2
    if scene.kind != "webhook":
        assert set(first.kept) == set(second.kept)
        called(scene.hook, occasion("after_run"), first.kept)
        assert scene.server.service.effects() == 1


def test_an_attempt_after_the_first_is_told_of_anew(scene):
    called(scene.hook, occasion("after_run"), called(scene.hook, occasion()).kept)
    assert called(scene.hook, occasion(attempt=2)).ok
    assert scene.server.service.effects() == (3 if scene.kind == "webhook" else 1)


@pytest.mark.parametrize("kind", ["alertmanager", "icinga"])
def test_what_was_put_is_found_at_the_end_where_what_was_kept_is_lost(kind, tmp_path):
    with hook_server(service_of(kind), tls=True) as server:
        hook = hook_for(kind, server.url, tmp_path)
        assert called(hook, occasion()).ok
        for kept in ({}, {"silences": "x", "downtimes": 7}, {"silences": ["../../-/reload", 4, ""]}):
            assert called(hook, occasion("after_run"), kept).ok
        assert server.service.effects() == 0
        assert not [asked.path for asked in server.asked if "reload" in asked.path]


@pytest.mark.parametrize("kind", ["alertmanager", "icinga"])
def test_a_window_that_was_extended_is_silent_to_its_new_end(kind, tmp_path):
    with hook_server(service_of(kind), tls=True) as server:
        hook = hook_for(kind, server.url, tmp_path)
        called(hook, occasion())
        later = called(hook, occasion(end=END + timedelta(hours=2)))
        assert later.ok
        assert server.service.effects() == 1
        assert "2026-12-01T22:15:00" in later.said
        called(hook, occasion("after_run"), later.kept)
        assert server.service.effects() == 0


@pytest.mark.parametrize("kind", ["alertmanager", "icinga"])
def test_what_somebody_ended_by_hand_is_as_good(kind, tmp_path):
    with hook_server(service_of(kind), tls=True) as server:
        hook = hook_for(kind, server.url, tmp_path)
        kept = called(hook, occasion()).kept
        for each in getattr(server.service, "silences", {}).values():
            each["status"]["state"] = "expired"
        getattr(server.service, "downtimes", {}).clear()
        assert called(hook, occasion("after_run"), kept).ok
        getattr(server.service, "silences", {}).clear()
        assert called(hook, occasion("after_run"), kept).ok


def test_a_silence_holds_from_a_margin_before_the_window_to_one_after_it_and_for_the_labels_alone(tmp_path):
    with hook_server(Alertmanager(), tls=True) as server:
        hook = hook_for("alertmanager", server.url, tmp_path, margin_minutes=30)
        assert called(hook, occasion()).ok
        (silence,) = server.service.holding()
    assert (silence["startsAt"], silence["endsAt"]) == ("2026-12-01T16:30:00+00:00", "2026-12-01T20:30:00.000Z")
    assert silence["createdBy"] == "maintsched"
    assert silence["comment"].endswith(f"[hook/silence/before_run/{RUN}]")
    assert silence["matchers"] == [
        {"name": "instance", "value": "a.example:9100", "isRegex": False, "isEqual": True},
        {"name": "team", "value": "hosting", "isRegex": False, "isEqual": True},
    ]


@pytest.mark.parametrize("unknown", [404, 500])
def test_both_ways_of_saying_that_a_silence_is_not_known_are_understood(unknown, tmp_path):
    with hook_server(Alertmanager(unknown=unknown), tls=True) as server:
        hook = hook_for("alertmanager", server.url, tmp_path)
        kept = {"silences": ["00000000-0000-0000-0000-000000000000"]}
        assert called(hook, occasion("after_run"), kept).ok


def test_a_downtime_of_a_host_is_one_of_all_its_services(tmp_path):
    with hook_server(Icinga(HOSTS), tls=True) as server:
        assert called(hook_for("icinga", server.url, tmp_path), occasion()).ok
        found = server.service.downtimes
    assert {name.rpartition("!")[0] for name in found} == {"a.example", "a.example!web", "a.example!db"}
    (asked,) = [each.json for each in server.asked if each.path.endswith("schedule-downtime")]
    assert (asked["type"], asked["fixed"], asked["all_services"]) == ("Host", True, True)
    assert (asked["author"], asked["comment"][-len(RUN) - 1 : -1]) == ("maintsched", RUN)
    times = [datetime.fromtimestamp(asked[key], UTC) for key in ("start_time", "end_time")]
    assert times == [START - timedelta(minutes=15), END + timedelta(minutes=15)]


def test_a_downtime_of_a_service_is_of_that_service_alone(tmp_path):
    with hook_server(Icinga(HOSTS), tls=True) as server:
        hook = hook_for("icinga", server.url, tmp_path, settings={"host": "{host}", "service": "web"})
        assert called(hook, occasion()).ok
        assert [name.rpartition("!")[0] for name in server.service.downtimes] == ["a.example!web"]


@pytest.mark.parametrize("nothing", [(500, {"results": []}), (404, {"error": 404, "status": "No objects found."})])
def test_a_host_that_icinga_does_not_know_is_said(nothing, tmp_path):
    with hook_server(Icinga(HOSTS, nothing=nothing), tls=True) as server:
        outcome = called(hook_for("icinga", server.url, tmp_path), occasion(host="c.example"))
    assert (outcome.ok, outcome.retry) == (False, False)
    assert "knows no host c.example; correct settings" in outcome.said


def test_half_a_downtime_is_taken_back_and_tried_again(tmp_path):
    with hook_server(Icinga(HOSTS), tls=True) as server:
        server.service.broken = {"a.example!db"}
        hook = hook_for("icinga", server.url, tmp_path)
        outcome = called(hook, occasion())
        assert (outcome.ok, outcome.retry, server.service.downtimes) == (False, True, {})
        assert outcome.said.endswith("no downtime: no downtime for a.example!db: disk full")
        server.service.broken = set()
        assert called(hook, occasion()).ok
        assert len(server.service.downtimes) == 3


def test_a_webhook_is_told_the_facts_and_the_end_gets_what_the_begin_kept(tmp_path):
    with hook_server(Receiver(), tls=True) as server:
        hook = hook_for("webhook", f"{server.url}/hooks/1?team=a", tmp_path)
        server.service.reply = (201, {"keep": {"id": "pause-1"}, "more": 1})
        outcome = called(hook, occasion(url="https://acme.example/"))
        assert outcome.kept == {"id": "pause-1"}
        called(hook, occasion("after_run", result="failed_dirty"), outcome.kept)
    begin, end = server.asked
    assert begin.path == "/hooks/1?team=a"
    assert begin.json == {
        "version": 1,
        "key": f"hook/silence/before_run/{RUN}",
        "hook": "silence",
        "moment": "before_run",
        "window": {"id": "monthly/2026-12", "start": START.isoformat(), "end": END.isoformat()},
        "run": {
            "key": RUN,
            "attempt": 1,
            "instance": "acme-prod",
            "host": "a.example",
            "customer": "acme",
            "url": "https://acme.example/",
            "result": None,
        },
        "kept": {},
    }
    assert (end.json["kept"], end.json["run"]["result"]) == ({"id": "pause-1"}, "failed_dirty")
    assert begin.headers["idempotency-key"] == begin.json["key"] != end.headers["idempotency-key"]


def test_what_a_webhook_posts_is_signed_with_the_secret(tmp_path):
    with hook_server(Receiver(), tls=True) as server:
        called(hook_for("webhook", server.url, tmp_path), occasion())
        called(hook_for("webhook", server.url, tmp_path, secret=None), occasion())
    signed, plain = server.asked
    mine = hmac.new(SECRET.encode(), signed.body, "sha256").hexdigest()
    assert signed.headers["maintsched-signature"] == f"sha256={mine}"
    assert "maintsched-signature" not in plain.headers
    assert SECRET.encode() not in signed.body
    assert SECRET not in str(signed.headers)


def test_a_window_is_told_of_without_a_run(tmp_path):
    with hook_server(Receiver(), tls=True) as server:
        called(hook_for("webhook", server.url, tmp_path), occasion("before_window"))
    assert (server.asked[0].json["run"], server.asked[0].json["moment"]) == (None, "before_window")
    assert server.asked[0].json["key"] == "hook/silence/before_window/monthly/2026-12"


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({"password": "töken"}, "Bearer töken"),
        ({"user": "eva", "password": "pässwort"}, "Basic ZXZhOnDDpHNzd29ydA=="),
        ({}, None),
    ],
)
def test_a_login_is_a_bearer_token_or_a_user_with_a_password(login, header, tmp_path):
    with hook_server(Receiver(), tls=True) as server:
        assert called(hook_for("webhook", server.url, tmp_path, **login), occasion()).ok
    sent = server.asked[0].headers.get("authorization")
    assert (sent and sent.encode("latin-1").decode()) == header


# --- what goes wrong at the other side --------------------------------------------------------------------------------


def test_a_refusal_is_told_with_its_reason_and_not_tried_again(scene):
    scene.server.trouble = Trouble.REFUSE
    outcome = called(scene.hook, occasion())
    assert (outcome.ok, outcome.retry) == (False, False)
    assert "answered 400: no such thing, [31mreally" in outcome.said


@pytest.mark.parametrize("status", [401, 403, 404, 408, 425, 429, 500, 502, 503, 504])
def test_a_failure_that_may_pass_is_tried_again_and_no_other(status, tmp_path):
    with hook_server(Receiver(), tls=True) as server:
        server.service.reply = (status, "why")
        outcome = called(hook_for("webhook", server.url, tmp_path), occasion())
    assert (outcome.ok, outcome.retry) == (False, status in (408, 425, 429, 500, 502, 503, 504))
    assert outcome.said.endswith(f"answered {status}: why")


def test_a_server_that_fails_is_asked_again(scene):
    scene.server.trouble = Trouble.FAIL
    outcome = called(scene.hook, occasion())
    assert (outcome.ok, outcome.retry) == (False, True)
    assert outcome.said.endswith("answered 503: upstream is away")
    scene.server.trouble = None
    assert called(scene.hook, occasion()).ok
    assert scene.server.service.effects() == 1


@pytest.mark.parametrize("trouble", [Trouble.SLOW, Trouble.TRICKLE])
def test_a_slow_server_is_left_in_time(scene, trouble):
    scene.server.trouble = trouble
    began = time.monotonic()
    outcome = called(scene.hook, occasion(), timeout_seconds=0.3)
    assert time.monotonic() - began < 5
    assert (outcome.ok, outcome.retry) == (False, True)
    assert outcome.said == "no answer within 0.3 s; whether it took effect is not known"


def test_a_server_that_is_not_there_is_asked_again(scene, tmp_path):
    with hook_server(Receiver()) as gone:
        url = gone.url.replace("http://", "https://")
    outcome = called(hook_for(scene.kind, url, tmp_path), occasion())
    assert (outcome.ok, outcome.retry) == (False, True)
    assert outcome.said.endswith(": connection refused")


@pytest.mark.parametrize("trouble", [Trouble.DROP, Trouble.LOST, Trouble.HALF])
def test_after_a_lost_answer_the_second_call_finds_what_the_first_one_did(scene, trouble):
    scene.server.trouble, scene.server.when = trouble, changing
    outcome = called(scene.hook, occasion())
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "no whole answer before the connection was cut; whether it took effect is not known" in outcome.said
    assert scene.server.service.effects() == (0 if trouble is Trouble.DROP else 1)
    scene.server.trouble = None
    again = called(scene.hook, occasion())
    assert again.ok
    assert scene.server.service.effects() == 1
    scene.server.trouble = trouble
    lost = called(scene.hook, occasion("after_run"), again.kept)
    assert (lost.ok, lost.retry) == (False, True)
    scene.server.trouble = None
    assert called(scene.hook, occasion("after_run"), again.kept).ok
    assert scene.server.service.effects() == (2 if scene.kind == "webhook" else 0)


def test_a_redirect_is_followed_nowhere(scene, tmp_path):
    with hook_server(service_of(scene.kind), tls=True) as other:
        scene.server.trouble, scene.server.elsewhere = Trouble.REDIRECT, f"{other.url}/taken"
        outcome = called(scene.hook, occasion())
    assert (outcome.ok, outcome.retry, other.connections) == (False, False, 0)
    assert f"answered 307, a redirect to {other.url}/taken, which is not followed; correct url" in outcome.said


def test_an_answer_without_end_is_left(scene):
    scene.server.trouble = Trouble.HUGE
    outcome = called(scene.hook, occasion())
    assert (outcome.ok, outcome.retry) == (scene.kind == "webhook", False)
    assert scene.kind == "webhook" or "answered more than 4 MiB; correct url" in outcome.said


@pytest.mark.parametrize("trouble", [Trouble.GARBAGE, Trouble.DEEP])
def test_an_answer_that_is_no_json_is_told_in_one_line(scene, trouble):
    scene.server.trouble = trouble
    outcome = called(scene.hook, occasion())
    assert (outcome.ok, outcome.retry) == (scene.kind == "webhook", False)
    assert scene.kind == "webhook" or "answered 200 with something that is no JSON" in outcome.said


def test_json_of_another_shape_is_told_in_one_line(scene):
    scene.server.trouble = Trouble.OTHER
    outcome = called(scene.hook, occasion())
    assert (outcome.ok, outcome.retry) == (scene.kind == "webhook", False)
    assert scene.kind == "webhook" or "JSON of another shape than expected" in outcome.said


ODD_SILENCE = {"createdBy": "maintsched", "comment": f"Maintenance of acme-prod, window monthly/2026-12 [{{}}/{RUN}]"}


@pytest.mark.parametrize("odd", [[7], [{}], [{"id": "a/b", "endsAt": "soon"}], {"a": 1}, None, [{"id": "a/b"}]])
def test_strange_silences_are_told_in_one_line(odd, tmp_path):
    class Strange(Receiver):
        def answer(self, asked):
            ours = {"createdBy": "maintsched", "endsAt": "2026-12-01T23:00:00Z"}
            ours["comment"] = ODD_SILENCE["comment"].format("hook/silence/before_run")
            return 200, [ours | each for each in odd] if isinstance(odd, list) and odd[0] != 7 else odd

    with hook_server(Strange(), tls=True) as server:
        outcome = called(hook_for("alertmanager", server.url, tmp_path), occasion())
    assert (outcome.ok, outcome.retry) == (False, False)
    assert "no JSON" in outcome.said or "JSON of another shape" in outcome.said


@pytest.mark.parametrize("keep", [[1], "x", {"a": "y" * 5000}, {"a": "\x00"}, {"a": "\ud800"}])
def test_what_cannot_be_kept_is_refused_in_one_line(keep, tmp_path):
    with hook_server(Receiver(), tls=True) as server:
        server.service.reply = (200, {"keep": keep})
        outcome = called(hook_for("webhook", server.url, tmp_path), occasion())
    assert (outcome.ok, outcome.kept) == (False, {})
    assert 'expected "keep" to be a JSON object of up to 4096 bytes' in outcome.said


class Odd(Receiver):
    """Answers with a service behind it, except where `answers` has something else for the end of a path."""

    def __init__(self, service, answers):
        super().__init__()
        self.service, self.answers = service, answers

    def answer(self, asked):
        usual = self.service.answer(asked)
        return next((odd for end, odd in self.answers.items() if f"{asked.method} {asked.path}".endswith(end)), usual)


@pytest.mark.parametrize(
    ("kind", "moment", "answers", "retry", "said"),
    [
        (
            "alertmanager",
            "before_run",
            {"POST /am/api/v2/silences": (200, {"silenceID": "a/b"})},
            False,
            "another shape",
        ),
        ("alertmanager", "before_run", {"POST /am/api/v2/silences": (200, [])}, False, "another shape"),
        ("icinga", "before_run", {"schedule-downtime": (500, "<p>away</p>")}, True, "answered 500: <p>away</p>"),
        ("icinga", "before_run", {"schedule-downtime": (200, {"results": [7]})}, False, "another shape"),
        ("icinga", "before_run", {"schedule-downtime": (200, {"results": [{"code": "x"}]})}, True, "no downtime: None"),
        ("icinga", "before_run", {"downtimes": (200, {"results": [{"name": "x"}]})}, False, "another shape"),
        ("icinga", "before_run", {"downtimes": (200, {"results": 3})}, False, "another shape"),
        ("icinga", "before_run", {"downtimes": (403, "no right")}, False, "answered 403: no right"),
    ],
)
def test_an_odd_answer_in_the_midst_is_told_in_one_line(kind, moment, answers, retry, said, tmp_path):
    with hook_server(Odd(service_of(kind), answers), tls=True) as server:
        outcome = called(hook_for(kind, server.url, tmp_path), occasion(moment))
    assert (outcome.ok, outcome.retry) == (False, retry)
    assert said in outcome.said


def test_a_downtime_that_stays_is_told(tmp_path):
    with hook_server(Icinga(HOSTS), tls=True) as server:
        hook = hook_for("icinga", server.url, tmp_path)
        called(hook, occasion())
        left = [{"name": each, "attrs": {"end_time": 1.0}} for each in server.service.downtimes]
        icinga = server.service
        for answers, retry, said in (
            ({"remove-downtime": (403, "no right")}, False, "answered 403: no right"),
            ({"downtimes": (200, {"results": left})}, True, "3 downtimes could not be removed: a.example!"),
        ):
            server.service = Odd(icinga, answers)
            outcome = called(hook, occasion("after_run"))
            assert (outcome.ok, outcome.retry) == (False, retry)
            assert said in outcome.said
        server.service = Odd(icinga, {"downtimes": (404, {"error": 404, "status": "No objects found."})})
        assert called(hook, occasion("after_run")).said == "there is no downtime to remove"


def test_a_silence_that_stays_is_told(tmp_path):
    with hook_server(Alertmanager(), tls=True) as server:
        hook = hook_for("alertmanager", server.url, tmp_path)
        kept = called(hook, occasion()).kept
        (name,) = kept["silences"]
        server.service = Odd(server.service, {f"DELETE /am/api/v2/silence/{name}": (500, "disk full")})
        server.service.service.answer = lambda asked, usual=server.service.service.answer: (
            usual(asked) if asked.method != "DELETE" else (500, None)
        )
        outcome = called(hook, occasion("after_run"), kept)
    assert (outcome.ok, outcome.retry) == (False, True)
    assert outcome.said.endswith("answered 500: disk full")


def test_a_call_that_is_given_up_sends_nothing_more(scene):
    async def given_up() -> None:
        task = asyncio.create_task(call(scene.hook, occasion(), {}))
        await asyncio.sleep(0)  # it is in its thread, or about to be
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(given_up())
    assert not [each for each in scene.server.asked if changing(each)]


def test_of_many_calls_none_loses_time_that_it_spends_waiting_for_others(tmp_path):
    class Slow(Receiver):
        under_way = most = 0

        def answer(self, asked):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            server.over.wait(0.1)
            self.under_way -= 1
            return super().answer(asked)

    with hook_server(Slow()) as server:
        hook = hook_for("webhook", server.url, tmp_path, timeout_seconds=1)
        about = [occasion(run=f"run/monthly:2026-12/{number}") for number in range(60)]
        outcomes = asyncio.run(call_all((hook, each, {}) for each in about))
    assert [each.ok for each in outcomes] == [True] * 60
    assert list(server.service.done) != []
    assert server.service.most <= 4


# --- who is spoken to -------------------------------------------------------------------------------------------------


def test_nothing_is_told_to_a_server_whose_certificate_nobody_trusts(scene, tmp_path):
    for hook in (replace(scene.hook, ca_file=None), hook_for(scene.kind, scene.server.url, tmp_path, ca_file=None)):
        outcome = called(hook, occasion())
        assert (outcome.ok, outcome.retry, scene.server.asked) == (False, True, [])
        assert "its certificate is not accepted: " in outcome.said


def test_nothing_is_told_to_a_server_with_the_certificate_of_another_host(scene, tmp_path):
    with hook_server(scene.server.service, tls=True, cert_for="other.example") as server:
        outcome = called(hook_for(scene.kind, server.url, tmp_path), occasion())
    assert (outcome.ok, outcome.retry, server.asked) == (False, True, [])
    assert "its certificate is not accepted: IP address mismatch" in outcome.said


def test_the_bare_certificates_that_icinga_makes_for_itself_will_do(tmp_path, monkeypatch):
    made = ssl.create_default_context

    def strict(*args, **kwargs):
        context = made(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # as from Python 3.13 on
        return context

    monkeypatch.setattr("ssl.create_default_context", strict)
    with hook_server(Icinga(HOSTS), tls=True, context=plain_authority(tmp_path)) as server:
        hook = hook_for("icinga", server.url, tmp_path, ca_file=tmp_path / "bare-ca.pem")
        assert called(hook, occasion()).ok
        assert "certificate is not accepted" in called(replace(hook, ca_file=ca_file(tmp_path)), occasion()).said


def test_a_server_that_speaks_no_tls_gets_nothing(scene, tmp_path):
    with hook_server(scene.server.service) as server:
        outcome = called(hook_for(scene.kind, server.url.replace("http:", "https:"), tmp_path), occasion())
    assert (outcome.ok, outcome.retry, server.asked) == (False, True, [])
    assert "no encrypted connection: " in outcome.said


def test_a_file_of_certificates_that_is_none_is_told(scene, tmp_path):
    (tmp_path / "empty.pem").write_text("")
    for name, words in (("empty.pem", "holds no certificate"), ("none.pem", "no such file or directory")):
        outcome = called(replace(scene.hook, ca_file=tmp_path / name), occasion())
        assert (outcome.ok, outcome.retry) == (False, False)
        assert outcome.said == f"ca_file {tmp_path / name}: {words}"


def test_plain_text_goes_to_this_machine_alone(scene, tmp_path, monkeypatch):
    with pytest.raises(InvalidValue, match="http:// goes to this machine only"):
        hook_for(scene.kind, "http://monitoring.example", tmp_path)
    with hook_server(scene.server.service) as server:
        hook = hook_for(scene.kind, server.url, tmp_path)
        assert called(hook, occasion()).ok
        asked = len(server.asked)
        monkeypatch.setattr("maintsched.hooks.exchange.is_loopback", lambda host: host != "127.0.0.1")
        outcome = called(hook, occasion("after_run"))
    assert (outcome.ok, outcome.retry, len(server.asked)) == (False, False, asked)
    assert "is not this machine, and http goes nowhere else" in outcome.said


def test_a_proxy_of_the_environment_is_not_used(scene, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert called(scene.hook, occasion()).ok


# --- hostile names and secrets ----------------------------------------------------------------------------------------


HOSTILE = [
    'a" || true || "',
    "a\\",
    'a\\"',
    "a\n}",
    "{instance}{host}",
    "{customer",
    "{{host}}",
    "{0.__class__}",
    '"}],"comment":"x',
    "a&filter=b",
    "a=b,c=~.*",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out_of_a_filter_or_of_json(name, tmp_path):
    about = occasion(instance=name, host="a.example")
    meant = name.replace("{instance}", name).replace("{host}", "a.example") if "{instance}" not in name else None
    with hook_server(Alertmanager(), tls=True) as server:
        hook = hook_for("alertmanager", server.url, tmp_path, settings={"instance": name, "path": "x{instance}y"})
        for _ in range(2):
            assert called(hook, about).ok
        (silence,) = server.service.holding()
    values = {each["name"]: each["value"] for each in silence["matchers"]}
    assert values["path"] == f"x{name}y"
    assert meant is None or values["instance"] == meant
    with hook_server(Icinga({name: ()}), tls=True) as server:
        hook = hook_for("icinga", server.url, tmp_path, settings={"host": "{instance}"})
        for _ in range(2):
            assert called(hook, about).ok
        assert [each.rpartition("!")[0] for each in server.service.downtimes] == [name]


def test_a_placeholder_that_was_put_in_is_not_filled_again(tmp_path):
    with hook_server(Alertmanager(), tls=True) as server:
        hook = hook_for("alertmanager", server.url, tmp_path, settings={"a": "{instance}|{host}|{customer}|{url}"})
        assert called(hook, occasion(instance="{host}", customer="{instance}")).ok
        assert server.service.holding()[0]["matchers"][0]["value"] == "{host}|a.example|{instance}|{url}"


def test_a_secret_that_a_server_repeats_is_not_shown(scene):
    scene.server.trouble = Trouble.ECHO
    hook = replace(scene.hook, user=USER, password=PASSWORD)
    outcome = called(hook, occasion())
    assert not outcome.ok
    assert "authorization" not in outcome.said.lower() or "(hidden)" in outcome.said
    assert "bWFpbnRzY2hlZDp" not in outcome.said
    bearer = called(replace(hook, user=None), occasion())
    assert not bearer.ok


def test_a_hook_shows_no_secret(tmp_path):
    hook = hook_for("icinga", "https://127.0.0.1:1", tmp_path, secret=SECRET)
    assert PASSWORD not in repr(hook)
    assert SECRET not in repr(hook)


# --- commands ---------------------------------------------------------------------------------------------------------


def command(code: str, *args: str, **changes: Any) -> Hook:
    about: dict[str, Any] = {"name": "ours", "kind": "command", "command": (sys.executable, "-c", code, *args)}
    return Hook(**(about | changes))


def test_a_command_reads_the_facts_and_what_it_keeps_comes_back(tmp_path):
    code = """if True:
        import json, sys
        facts = json.load(sys.stdin)
        with open(sys.argv[1], "a") as file:
            file.write(json.dumps(facts) + "\\n")
        print(json.dumps({"keep": {"id": 7}}))
        print("put", facts["run"]["instance"], file=sys.stderr)
    """
    hook = command(code, str(tmp_path / "facts"))
    outcome = called(hook, occasion())
    assert (outcome.ok, outcome.kept) == (True, {"id": 7})
    assert outcome.said.endswith("exit code 0: put acme-prod")
    assert called(hook, occasion("after_run", result="done"), outcome.kept).ok
    begin, end = (json.loads(line) for line in (tmp_path / "facts").read_text().splitlines())
    assert (begin["key"], begin["kept"]) == (f"hook/ours/before_run/{RUN}", {})
    assert (end["kept"], end["run"]["result"]) == ({"id": 7}, "done")


@pytest.mark.parametrize(
    ("code", "retry", "said"),
    [
        ("raise SystemExit(75)", True, "exit code 75"),
        ("print('no'); raise SystemExit(1)", False, "exit code 1: no"),
        ("import os; os.kill(os.getpid(), 9)", False, "ended by signal 9"),
        (
            "import sys; print('a\\n\\x1b[2J\\u202eb', file=sys.stderr); raise SystemExit(3)",
            False,
            "exit code 3: [2J b",
        ),
        ("print('{\"keep\": 3}')", False, 'expected "keep" to be a JSON object'),
    ],
)
def test_a_command_that_fails_says_why_in_one_line(code, retry, said):
    outcome = called(command(code), occasion())
    assert (outcome.ok, outcome.retry) == (False, retry)
    assert said in outcome.said


def test_a_program_that_cannot_be_started_is_told(tmp_path):
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    for argv, reason in (
        ((str(tmp_path / "none"),), "no such file"),
        ((str(tmp_path / "plain"),), "permission denied"),
    ):
        outcome = called(Hook(name="x", kind=Kind.COMMAND, command=argv), occasion())
        assert (outcome.ok, outcome.retry) == (False, False)
        assert f"{argv[0]}: cannot be started: {reason}" in outcome.said


def test_words_of_a_command_are_for_no_shell(tmp_path):
    code = "import sys; print(sys.argv[1:])"
    odd = ("$(touch x)", "; touch x", "{instance}", "a'b")
    outcome = called(command(code, *odd), occasion())
    assert outcome.said.endswith(repr(list(odd)))


def gone(pid: int) -> bool:
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


STUBBORN = """if True:
    import os, signal, sys, time
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        with open(sys.argv[1] + ".new", "w") as file:
            file.write(f"{os.getpid()} {child}")
        os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(60)
"""


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr("maintsched.hooks.command.GRACE_SECONDS", 0.3)
    outcome = called(command(STUBBORN, str(tmp_path / "pids")), occasion(), timeout_seconds=1.5)
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "no answer within 1.5 s" in outcome.said
    parent, child = map(int, (tmp_path / "pids").read_text().split())
    assert gone(parent)
    assert gone(child)


def test_a_command_that_is_given_up_is_ended(tmp_path):
    code = "import sys, time, os; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"

    async def given_up() -> None:
        task = asyncio.create_task(call(command(code, str(tmp_path / "pid")), occasion(), {}))
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
                break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(given_up())
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_command_that_leaves_something_running_is_over_when_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("maintsched.hooks.command.GRACE_SECONDS", 0.1)
    code = """if True:
        import os, sys, time
        child = os.fork()
        if not child:
            time.sleep(60)
        print(child, flush=True)
        os._exit(0)
    """
    outcome = called(command(code), occasion())
    assert outcome.ok
    os.kill(int(outcome.said.split()[-1]), signal.SIGKILL)


def test_of_an_endless_output_the_end_is_read():
    code = "import sys; sys.stdout.write('x' * 3_000_000); sys.stdout.write('\\nlast'); sys.stdin.close()"
    outcome = called(command(code), occasion())
    assert outcome.ok
    assert outcome.said.endswith("exit code 0: last")


def test_a_command_need_not_read_what_it_is_told():
    kept = {"a": "x" * 200_000}
    assert called(command("import sys; sys.stdin.close()"), occasion("after_run"), kept).ok


def test_a_command_is_handed_no_secret_of_ours(monkeypatch):
    monkeypatch.setenv("MAINTSCHED_SMTP_PASSWORD", PASSWORD)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("MAINTSCHED_CONFIG", "/etc/x.toml")
    code = "import os; print(*[k for k in os.environ if 'PASSWORD' in k or 'CRED' in k or k == 'MAINTSCHED_CONFIG'])"
    assert called(command(code), occasion()).said.endswith("exit code 0: MAINTSCHED_CONFIG")


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_key_is_the_same_for_each_call_that_means_the_same():
    assert hook_key("a", Moment.BEFORE_RUN, occasion().subject) == f"hook/a/before_run/{RUN}"
    assert hook_key("a", Moment.AFTER_RUN, occasion(attempt=3).subject) == f"hook/a/after_run/{RUN}@3"
    assert occasion("before_window").subject == "monthly/2026-12"


@pytest.mark.parametrize(
    "make",
    [
        lambda: occasion(host=None),
        lambda: occasion("before_window", run=RUN),
        lambda: occasion(end=START),
        lambda: occasion(window="a b"),
        lambda: occasion(run="run/x\r\nEvil: 1/y"),
        lambda: occasion(start=START.replace(tzinfo=None)),
        lambda: Hook(name="a b", kind=Kind.COMMAND, command=("x",)),
        lambda: Hook(name="a", kind=Kind.COMMAND),
        lambda: Hook(name="a", kind=Kind.WEBHOOK),
        lambda: Hook(name="a", kind=Kind.WEBHOOK, url="ftp://a.example/"),
        lambda: Hook(name="a", kind=Kind.WEBHOOK, url="https://u:p@a.example/"),
    ],
)
def test_half_a_hook_and_half_an_occasion_are_refused(make):
    with pytest.raises(InvalidValue):
        make()


def test_a_hook_without_anything_to_silence_silences_nothing(tmp_path):
    for kind, words in (("alertmanager", "expected labels"), ("icinga", "expected a key host")):
        with hook_server(service_of(kind), tls=True) as server:
            outcome = called(hook_for(kind, server.url, tmp_path, settings={}), occasion())
        assert (outcome.ok, outcome.retry, server.service.effects()) == (False, False, 0)
        assert words in outcome.said


def test_both_sides_of_a_hook_know_the_same_kinds_moments_and_fields():
    assert {each.name: each.value for each in Kind} == {each.name: each.value for each in HookKind}
    assert {each.name: each.value for each in Moment} == {each.name: each.value for each in HookMoment}
    configured: dict[str, Any] = {each.name: each.default for each in fields(HookConfig)}
    given: dict[str, Any] = {each.name: each.default for each in fields(Hook)}
    for name, file in (("password", "password_file"), ("secret", "secret_file")):
        given[file] = given.pop(name)
    assert configured.keys() == given.keys()
    assert [*map(str, configured.pop("moments"))] == [
        *map(str, given.pop("moments"))
    ]  # members of two enumerations, as texts
    assert {name: repr(text) for name, text in configured.items()} == {name: repr(text) for name, text in given.items()}


# --- the real ones ----------------------------------------------------------------------------------------------------


def soon(moment="before_run", **changes):
    """An occasion that is now, for programs that look at the clock."""
    now = read_clock()
    return occasion(moment, **{"start": now - timedelta(minutes=1), "end": now + timedelta(hours=1), **changes})


def test_a_real_alertmanager_is_silenced_once_and_the_silence_ended(tmp_path):
    with real_alertmanager(tmp_path) as url:
        for name in ("plain", *HOSTILE):
            settings = {"instance": "{host}:9100", "odd": name}
            hook = hook_for("alertmanager", url, tmp_path, settings=settings)
            about = soon(host=name) if name != "plain" else soon()
            first, again = called(hook, about), called(hook, about)
            assert (first.ok, again.ok) == (True, True), (first, again)
            assert first.kept == again.kept
            later = called(hook, replace(about, end=about.end + timedelta(hours=1)))
            assert later.ok, later
            end = replace(about, moment=Moment.AFTER_RUN)
            assert called(hook, end, later.kept).said == f"ended silence {later.kept['silences'][0]}"
            assert called(hook, end, later.kept).ok
            assert called(hook, end).said == "there is no silence to end"
        hook = hook_for("alertmanager", url, tmp_path)
        unknown = {"silences": ["00000000-0000-0000-0000-000000000000"]}
        assert called(hook, soon("after_run"), unknown).ok
        past = called(hook, soon(start=START - timedelta(days=900), end=START - timedelta(days=899)))
        assert (past.ok, past.retry) == (False, False)
        assert "answered 400" in past.said


def test_a_real_icinga_gets_one_downtime_for_a_host_and_its_services_and_loses_it(tmp_path):
    with real_icinga(tmp_path / "icinga", HOSTS) as url:
        hook = hook_for("icinga", url, tmp_path)
        about = soon()
        first, again = called(hook, about), called(hook, about)
        assert (first.ok, again.ok) == (True, True), (first, again)
        assert first.kept == again.kept
        assert len(first.kept["downtimes"]) == 3
        later = called(hook, replace(about, end=about.end + timedelta(hours=1)))
        assert len(later.kept["downtimes"]) == 3
        assert not set(later.kept["downtimes"]) & set(first.kept["downtimes"])
        service = replace(hook, name="web", settings={"host": "{host}", "service": "web"})
        assert len(called(service, about).kept["downtimes"]) == 1
        end = replace(about, moment=Moment.AFTER_RUN)
        assert called(hook, end, later.kept).said == "removed 3 downtimes"
        assert called(hook, end, later.kept).said == "there is no downtime to remove"
        assert called(service, end).said == "removed 1 downtime"
        for name in ("c.example", *HOSTILE):
            unknown = called(hook, replace(about, host=name))
            assert (unknown.ok, unknown.retry) == (False, False)
            assert "knows no host" in unknown.said
        wrong = called(replace(hook, password="wrong"), about)
        assert (wrong.ok, wrong.retry) == (False, False)
        assert "answered 401" in wrong.said
