"""`ansible`: real plays by a real ansible-runner, here and over a real sshd; keys of hosts are always checked."""

import json
import os
import sys
from pathlib import Path

import pytest

from maintsched.errors import ExecutionError, HostKeyRefused, InvalidValue, Unreachable
from maintsched.executors.ansible import Ansible
from maintsched.executors.ansibleplay import Record, environment, exit_code
from maintsched.executors.port import Answer, Command, Item, JobState, Phase, Target
from maintsched.executors.transports.controller import Controller
from maintsched.testing.executors import ExecutorLaws, Stage
from tests.sshd import make_key, require_sshd, started
from tests.walks import Walk, _done, order, program

HOST = "web1.acme.example"
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: the version is written down
      ansible.builtin.copy:
        content: "{{ maintsched_releases.application | default('none') }}"
        dest: "{{ folder }}/version"
    - name: what the play was told
      ansible.builtin.copy:
        content: >-
          {{ lookup('env', 'ANSIBLE_HOST_KEY_CHECKING') }} {{ ansible_host_key_checking }}
          {{ maintsched_instance }} {{ maintsched_host }} {{ maintsched_orders | length }} {{ inventory_hostname }}
        dest: "{{ folder }}/told"
      when: not ansible_check_mode
    - name: versions
      ansible.builtin.set_stats:
        data: { maintsched_versions: { application: "{{ lookup('file', folder ~ '/version', errors='ignore') }}" } }
"""


class Site:
    """A folder with playbooks and an inventory in which each host is this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "hosts").write_text(
            f"{HOST} ansible_connection=local\nother.example ansible_connection=local\n[all:vars]\n"
            f"ansible_python_interpreter={sys.executable}\nansible_host_key_checking=false\n"
        )
        self.playbook = self.play("site", PLAYBOOK)

    def play(self, name, text):
        path = self.folder / f"{name}.yml"
        path.write_text(text)
        return str(path)

    def tasks(self, name, *tasks):
        head = "- hosts: all\n  gather_facts: false\n  tasks:\n"
        return self.play(name, head + "".join(f"    - {task}\n" for task in tasks))

    def walk(self, **settings):
        own = {"playbook": self.playbook, "inventory": str(self.folder / "hosts"), "probe": False}
        executor = Ansible({**own, "extra_vars": {"folder": str(self.folder)}, **settings})
        target = Target(instance="acme-prod", host=HOST, components=("application",))
        transport = Controller({"jobs": str(self.folder / "jobs")}, self.folder)
        assert transport.validate(HOST) == ()
        return Walk(executor=executor, target=target, link=_done(transport.open(HOST)))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def result_of(text):
    return json.loads(text.rpartition("MAINTSCHED-RESULT ")[2])


# --- plays ------------------------------------------------------------------------------------------------------------


def test_a_play_is_planned_by_a_check_played_once_and_looked_at_again(site):
    walk = site.walk()
    plan = walk.plan(order("application", "1.2.0"))
    assert plan.items == (Item(name="the version is written down", before=None, after="changed"),)
    assert plan.notes == ("there is no way back: rollback_playbook is not set",)
    assert plan.stops_service
    assert not (site.folder / "version").exists()
    verdict = walk.verify()
    assert verdict.problems == ("task the version is written down would still change something",)
    assert verdict.applied == ()
    assert walk.work() is Answer.DONE
    assert (site.folder / "version").read_text() == "1.2.0"
    verdict = walk.verify()
    assert (verdict.problems, verdict.applied) == ((), plan.items)
    assert verdict.versions == {"application": "1.2.0"}


def test_keys_are_checked_in_the_play_whatever_an_inventory_says(site):
    walk = site.walk(check=False)
    walk.plan(order("application", "1.2.0"))
    assert walk.work() is Answer.DONE
    assert (site.folder / "told").read_text().split() == ["True", "True", "acme-prod", HOST, "1", HOST]
    assert result_of(walk.said["play"])["hosts"] == [HOST]  # and not other.example
    assert walk.planned.items == (Item(name="application", before=None, after="1.2.0"),)
    assert walk.verify().applied == walk.planned.items  # without a check, that the play ended well is enough


def test_the_environment_of_a_play_checks_keys_by_variable_and_by_option(tmp_path):
    own = environment({"known_hosts": "/etc/known hosts%h"}, tmp_path)
    assert own["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert own["ANSIBLE_SSH_ARGS"].startswith("-o StrictHostKeyChecking=yes -o BatchMode=yes")
    assert "'UserKnownHostsFile=\"/etc/known hosts%%h\"'" in own["ANSIBLE_SSH_ARGS"]


def test_tasks_that_a_check_leaves_out_are_planned_as_not_foreseen(site):
    tasks = (
        "{ name: a command, ansible.builtin.command: 'true' }",
        "{ name: a command, ansible.builtin.command: 'true' }",
        "{ name: never, ansible.builtin.command: 'true', when: false }",
        "{ name: a loop, ansible.builtin.command: '{{ item }}', loop: ['true', 'true'] }",
    )
    walk = site.walk(playbook=site.tasks("commands", *tasks))
    assert walk.plan(order("application")).items == (
        Item(name="a command", before=None, after="unforeseen"),
        Item(name="a command (2)", before=None, after="unforeseen"),
        Item(name="a loop", before=None, after="unforeseen"),
    )
    assert walk.verify().problems == ()  # of those, nothing can be said afterwards either


def test_a_play_that_changes_nothing_is_nothing_to_do(site):
    walk = site.walk(playbook=site.tasks("idle", "ansible.builtin.debug: { msg: hello }"))
    assert walk.plan(order("application")).empty
    assert walk.steps(*Phase) == []
    assert walk.plan().empty


def test_a_play_that_fails_says_which_task(site):
    playbook = site.tasks(
        "broken",
        "{ name: first, ansible.builtin.command: 'true', check_mode: false, changed_when: true }",
        "{ name: careless, ansible.builtin.fail: { msg: never mind }, ignore_errors: true }",
        "{ name: second, ansible.builtin.fail: { msg: the disk is full } }",
    )
    walk = site.walk(playbook=playbook)
    with pytest.raises(ExecutionError, match=f"host {HOST}: task second failed: the disk is full; nothing was changed"):
        walk.plan(order("application"))
    walk = site.walk(playbook=playbook, check=False)
    walk.plan(order("application"))
    assert walk.work() is Answer.FAILED
    assert "failed: second: the disk is full" in walk.said["play"]
    assert "careless" not in walk.said["play"]


@pytest.mark.parametrize(("word", "answer"), [("postpone", Answer.POSTPONE), ("again", Answer.AGAIN)])
def test_a_play_may_ask_for_another_window_or_to_be_tried_again(site, word, answer):
    stats = f"ansible.builtin.set_stats: {{ data: {{ maintsched_answer: {word} }} }}"
    walk = site.walk(playbook=site.tasks("later", stats, "ansible.builtin.fail: { msg: busy }"), check=False)
    walk.plan(order("application"))
    assert walk.work() is answer


def test_a_playbook_that_cannot_be_read_changes_nothing(site):
    walk = site.walk(playbook=site.play("torn", "- hosts: all\n  tasks: [\n"), check=False)
    walk.plan(order("application"))
    assert walk.work() is Answer.FAILED_CLEAN
    assert "ERROR" in walk.said["play"]


def test_a_play_that_meets_no_host_is_a_failure_and_changes_nothing(site):
    playbook = site.play("nobody", "- hosts: nobody\n  tasks: []\n")
    walk = site.walk(playbook=playbook)
    with pytest.raises(ExecutionError, match="no host of the inventory was met: see limit and inventory"):
        walk.plan(order("application"))
    walk = site.walk(limit="{instance}")
    with pytest.raises(ExecutionError, match="leaves us with no hosts to target"):
        walk.plan(order("application"))


def test_backup_and_rollback_are_plays_of_their_own_and_verifying_may_be(site):
    settings = {
        "backup_playbook": site.tasks("backup", "ansible.builtin.debug: { msg: '{{ maintsched_phase }}' }"),
        "rollback_playbook": site.tasks(
            "rollback", "{ ansible.builtin.copy: { content: old, dest: '{{ folder }}/version' } }"
        ),
        "verify_playbook": site.tasks(
            "verify",
            "ansible.builtin.assert: { that: \"lookup('file', folder ~ '/version') == '1.2.0'\" }",
        ),
    }
    walk = site.walk(check=False, **settings)
    plan = walk.plan(order("application", "1.2.0", installed="1.1.0"))
    assert plan.items == (Item(name="application", before="1.1.0", after="1.2.0"),)
    assert plan.notes == ()
    assert [(step.name, step.idempotent) for step in walk.steps(*Phase)] == [
        ("backup", True),
        ("play", False),
        ("rollback", False),
    ]
    assert walk.work() is Answer.DONE
    assert walk.verify().problems == ()
    assert walk.undo() is Answer.DONE
    (problem,) = walk.verify().problems
    assert problem.startswith("task ansible.builtin.assert failed: Assertion failed")


def test_tags_choose_tasks(site):
    playbook = site.tasks(
        "tagged",
        "{ name: one, ansible.builtin.command: 'true', tags: [a] }",
        "{ name: two, ansible.builtin.command: 'true', tags: [a, b] }",
        "{ name: three, ansible.builtin.command: 'true' }",
    )
    walk = site.walk(playbook=playbook, tags=["a"], skip_tags=["b"])
    assert [item.name for item in walk.plan(order("application")).items] == ["one"]


def test_a_greeting_finds_a_host_that_is_there(site):
    assert site.walk(probe=True).probe().problems == ()
    assert site.walk().probe().problems == ()


def test_a_python_without_ansible_runner_says_so(site):
    walk = site.walk(python="/bin/false")
    with pytest.raises(ExecutionError, match=f"host {HOST}: ansible-runner ended with 1: it said nothing"):
        walk.plan(order("application"))
    assert site.walk().executor.validate(walk.target) == ()


def test_a_machine_without_ansible_runner_is_told_what_to_install(site, monkeypatch):
    monkeypatch.setattr("maintsched.executors.ansible.find_spec", lambda _: None)
    walk = site.walk()
    assert walk.executor.validate(walk.target) == (
        "ansible-runner is not installed: pip install 'maintsched[ansible]'",
    )


# --- what every executor promises -------------------------------------------------------------------------------------


class TestAnsible(ExecutorLaws):
    @pytest.fixture
    def stage(self, site):
        transport = Controller({"jobs": str(site.folder / "jobs")}, site.folder)
        line = "{ name: version, ansible.builtin.copy: { content: '1.2.0', dest: '{{ folder }}/version' } }"
        return Stage(
            kind=Ansible,
            settings={
                "playbook": site.tasks("small", line),
                "inventory": str(site.folder / "hosts"),
                "extra_vars": {"folder": str(site.folder)},
                "probe": False,
            },
            open=lambda: transport.open(HOST),
            target=Target(instance="acme-prod", host=HOST, components=("application",)),
            orders=(order("application", "1.2.0"), order("application", "1.1.0")),
            state=lambda: sorted(path.name for path in site.folder.glob("version*")),
        )


# --- events -----------------------------------------------------------------------------------------------------------


def test_no_event_is_kept_from_the_runner(capsys):
    record = Record()
    for event in ("runner_on_ok", "runner_on_failed", "playbook_on_stats", "verbose", "error"):
        assert record.take({"event": event}) is True
        assert record.take({"event": event, "event_data": {"res": {"changed": True}}}) is True


def test_what_a_host_says_is_printed_without_control_characters(capsys):
    event = {"event": "runner_on_failed", "event_data": {"task": "a\x1b[2J", "res": {"msg": "b\nc" * 1000}}}
    record = Record()
    record.take(event)
    assert "\x1b" not in capsys.readouterr().out
    assert record.failed[0]["message"].startswith("b\\ncb")
    assert len(record.failed[0]["message"]) == 500


def test_so_many_tasks_are_kept_and_the_rest_is_counted(site, capsys):
    record = Record()
    for _ in range(402):
        record.take({"event": "runner_on_ok", "event_data": {"task": "a", "res": {"changed": True}}})
    assert (len(record.changed), record.more) == (400, 2)
    said = {"changed": record.changed[:1], "unforeseen": [], "failed": [], "unreachable": [], "more": 2, "custom": {}}
    program(site.folder / "python", f"echo 'MAINTSCHED-RESULT {json.dumps(said)}'")
    walk = site.walk(python=str(site.folder / "python"))
    assert walk.plan(order("application")).notes[-1] == "2 more tasks would change something"


def test_a_play_that_did_nothing_and_failed_changed_nothing():
    assert exit_code(Record(hosts={"a"}, done=1), 0) == 0
    assert exit_code(Record(hosts={"a"}, done=1), 2) == 1
    assert exit_code(Record(hosts={"a"}, unreachable=["no route"]), 4) == 10


# --- keys of hosts, over a real sshd ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    require_sshd()
    with started() as made:
        yield made


def over_ssh(site, server, known_hosts, host="127.0.0.1"):
    (site.folder / "ssh").write_text(
        f"{host} ansible_port={server.port} ansible_user={server.settings()['user']} "
        f"ansible_python_interpreter={sys.executable} ansible_ssh_host_key_checking=false "
        "ansible_ssh_common_args='-o StrictHostKeyChecking=no'\n"
    )
    settings = {
        "inventory": str(site.folder / "ssh"),
        "limit": host,
        "private_key": str(server.identity),
        "known_hosts": str(known_hosts),
        "probe": True,
    }
    return site.walk(**settings)


def test_a_host_with_its_pinned_key_is_reached_over_ssh(site, server):
    assert over_ssh(site, server, server.known_hosts).probe().problems == ()


def test_a_host_with_a_changed_key_is_refused_before_anything_is_done(site, server):
    other = make_key(site.folder / "other_key")
    pinned = " ".join(other.with_suffix(".pub").read_text().split()[:2])
    known_hosts = site.folder / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{server.port} {pinned}\n")
    walk = over_ssh(site, server, known_hosts)
    with pytest.raises(HostKeyRefused, match=f"host {HOST}: its key is not the pinned one"):
        walk.probe()
    with pytest.raises(HostKeyRefused):
        walk.plan(order("application", "1.2.0"))
    walk.planned = site.walk(check=False).plan(order("application", "1.2.0"))
    assert walk.work() is Answer.FAILED_CLEAN
    assert not (site.folder / "version").exists()


def test_a_host_that_nobody_has_pinned_is_refused(site, server):
    (site.folder / "known_hosts").touch()
    with pytest.raises(HostKeyRefused):
        over_ssh(site, server, site.folder / "known_hosts").probe()


def test_a_host_that_does_not_answer_is_unreachable(site, server):
    walk = over_ssh(site, server, server.known_hosts)
    text = (site.folder / "ssh").read_text().replace(f"ansible_port={server.port}", "ansible_port=9")
    (site.folder / "ssh").write_text(text)
    with pytest.raises(Unreachable, match=HOST):
        walk.probe()


# --- the transport ----------------------------------------------------------------------------------------------------


def test_a_command_that_was_meant_for_the_host_never_runs_here(tmp_path):
    link = _done(Controller({"jobs": str(tmp_path / "jobs")}, tmp_path).open(HOST))
    reboot = Command(argv=("touch", str(tmp_path / "rebooted")))
    with pytest.raises(
        ExecutionError, match=r"would run this here and not on the host; set reboot, backup and backup_age"
    ):
        _done(link.run(reboot, timeout_seconds=5))
    with pytest.raises(ExecutionError):
        _done(link.start("reboot", reboot))
    assert not (tmp_path / "rebooted").exists()
    assert _done(link.look("reboot")).state is JobState.ABSENT


def test_commands_may_be_said_to_be_meant_for_this_machine(tmp_path):
    link = _done(Controller({"jobs": str(tmp_path / "jobs"), "commands": True}, tmp_path).open(HOST))
    assert _done(link.run(Command(argv=("echo", "here")), timeout_seconds=5)).stdout == "here\n"


@pytest.mark.parametrize(
    "settings", [{"hosts": ["a"]}, {"commands": "yes"}, {"jobs": "here"}, {"answer_timeout_seconds": 0}]
)
def test_a_setting_of_the_transport_that_cannot_be_used_is_refused(settings, tmp_path):
    with pytest.raises(InvalidValue):
        Controller(settings, tmp_path)


def test_a_host_outside_the_grammar_is_refused(tmp_path):
    with pytest.raises(InvalidValue):
        Controller({}, tmp_path).validate("-oProxyCommand=x")


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "executor ansible: playbook: expected an absolute path"),
        ({"playbook": "site.yml"}, "playbook: expected an absolute path"),
        ({"playbook": "/p", "playbok": "/p"}, "setting: expected one of .*did you mean playbook"),
        ({"playbook": "/p", "inventory": "hosts"}, "inventory: expected an absolute path"),
        ({"playbook": "/p", "known_hosts": '/a"b'}, "known_hosts: expected a path without quotes"),
        ({"playbook": "/p", "limit": "{group}"}, r"limit: expected one of \{instance\}, \{host\}"),
        ({"playbook": "/p", "extra_vars": {"at": object()}}, "extra_vars: expected texts, numbers"),
        ({"playbook": "/p", "expected_seconds": 0}, "expected_seconds: expected a number"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(settings, message):
    with pytest.raises(InvalidValue, match=message):
        Ansible(settings)


def test_lists_and_tables_reach_the_play_as_they_are(site):
    walk = site.walk(extra_vars={"a": [1, {"b": True}]}, vault_password_file="/etc/vault", check=False)
    walk.plan(order("application"))
    told = json.loads(walk.steps(Phase.APPLY)[0].command.stdin)
    assert told["extra_vars"]["a"] == [1, {"b": True}]
    assert told["vault_password_file"] == "/etc/vault"
    assert os.fspath(sys.executable) == walk.steps(Phase.APPLY)[0].command.argv[0]
