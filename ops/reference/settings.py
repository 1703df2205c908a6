"""``python -m ops.reference.settings``: writes docs/reference/settings.md from the declarations; a test compares."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from api.config import MAIL
from flows.delivery.process import PROCESS_SECTION
from ingest.config import COLLECTOR
from ops.demo.services.traffic import TRAFFIC
from ops.processes import PROCESS
from ops.service_settings import CONSUMERS, FLOW, RELAY
from ops.stack.proxy.settings import PROXY
from ops.stack.settings import STACK
from runtime import settings
from runtime.logs import LOGS
from runtime.sections import API, CLICKHOUSE, CONNECT, DASHBOARD, DATABASE, FILES, KAFKA, MONGO, PAYMENTS, REDIS
from runtime.settings import Section

TARGET = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"
SECTIONS: Final[tuple[Section, ...]] = (
    *(KAFKA, MONGO, CLICKHOUSE, REDIS, PAYMENTS, CONNECT, DATABASE, FILES, LOGS),
    *(COLLECTOR, FLOW, RELAY, CONSUMERS, API, MAIL, DASHBOARD, PROXY, STACK, PROCESS),
    *(TRAFFIC, PROCESS_SECTION),
)
_HEAD = """# Settings

Written by `make reference` from the declarations in the code. All settings are environment variables. An empty one
counts as missing. A process reads the sections that it needs; if values in them cannot be used, it names all of them in
one line and ends with exit code 2. Messages never repeat passwords and URLs. `marketplace up` and `run` also name each
variable that begins with `MARKETPLACE_` and that nothing reads, with the nearest one that something does; they go on.

What may be secret can stand in a file instead, as compose and Kubernetes mount secrets: where a row says `_FILE`, the
variable with that behind its name is the path of the file (`MARKETPLACE_MONGO_URL_FILE=/run/secrets/mongo_url`). The
file has the value and nothing else; a line break at its end does not count. It is read once, at the start. A file that
cannot be read, is empty or larger than 64 KiB is refused, as are a variable and its file at the same time.

"""


def reference() -> str:
    """The page as Markdown."""
    return _HEAD + settings.reference(SECTIONS)


if __name__ == "__main__":
    TARGET.write_text(reference())
