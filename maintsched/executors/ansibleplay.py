"""Plays a playbook with ansible-runner, in a process of its own: `python -m maintsched.executors.ansibleplay`.

What to play is read as JSON from stdin. Each task that did something is printed as a line, and at the end the result,
as JSON behind `RESULT`. Exit codes: 0 well, 1 failed, 10 failed before anything was done; 69 and 75 where the play asks
for another window, or to be tried again, by `set_stats: {data: {maintsched_answer: postpone}}` (or `again`).

A check leaves tasks out of which it cannot say what they would do, such as commands; ansible-runner does not tell them
from those whose `when` says no. A callback of our own writes them down: who takes them for nothing never does them.

Keys of hosts are checked, whatever ansible-runner, a configuration or an inventory say otherwise: the variable of the
environment, the variables of the play and the first option of ssh all say so.
"""

import json
import os
import shlex
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from maintsched.errors import printable

RESULT = "MAINTSCHED-RESULT "
FAILED, FAILED_CLEAN = 1, 10
ASKED = {"postpone": 69, "again": 75}
TASKS_MAX, TEXT_MAX = 400, 500
"""Tasks of a kind, and characters of a text, that a result holds: it has to be read as a whole."""
CHECKED = ("ansible_host_key_checking", "ansible_ssh_host_key_checking", "ansible_paramiko_host_key_checking")
"""Variables by which an inventory could switch the check off."""
LEFT_OUT = "left-out"
CALLBACK = "maintsched_left_out"
CALLBACK_CODE = """
import json, os
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "maintsched_left_out"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_skipped(self, result):
        task, told = result._task, result._result
        if "check mode" in str(told.get("msg")):
            named = {"task": task.get_name(), "uuid": str(task._uuid), "host": result._host.get_name()}
            with open(os.environ["MAINTSCHED_LEFT_OUT"], "a") as file:
                file.write(json.dumps(named) + "\\n")

    v2_runner_item_on_skipped = v2_runner_on_skipped
"""


@dataclass(slots=True, kw_only=True)
class Record:
    """What a play did, as its events say."""

    hosts: set[str] = field(default_factory=set)
    changed: list[dict[str, str]] = field(default_factory=list)
    unforeseen: list[dict[str, str]] = field(default_factory=list)
    """Tasks that a check leaves out, because it cannot say what they would do."""
    failed: list[dict[str, str]] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)
    more: int = 0
    """Tasks that the lists above have no room for."""
    done: int = 0
    """Tasks that ran on a host, well or not."""
    custom: dict[str, Any] = field(default_factory=dict)
    """What the play says by `set_stats`."""

    def take(self, event: dict[str, Any]) -> bool:
        """Take an event. True, always: an event that is refused is left out of what the runner knows itself."""
        data = event.get("event_data") or {}
        kind, told = event.get("event"), data.get("res") or {}
        task = {"task": _text(data.get("task")), "role": _text(data.get("role")), "host": _text(data.get("host"))}
        if kind in {"runner_on_ok", "runner_on_failed"}:
            self.done += data.get("task_action") not in {"gather_facts", "ansible.builtin.gather_facts", "setup"}
        if kind == "runner_on_ok" and told.get("changed"):
            self._keep(self.changed, "changed", task)
        elif kind == "runner_on_failed" and not data.get("ignore_errors"):
            self._keep(self.failed, "failed", {**task, "message": _text(told.get("msg") or told.get("stderr"))})
        elif kind == "runner_on_unreachable":
            self.unreachable.append(_text(told.get("msg")))
            say(f"unreachable: {self.unreachable[-1]}")
        elif kind == "playbook_on_stats":
            self.hosts |= set(data.get("processed") or {})
            self.custom = data.get("artifact_data") or {}
        return True

    def keep_left_out(self, path: Path) -> None:
        """Take the tasks that the callback has written down, each of them once."""
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for task in {(each["uuid"], each["host"]): each for each in map(json.loads, lines)}.values():
            self._keep(self.unforeseen, "would run", {"task": _text(task["task"]), "host": _text(task["host"])})

    def _keep(self, tasks: list[dict[str, str]], what: str, task: dict[str, str]) -> None:
        say(f"{what}: {task['task']}" + (f": {task['message']}" if "message" in task else ""))
        if len(tasks) < TASKS_MAX:
            tasks.append(task)
        else:
            self.more += 1


def say(line: str) -> None:
    """Print a line at once: whoever looks at the job sees how far it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _text(found: Any) -> str:
    return printable(str(found or ""))[:TEXT_MAX]


def ssh_arguments(known_hosts: str | None) -> str:
    """Return the first options of ssh: of an option that is given twice, ssh takes the first."""
    options = ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
    if known_hosts:
        named = known_hosts.replace("%", "%%")
        options += ["-o", f'UserKnownHostsFile="{named}"', "-o", "GlobalKnownHostsFile=/dev/null"]
    return shlex.join([*options, "-o", "ControlMaster=auto", "-o", "ControlPersist=15s"])


def environment(order: dict[str, Any], folder: Path) -> dict[str, str]:
    """Return what the play is started with, besides the environment of this process."""
    programs = str(Path(sys.executable).parent)
    return {
        "ANSIBLE_HOST_KEY_CHECKING": "True",  # ansible-runner says False where nobody says anything
        "ANSIBLE_SSH_HOST_KEY_CHECKING": "True",
        "ANSIBLE_PARAMIKO_HOST_KEY_CHECKING": "True",
        "ANSIBLE_SSH_ARGS": ssh_arguments(order.get("known_hosts")),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "ssh"),  # a play trusts no connection that another one opened
        "ANSIBLE_CALLBACK_PLUGINS": str(folder / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": CALLBACK,
        "MAINTSCHED_LEFT_OUT": str(folder / LEFT_OUT),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def command_line(order: dict[str, Any]) -> str:
    """Return options that ansible-runner does not know itself."""
    options = ["--check"] if order.get("check") else []
    for name, option in (("private_key", "--private-key"), ("vault_password_file", "--vault-password-file")):
        if order.get(name):
            options += [option, order[name]]
    return shlex.join(options)


def play(order: dict[str, Any], folder: Path) -> tuple[Record, int]:
    """Play, and return what was done and how ansible ended."""
    ansible_runner = import_module("ansible_runner")  # an extra, and a heavy one
    record = Record()
    (folder / "callbacks").mkdir()
    (folder / "callbacks" / f"{CALLBACK}.py").write_text(CALLBACK_CODE, encoding="utf-8")
    inventory = order.get("inventory") or {"all": {"hosts": {order["host"]: {}}}}
    settings: dict[str, Any] = {
        "private_data_dir": str(folder),
        "inventory": inventory,
        "extravars": {**(order.get("extra_vars") or {}), **dict.fromkeys(CHECKED, True)},
        "envvars": environment(order, folder),
        "cmdline": command_line(order) or None,
        "event_handler": record.take,
        "quiet": True,
        "ignore_logging": True,
    }
    if order.get("playbook"):
        playbook = Path(order["playbook"])
        settings |= {"playbook": str(playbook), "project_dir": str(playbook.parent), "limit": order["limit"]}
        settings |= {name: order[name] for name in ("tags", "skip_tags") if order.get(name)}
    else:
        settings |= {"module": "ansible.builtin.ping", "host_pattern": order["limit"]}
    runner = ansible_runner.run(**settings)
    if runner.rc and not (record.failed or record.unreachable):
        record.failed.append({"task": "", "message": _text(_last_line(runner))})
    record.keep_left_out(folder / LEFT_OUT)
    if not order.get("playbook"):
        record.hosts |= {order["limit"]} if record.done else set()
    return record, int(runner.rc or 0)


def _last_line(runner: Any) -> str:
    """Return what ansible said last, such as why a playbook cannot be read."""
    with runner.stdout as file:
        lines = [line.strip() for line in file.read().splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    return str((errors or lines or ["it said nothing"])[0 if errors else -1])


def exit_code(record: Record, ended: int) -> int:
    """Return how this process ends; a play that met no host has not done what was asked."""
    asked = ASKED.get(str(record.custom.get("maintsched_answer")))
    if asked is not None:
        return asked
    if not record.hosts and not (record.failed or record.unreachable):
        record.failed.append({"task": "", "message": "no host of the inventory was met: see limit and inventory"})
    if ended or record.failed or record.unreachable or not record.hosts:
        return FAILED if record.done else FAILED_CLEAN
    return 0


def main() -> int:
    """Read what to play, play it, print the result."""
    order = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="maintsched-play-") as folder:
        record, ended = play(order, Path(folder))
    code = exit_code(record, ended)
    result = {
        "changed": record.changed,
        "unforeseen": record.unforeseen,
        "failed": record.failed,
        "unreachable": record.unreachable,
        "more": record.more,
        "hosts": sorted(record.hosts),
        "custom": record.custom,
    }
    say(RESULT + json.dumps(result, ensure_ascii=False, default=str))
    return code


if __name__ == "__main__":
    sys.exit(main())
