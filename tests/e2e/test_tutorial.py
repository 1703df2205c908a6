"""The tutorial's commands do what it says, in its order, in one shell."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.stack.errors import StackError
from ops.stack.parts.kafka_archive import prepared_kafka
from tests.kits.tutorials import on_free_ports, own_stack

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "your-store.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# The counts appear a moment after the answers; a reader looks again, and so does this.
UNTIL_COUNTED = """for turn in $(seq 60); do
  days=$(marketplace report --store my-shop --json | grep -c '"bucket"' || true)
  test "$days" -ge 2 && break
  sleep 0.5
done"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    try:
        prepared_kafka()
    except StackError as error:
        pytest.skip(str(error))
    with own_stack(tmp_path) as variables:
        yield variables


@pytest.mark.timeout(300)
def test_every_command_of_the_tutorial_runs_and_the_numbers_are_those_it_promises(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    blocks = [on_free_ports(block, environment) for block in BLOCK.findall(TUTORIAL.read_text())]
    assert len(blocks) >= 9, "the tutorial's commands are in ```sh blocks"
    marked = "\n".join(f"echo '== {at}'\n{block}" for at, block in enumerate(blocks))
    shell = shutil.which("bash") or "sh"
    marked = marked.replace("marketplace report", f"{UNTIL_COUNTED}\nmarketplace report", 1)

    done = subprocess.run(
        [shell, "-e", "-o", "pipefail", "-c", marked],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert '"accepted": 1' in done.stdout or '"accepted":1' in done.stdout
    assert (tmp_path / "pixel.gif").read_bytes().startswith(b"GIF8")
    assert "have sent their page views themselves since" in (tmp_path / "refused.txt").read_text()
    assert "closes to zero" in done.stdout
    assert re.search(r"2026-11-20\s+3\b", done.stdout), "three clicks of the log, imported twice, count three"
