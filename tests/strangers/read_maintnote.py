"""Reads mails with circuit-maintenance-parser, as the programs of network operators do. It runs in .strangers/venv.

On standard input: a JSON list of mails; on standard output: the maintenances that were found in each.
"""

import json
import sys
from typing import Any

from circuit_maintenance_parser import NotificationData, init_provider  # type: ignore[import-not-found, unused-ignore]


def read(mail: str) -> list[dict[str, Any]]:
    parts = NotificationData.init_from_email_bytes(mail.encode())
    return [json.loads(found.to_json()) for found in init_provider("genericprovider").get_maintenances(parts)]


json.dump([read(mail) for mail in json.load(sys.stdin)], sys.stdout)
