"""Jars: resolved by Maven once, kept in a cache folder named after the version and the list's own hash."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError

_OLDEST_JAVA: Final = 17
_LINES_BETWEEN_REPORTS: Final = 20


@dataclass(frozen=True, slots=True)
class JarList:
    """A list of jars.

    Attributes:
        name: of the cache folder; `NAME_pom.xml` beside this file is the list.
        version: the main one, for people.
        title: as a person reads it.
        megabytes: how much is downloaded.
    """

    name: str
    version: str
    title: str
    megabytes: int

    @property
    def pom(self) -> Path:
        """The list, as Maven reads it."""
        return Path(__file__).with_name(f"{self.name}_pom.xml")


KAFKA_JARS: Final = JarList("kafka", "4.3.0", "Kafka", 44)
CONNECT_JARS: Final = JarList("connect", "4.3.0", "Kafka Connect with Debezium", 38)


def cache_dir() -> Path:
    """Where downloads are kept between runs, outside of any checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "marketplace"


def jars_dir(jars: JarList = KAFKA_JARS) -> Path:
    """The folder of this version's jars; it exists only when it is complete."""
    digest = hashlib.sha256(jars.pom.read_bytes()).hexdigest()[:12]
    return cache_dir() / f"{jars.name}-{jars.version}-{digest}"


def find_java() -> str:
    """The `java` to run.

    Raises:
        StackError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    java = java or shutil.which("java")
    advice = "install a Java runtime: apt install openjdk-17-jre-headless"
    if java is None:
        raise StackError(f"Kafka needs Java {_OLDEST_JAVA} or newer and there is no java: {advice}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    if version is None or int(version.group(1)) < _OLDEST_JAVA:
        found = version.group(1) if version else "unknown"
        raise StackError(f"Kafka needs Java {_OLDEST_JAVA} or newer, {java} is version {found}: {advice}")
    return java


def ensure_jars(jars: JarList = KAFKA_JARS) -> Path:
    """The folder of jars, downloaded on the first call ever; two calls at once are safe.

    Raises:
        StackError: Maven is missing or failed.
    """
    target = jars_dir(jars)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.with_suffix(".lock")):
        if not target.is_dir():
            _download(jars, target)
    return target


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(jars: JarList, target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError(f"Maven is needed once, to download {jars.title} {jars.version}: apt install maven")
    with tempfile.TemporaryDirectory(prefix=f"{target.name}-", dir=target.parent) as folder:
        work = Path(folder)
        shutil.copyfile(jars.pom, work / "pom.xml")
        found = work / "jars"
        command = [maven, "-B", "-f", str(work / "pom.xml"), "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={found}", "-DincludeScope=runtime"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            errors = _report(jars, process.stdout)
        if process.returncode != 0:
            raise StackError(f"Maven could not download {jars.title} {jars.version}: {errors}")
        found.rename(target)


def _report(jars: JarList, lines: Iterator[str]) -> str:
    """Show how the download goes, on stderr; returns Maven's first complaint."""
    from rich.console import Console

    console = Console(stderr=True)
    title = f"Downloading {jars.title} {jars.version} ({jars.megabytes} MB, once)"
    complaint = "no reason given"
    done = 0
    with console.status(title) if console.is_terminal else _plain(title):
        for line in lines:
            if line.startswith("[ERROR]") and complaint == "no reason given":
                complaint = line.removeprefix("[ERROR]").strip()
            if "Downloaded from" not in line and "] Copying " not in line:
                continue
            done += 1
            if not console.is_terminal and done % _LINES_BETWEEN_REPORTS == 0:
                sys.stderr.write(f"{title}: {done} files\n")
    return complaint


@contextmanager
def _plain(title: str) -> Iterator[None]:
    sys.stderr.write(f"{title}\n")
    yield
    sys.stderr.write(f"{title}: done\n")
