"""``python -m bench.claims.api``: what a request to the REST API costs, beside an empty route of the same process.

One process of the API on real parts (``bench.claims.api_server``) gets requests of several kinds, one kind after the
other, round after round; ratios are of runs of one round. Requests per second are about this machine, which the sender
and the parts share with the server; CPU for each request is about the server and each part by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from api.identity.key_file import ensure_keys
from api.identity.key_ring import KeyRing
from api.identity.password_hashes import PasswordHashes
from api.server import AUDIENCE
from bench.claims.numbers import Row, median, report, say, spread
from bench.claims.processes import Cpu, part_pids, wait_until
from bench.claims.requests import Prepared, save
from bench.claims.sender import Sender, Sent
from bench.corpus_cache import ROOT
from connectors.mongo.async_client import connect_async
from connectors.redis import sessions
from marketplace.collections import USERS
from marketplace.identity.accounts import User
from marketplace.settings import Urls
from ops.provision import ensure_provisioned
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.ports import free_ports
from runtime.sections import Settings

CACHED_SHARE: Final = 0.6
"""The throughput of a GET from a cache, signed in or public, at least, relative to the empty route's."""

CHECK_SHARE: Final = 0.35
"""CPU of authentication and limiter together, at most, relative to an empty request's."""

_EMPTY, _LIMITED, _CHECKED = "empty route", "limiter", "authentication and limiter"
_CACHED, _MANY = "signed-in GET from cache", "1,000 users, GET me"
_PRODUCT = "cached product GET"
_PASSWORD_ALONE, _LOGIN = "limiter and a password's hash", "login"
_CONNECTIONS: Final = {
    _EMPTY: 16,
    _LIMITED: 16,
    _CHECKED: 16,
    _CACHED: 16,
    _PRODUCT: 16,
    _MANY: 1_000,
    _PASSWORD_ALONE: 4,
    _LOGIN: 4,
}
_USERS: Final = 1_000
_LOGINS: Final = 32
_PASSWORD: Final = "correct horse battery"
_STORE: Final = "bench"
_MUG: Final[dict[str, Any]] = {
    "title": "Blue mug",
    "slug": "blue-mug",
    "description": "Of stoneware, glazed by hand. " * 20,
    "state": "active",
    "currency": "EUR",
    "options": [{"name": "Size", "values": ["S", "M", "L"]}],
    "variants": [{"sku": f"MUG-{size}", "values": [size], "price_minor": 1250} for size in "SML"],
    "images": [{"url": f"https://shop.example/mug-{at}.jpg", "alt": "A blue mug"} for at in range(4)],
}
"""As most products are: some variants, some pictures and a few lines of text."""
_PARTS: Final = ("mongo", "redis", "clickhouse")
_DATABASE: Final = "bench_api"
_SESSION: Final = "5" * 32
_WARM_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Run:
    """One run of one kind of request.

    Attributes:
        requests: Those that were answered well.
        refused: Those that were answered with 503, or any other error.
        cpu_us: CPU of each process for a request, in microseconds: the server's is ``api``. Refused ones count, too.
    """

    name: str
    requests: int
    refused: int
    wall_seconds: float
    cpu_us: dict[str, float]
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests per second of wall time."""
        return self.requests / self.wall_seconds


@dataclass(frozen=True)
class Server:
    """A running API with its parts.

    Attributes:
        port: The public one.
        pids: Of the API and its parts, by name.
        folder: Of its data.
    """

    port: int
    pids: dict[str, int]
    folder: Path


@contextlib.contextmanager
def serving(profile: Path | None) -> Iterator[tuple[Server, list[str]]]:
    """An API on parts of its own, and access tokens of accounts that are signed in; the first one owns a store."""
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as name,
        Stack(f"{name}/stack", ports="auto", parts=set(_PARTS), external={}) as stack,
    ):
        folder, (port, admin) = Path(name), free_ports(2)
        urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
        settings = Settings(urls, PurePosixPath(folder), _DATABASE)
        ensure_provisioned(settings, resources=REGISTRY.service("api").resources)
        ensure_keys(folder / "keys.json", time.time() - 3_600)
        tokens = asyncio.run(_sign_in(urls, folder / "keys.json", f"http://127.0.0.1:{port}"))
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MARKETPLACE_")},
            **urls.environment(),
            "PYTHONPATH": str(ROOT),
            "MARKETPLACE_DATA": name,
            "MARKETPLACE_DATABASE": _DATABASE,
            "MARKETPLACE_API_PORT": str(port),
            "MARKETPLACE_API_ADMIN_PORT": str(admin),
            "MARKETPLACE_API_KEY_FILE": str(folder / "keys.json"),
            # All users come from one address here, as behind a proxy: a client has not as many connections.
            "MARKETPLACE_API_TRUSTED_PROXIES": "127.0.0.1",
            **({"BENCH_PROFILE": str(profile)} if profile else {}),
        }
        with (folder / "api.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.claims.api_server"], env=environment, cwd=ROOT, stdout=log, stderr=log
            )
        try:
            ready = f"http://127.0.0.1:{admin}/readyz"
            wait_until(lambda: _answers(ready), 60, f"the API does not start: {(folder / 'api.log').read_text()}")
            _ask(port, tokens[0], "POST", "/v1/stores", {"title": "Bench", "slug": _STORE})
            _ask(port, tokens[0], "POST", f"/v1/stores/{_STORE}/products", _MUG)
            pids = part_pids(Path(name, "stack"))
            yield Server(port, {"api": process.pid, **{part: pids[part] for part in _PARTS}}, folder), tokens
        finally:
            process.terminate()
            process.wait(30)


async def _sign_in(urls: Urls, key_file: Path, public_url: str) -> list[str]:
    """Accounts with a session each, written as the product writes them; returns their access tokens."""
    hashes, ring, now = PasswordHashes(), KeyRing(key_file, public_url, AUDIENCE), time.time()
    hashed = await hashes.hash(_PASSWORD)
    hashes.close()
    mongo, redis = connect_async(urls.mongo), sessions.connect_async(urls.redis)
    known = sessions.Sessions(redis)
    users = [User(f"{at:032x}", f"user-{at}@bench.example", "User", hashed, int(now * 1000)) for at in range(_USERS)]
    documents = [{**asdict(user), "_id": user.id, "email_key": user.email_key, "grants": []} for user in users]
    for document in documents:
        del document["id"]
    await mongo[_DATABASE][USERS.name].insert_many(documents)
    for user in users:
        await known.create(user.id, _SESSION, "token")
    await redis.aclose()
    await mongo.close()
    return [ring.sign(user.id, _SESSION, "bench", now) for user in users]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _ask(port: int, token: str, method: str, path: str, body: Any = None) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, headers, method=method)
    urllib.request.urlopen(request, timeout=20).close()


def requests_of(port: int, tokens: Sequence[str]) -> dict[str, list[Prepared]]:
    """The requests of each kind."""
    totals = f"/v1/stores/{_STORE}/analytics/totals"
    emails = [f"user-{at}@bench.example" for at in range(1, _LOGINS + 1)]
    return {
        _EMPTY: [_request(port, "/bench/empty", tokens[0])],
        _LIMITED: [_request(port, "/bench/limited")],
        _CHECKED: [_request(port, "/bench/signed-in", tokens[0])],
        _CACHED: [_request(port, totals, tokens[0])],
        _PRODUCT: [_request(port, f"/v1/shops/{_STORE}/products/{_MUG['slug']}")],
        _MANY: [_request(port, "/v1/identity/me", token) for token in tokens],
        _PASSWORD_ALONE: [_request(port, "/bench/password")],
        _LOGIN: [
            _request(port, "/v1/identity/sessions", body={"email": each, "password": _PASSWORD}) for each in emails
        ],
    }


def _request(port: int, path: str, token: str = "", body: Any = None) -> Prepared:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "accept: */*"]
    lines += [f"authorization: Bearer {token}"] if token else []
    lines += [] if body is None else ["content-type: application/json", f"content-length: {len(content)}"]
    return Prepared("\r\n".join([*lines, "", ""]).encode(), content, 0)


def measure(server: Server, name: str, pool: Path, seconds: float) -> Run:
    """Send one kind of request for some seconds.

    Raises:
        RuntimeError: Some were refused, of a kind whose connections are few.
    """
    sender = Sender(pool, "127.0.0.1", server.port, seconds, connections=_CONNECTIONS[name])
    cpu = Cpu.of(server.pids)
    sender.begin()
    sent: Sent = sender.end()
    refused = sum(sent.refused.values())
    if refused and name != _MANY:
        raise RuntimeError(f"{name}: the API refused {sent.refused}")
    used = {process: 1e6 * value / (sent.requests + refused) for process, value in cpu.used().items()}
    return Run(name, sent.requests, refused, sent.wall_seconds, used, sent.p50_ms, sent.p99_ms)


def table(runs: Sequence[Run]) -> list[Row]:
    """Medians, and ratios between runs of one round."""
    names = list(dict.fromkeys(run.name for run in runs))
    of = {name: [run for run in runs if run.name == name] for name in names}
    rows = []
    for name in names:
        speeds = [run.per_second for run in of[name]]
        cpu = {each: median([run.cpu_us[each] for run in of[name]]) for each in of[name][0].cpu_us}
        total = sum(cpu.values())
        shares = ", ".join(f"{each} {value:,.0f} us ({value / total:.0%})" for each, value in cpu.items())
        p50, p99 = (median([getattr(run, each) for run in of[name]]) for each in ("p50_ms", "p99_ms"))
        note = f"({spread(speeds, 0)}) p50 {p50:.1f} ms, p99 {p99:.1f} ms; CPU: {shares}"
        refused = sum(run.refused for run in of[name]) / sum(run.refused + run.requests for run in of[name])
        note += f"; refused {refused:.0%}" if refused else ""
        rows.append(Row(f"{name}, requests/s", f"{median(speeds):,.0f}", note=note))
    for name in names:
        if name != _EMPTY:
            ratios = [one.per_second / empty.per_second for one, empty in zip(of[name], of[_EMPTY], strict=True)]
            cached = name in (_CACHED, _PRODUCT)
            met = median(ratios) >= CACHED_SHARE if cached else None
            target = f">= {CACHED_SHARE}" if cached else ""
            rows.append(Row(f"{name} / {_EMPTY}, wall", f"{median(ratios):.2f}", target, met, f"({spread(ratios, 2)})"))
    for name in (_LIMITED, _CHECKED):
        pairs = zip(of[name], of[_EMPTY], strict=True)
        more = [(one.cpu_us["api"] - empty.cpu_us["api"]) / empty.cpu_us["api"] for one, empty in pairs]
        met = median(more) <= CHECK_SHARE if name == _CHECKED else None
        target = f"<= {CHECK_SHARE}" if name == _CHECKED else ""
        rows.append(Row(f"{name} alone / {_EMPTY}, CPU", f"{median(more):.2f}", target, met, f"({spread(more, 2)})"))
    pairs = zip(of[_LOGIN], of[_PASSWORD_ALONE], strict=True)
    logins = [login.cpu_us["api"] / alone.cpu_us["api"] for login, alone in pairs]
    rows.append(Row(f"{_LOGIN} / {_PASSWORD_ALONE}, CPU", f"{median(logins):.2f}", note=f"({spread(logins, 2)})"))
    return [*rows, *_steps(of)]


def _steps(of: Mapping[str, Sequence[Run]]) -> Iterator[Row]:
    """The share of each step in the API's CPU for a signed-in GET: what a kind of request costs more than the last."""
    kinds = {
        "HTTP and router": _EMPTY,
        "limiter": _LIMITED,
        "authentication": _CHECKED,
        "store, members and answer": _CACHED,
    }
    before = [0.0] * len(of[_EMPTY])
    for step, name in kinds.items():
        costs = [run.cpu_us["api"] for run in of[name]]
        whole = [run.cpu_us["api"] for run in of[_CACHED]]
        shares = [(cost - less) / all_of_it for cost, less, all_of_it in zip(costs, before, whole, strict=True)]
        note = f"({min(shares):.0%}-{max(shares):.0%})"
        yield Row(f"{step}, of the CPU of a {_CACHED}", f"{median(shares):.0%}", note=note)
        before = costs


def profiled(profile: Path) -> list[Row]:
    """Where the time of the event loop's thread went, by package, without waiting.

    It is each function's own time. The time within a step would mislead: what a coroutine waits for runs in other tasks
    and in callbacks of the loop, and is not counted for it. For the steps see :func:`table`, which subtracts.
    """
    own: Counter[str] = Counter()
    stats: dict[tuple[str, int, str], tuple[Any, ...]] = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]  # the stubs leave it out
    for (file, _, function), (_, _, seconds, _, _) in stats.items():
        if "epoll" not in function:
            own[_package(file, function)] += seconds
    total = sum(own.values())
    return [Row(f"in {name}", f"{value / total:.1%}") for name, value in own.most_common(20)]


def _package(file: str, function: str) -> str:
    if "site-packages/" in file:
        return file.partition("site-packages/")[2].partition("/")[0]
    if str(ROOT) in file:
        return "/".join(Path(file).relative_to(ROOT).parts[:2])
    if file == "~":
        return f"built in: {function.strip('<>')[:50]}"
    return f"Python: {Path(file).parent.name if 'asyncio' in file else Path(file).stem}"


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind, in turn [%(default)s]")
    parser.add_argument("--profile", action="store_true", help=f"profile '{_CACHED}' instead")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marketplace-bench-") as folder:
        profile = Path(folder, "api.profile") if options.profile else None
        runs = []
        with serving(profile) as (server, tokens):
            kinds = requests_of(server.port, tokens)
            pools = {name: save(pool, Path(folder, f"{at}.pool")) for at, (name, pool) in enumerate(kinds.items())}
            if profile:
                measure(server, _CACHED, pools[_CACHED], _WARM_SECONDS)
                _ask(server.port, tokens[0], "GET", "/bench/profile")
                runs.append(measure(server, _CACHED, pools[_CACHED], options.seconds))
            for number in range(0 if profile else options.rounds + 1):
                for name, pool in pools.items():
                    run = measure(server, name, pool, options.seconds if number else _WARM_SECONDS)
                    if number:
                        say(f"round {number}  {name:28} {run.per_second:9,.0f}/s  {run.cpu_us['api']:9,.0f} us")
                        runs.append(run)
        rows = profiled(profile) if profile else table(runs)
    return report(rows, {"runs": [asdict(run) for run in runs]}, options.json)


if __name__ == "__main__":
    sys.exit(main())
