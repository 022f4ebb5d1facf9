"""Many hosts that are all one sshd, each with an update of its own, which an operator's script applies once."""

from pathlib import Path

from tests.real_work import BACKUP_AGE, CUSTOMER, INSTANCE, NO_RESTART, Installation, shell
from tests.sshd import HOST, Sshd

AT_ONCE = 10


class ManyHosts:
    """Hosts, with an installation that was told of their window."""

    def __init__(self, folder: Path, sshd: Sshd, port: int, count: int) -> None:
        self.sshd, self.port = sshd, port
        self.names = [f"host{number:02}" for number in range(count)]
        self.hosts = [f"{name}.acme.example" for name in self.names]
        sshd.pin(*self.hosts)
        self.home = Installation(folder)
        instances = (
            INSTANCE.format(key=name, host=host, executor="many")
            for name, host in zip(self.names, self.hosts, strict=True)
        )
        self.home.make(CUSTOMER + "".join(instances), port)

    def updates(self, home: Installation) -> None:
        """Let each host have an update, for an installation that was made, or copied."""
        (home.folder / "done").mkdir()
        place = f"{home.folder}/done/{{instance}}"
        script = {"plan": shell(f"[ -e {place} ] || echo web 1 2"), "apply": shell(f"echo done >>{place}")}
        jobs = str(home.folder / "jobs")
        ssh = self.sshd.settings(addresses=dict.fromkeys(self.hosts, HOST), jobs=jobs, connect_timeout_seconds=120)
        settings = {"ssh": ssh, "script": script}
        table = {"transport": "ssh", "parts": {"linux": "script"}, "backup_age": BACKUP_AGE, "settings": settings}
        terms = {"at_once": AT_ONCE, "per_customer": len(self.hosts), "patience_seconds": 300}
        home.configure(self.port, {"many": {**table, **NO_RESTART}}, **terms)

    def done(self, home: Installation) -> dict[str, str]:
        """What was applied, by instance: a line for each time."""
        return {path.name: path.read_text() for path in sorted((home.folder / "done").iterdir())}
