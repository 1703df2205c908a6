"""Virtual environments of rivals whose packages conflict with the product's; created on first use in ``.bench``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from hashlib import blake2b
from pathlib import Path

from bench import corpus_cache


def python_of(name: str) -> Path:
    """The interpreter of an environment, which is created if it is missing or its lock has changed.

    Args:
        name: The name of a folder below ``bench/`` with a ``requirements.lock``.

    Raises:
        RuntimeError: The packages cannot be installed.
    """
    lock = Path(__file__).parent / name / "requirements.lock"
    identity = blake2b(lock.read_bytes() + sys.version.encode(), digest_size=6).hexdigest()
    folder = corpus_cache.FOLDER / f"{name}-venv"
    ready, python = folder / ".ready", folder / "bin" / "python"
    if ready.exists() and ready.read_text() == identity:
        return python
    sys.stderr.write(f"making an environment for {name} (once, about half a minute)\n")
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run([*install, "--requirement", str(lock)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the environment of {name} cannot be made: {done.stderr[-1_000:]}")
    ready.write_text(identity)
    return python
