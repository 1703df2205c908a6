"""``marketplace demo`` as a person runs it: its output, its exit codes, and that nothing is left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.demo.traffic.shops import SHOPS
from ops.stack import Stack, StackError
from ops.stack.parts.kafka_jars import ensure_jars, find_java
from ops.stack.stack import running_state
from tests.kits.demo import ROOT, accounts_in, command, files_with, lines_of
from tests.kits.depth import LONG
from tests.kits.processes import processes_marked, wait_until

CLICKS, ORDERS = 800, 8
EMAILS = ["owner@brooklyn-coffee.example", "analyst@berlin-bikes.example", "admin@marketplace.example"]


@pytest.fixture(autouse=True)
def _parts() -> None:
    try:
        find_java()
        ensure_jars()
    except StackError as error:
        pytest.skip(str(error))


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """Where the command puts its temporary folders; nothing that names it may run in the end."""
    yield tmp_path
    wait_until(lambda: not processes_marked(str(tmp_path)), 20, "no process left")


@pytest.mark.timeout(400)
def test_once_agrees_with_the_oracle_and_leaves_nothing_behind(temporary: Path) -> None:
    with command(
        "demo", "--once", "--clicks", str(CLICKS), "--orders", str(ORDERS), "--json", temporary=temporary
    ) as demo:
        out, err = demo.communicate(timeout=380)
    assert demo.returncode == 0, err
    summary = json.loads(out)
    assert summary["ok"] is True
    assert summary["sent"] == CLICKS == summary["accepted"] + summary["rejected"]
    orders = summary["orders"]
    assert summary["received"] == summary["accepted"] + orders["events_accepted"] + summary["broken_in_the_topic"]
    assert sum(summary["outcomes"].values()) == summary["received"]
    assert all(count > 0 for count in summary["outcomes"].values()), summary["outcomes"]
    assert summary["ledger_difference"] == 0
    assert summary["oracle"]["compared"] > 10_000
    assert summary["oracle"]["differences"] == 0
    assert len(summary["stores"]) == 5
    assert 0 < summary["click_to_queryable_ms"]["p50"] <= summary["click_to_queryable_ms"]["p99"]
    assert orders["placed"] >= ORDERS / 2
    ended = {**orders["reasons"], **orders["states"]}
    assert sum(orders["paid"].values()) == sum(ended.get(end, 0) for end in ("confirmed", "buyer", "seller"))
    assert sum(orders["states"].values()) == orders["placed"]
    assert set(orders["states"]) <= {"confirmed", "cancelled"}
    assert (orders["reconciler"]["clean"], orders["recount"]["differences"], orders["stuck"]) == (True, 0, 0)
    assert orders["recount"]["compared"] > 4 * orders["placed"]
    assert (summary["accounts"], summary["urls"]) == ([], {}), "nothing is left to sign in to"
    assert "Traceback" not in err
    assert list(temporary.glob("marketplace-demo-*")) == []


@LONG
def test_ctrl_c_closes_the_live_demo_in_order(temporary: Path) -> None:
    data = temporary / "data"
    with command("demo", "--clicks", "500", "--data", str(data), temporary=temporary) as demo:
        lines, numbers = lines_of(demo.stderr), lines_of(demo.stdout)
        wait_until(lambda: any("visitors now" in line for line in lines), 120, "live traffic")
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(40) == 0, lines
    wait_until(lambda: not processes_marked(str(data)), 20, "no process left")
    said = "".join(lines)
    assert said.index("The dashboard is at http://127.0.0.1:") < said.index("Sending 500 events of 30 days")
    for where in ("dashboard ", "API docs  ", "storefront ", "collector "):
        assert f"\n  {where}  http://127.0.0.1:" in said
    passwords = accounts_in(said)
    assert list(passwords) == EMAILS, said
    assert [said.count(password) for password in passwords.values()] == [1, 1, 1]
    assert said.index(EMAILS[-1]) < said.index("the shops are open until Ctrl-C") < said.index("visitors now")
    assert not [line for line in numbers for password in passwords.values() if password in line]
    assert files_with(passwords.values(), data) == []
    assert any("= left over" in line and "closes" in line for line in numbers), numbers
    assert not any("Traceback" in line for line in lines), lines


def test_a_detached_demo_goes_on_once_and_ends_with_its_stack(temporary: Path) -> None:
    data = temporary / "data"
    flags = ("--detach", "--clicks", "500", "--orders", "4", "--rate", "30", "--json", "--data", str(data))
    with command("demo", *flags, temporary=temporary) as demo:
        out, err = demo.communicate(timeout=380)
    assert demo.returncode == 0, err
    summary = json.loads(out)
    assert (summary["sent"], summary["ledger_difference"], len(summary["stores"])) == (500, 0, 5)
    assert summary["orders"]["events"] == summary["orders"]["events_accepted"] > summary["orders"]["placed"]
    assert f"marketplace down --data {os.path.relpath(data, temporary)}" in err

    state = running_state(data)
    assert state is not None
    urls = {process.name: process.url for process in state.processes}
    assert_the_shops_sell(summary["urls"]["storefront"], urls["collector"])
    assert text_of(f"{urls['dashboard']}/_stcore/health") == "ok"
    wait_until(lambda: json.loads(text_of(f"{urls['traffic']}/healthz"))["accepted"] > 20, 30, "live traffic")
    assert_people_can_sign_in(summary, temporary)
    assert "an account of the document on standard output" in err
    passwords = [account["password"] for account in summary["accounts"]]
    assert not [password for password in passwords if password in err]
    assert files_with(passwords, data) == []
    pids = {name: Stack(data, external={}).pid(name) for name in ("traffic", "collector")}

    with command("demo", *flags, temporary=temporary) as again:
        out, err = again.communicate(timeout=60)
    assert (again.returncode, json.loads(out)["sent"]) == (0, 0), err
    assert "The shops have their history already." in err
    assert "new passwords for it come at the end" in err
    assert [account["email"] for account in json.loads(out)["accounts"]] == EMAILS
    assert [sign_in(urls["api"], account).status_code for account in summary["accounts"]] == [401, 401, 401]
    assert [sign_in(urls["api"], account).status_code for account in json.loads(out)["accounts"]] == [201, 201, 201]
    assert json.loads(out)["received"] > summary["received"], "the live traffic is counted"
    still = {name: Stack(data, external={}).pid(name) for name in pids}
    assert still == pids, "there is still one traffic, and a collector that has the settings of a demo"

    with command("down", "--data", str(data), temporary=temporary) as down:
        down.communicate(timeout=60)
    wait_until(lambda: not processes_marked(str(data)), 20, "no process left")


def assert_people_can_sign_in(summary: dict[str, Any], temporary: Path) -> None:
    """Each account of a running demo sees its own shops, and what is printed leads somewhere."""
    urls, stores = summary["urls"], dict[str, list[tuple[str, str, bool]]]()
    for account in summary["accounts"]:
        token = sign_in(urls["api"], account).json()["access_token"]
        seen = httpx.get(f"{urls['api']}/v1/stores", headers={"authorization": f"Bearer {token}"}).json()
        stores[account["email"]] = [(each["slug"], each["role"], each["frozen"]) for each in seen["stores"]]
        assert [slug for slug, _, _ in stores[account["email"]]] == sorted(account["stores"])
    assert stores[EMAILS[0]] == [("brooklyn-coffee", "owner", False)]
    assert stores[EMAILS[1]] == [("berlin-bikes", "analyst", False)]
    assert {role for _, role, _ in stores[EMAILS[2]]} == {"owner"}
    assert {shop for seen in stores.values() for shop, _, _ in seen} == {shop.name for shop in SHOPS}
    assert "openapi" in text_of(urls["api_docs"])
    dashboard = httpx.get(urls["dashboard"], follow_redirects=True)
    assert dashboard.url.path == "/sign-in"
    assert dashboard.url.params["next"] == "/?store=brooklyn-coffee"

    # Whoever wants an account of the own comes to a page of the dashboard, too.
    body = {"email": "ann@shop.example", "name": "Ann", "password": "correct horse battery"}
    register = f"{urls['api']}/v1/identity/registrations"
    assert httpx.post(register, json=body).status_code == 202, "the demo's buyers use up nothing of this address"
    data = ("--data", str(temporary / "data"))

    def mails_to_ann() -> list[dict[str, str]]:
        with command("mail", "--to", body["email"], "--json", *data, temporary=temporary) as mail:
            return list(json.loads(mail.communicate(timeout=30)[0])["mails"])

    wait_until(lambda: bool(mails_to_ann()), 20, "the mail")
    (mail,) = mails_to_ann()
    found = re.search(r"^http\S+", mail["text"], re.MULTILINE)
    assert found is not None, mail
    link = httpx.URL(found[0])
    assert (link.port, link.path) == (httpx.URL(urls["dashboard"]).port, "/confirm")
    assert "Confirm your address" in text_of(str(link))


def assert_the_shops_sell(storefront: str, collector: str) -> None:
    """The five shops have products, with pictures, reviews and the snippet, and search finds them in all of them."""
    front = text_of(storefront)
    assert all(escape(shop.title) in front for shop in SHOPS)
    # Search follows a moment behind.
    found = f"{storefront}/search?q=kaffee"
    wait_until(lambda: "Kaffee Klatsch Blend" in text_of(found), 20, "the products in the search")
    assert {"Café de Olla Blend", "Kaffeebecherhalter", "Mysore Filter Coffee"} <= set(titles_of(text_of(found)))
    product = text_of(f"{storefront}/brooklyn-coffee/ethiopia-guji-natural")
    assert f'src="{collector}/m.js"' in product
    assert "storefront.brooklyn-coffee." in product
    assert 'class="review"' in product
    picture = re.search(r'src="(/shop/pictures/\S+?\.svg)"', product)
    assert picture is not None
    assert text_of(f"{storefront.removesuffix('/shop')}{picture[1]}").startswith("<svg")


def titles_of(page: str) -> list[str]:
    """The names of the products that a page lists."""
    return [unescape(found) for found in re.findall(r"<h[23][^>]*>(?:<a[^>]*>)?([^<]+)<", page)]


def sign_in(api: str, account: dict[str, Any]) -> httpx.Response:
    credentials = {"email": account["email"], "password": account["password"]}
    return httpx.post(f"{api}/v1/identity/sessions", json=credentials, timeout=10)


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def test_once_and_detach_exclude_each_other(temporary: Path) -> None:
    with command("demo", "--once", "--detach", temporary=temporary) as demo:
        _, err = demo.communicate(timeout=30)
    assert (demo.returncode, err.count("\n")) == (1, 1)
    assert "choose one" in err


@LONG
def test_ctrl_c_ends_a_single_run_and_removes_its_folder(temporary: Path) -> None:
    with command("demo", "--once", "--clicks", "50000", temporary=temporary) as demo:
        lines = lines_of(demo.stderr)
        wait_until(lambda: any("events, " in line for line in lines), 90, "traffic")
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(30) == 130, lines
    assert list(temporary.glob("marketplace-demo-*")) == []
    assert not any("Traceback" in line for line in lines), lines


@LONG
def test_after_kill_minus_nine_nothing_runs_and_the_next_demo_removes_the_folder(temporary: Path) -> None:
    with command("demo", "--once", "--clicks", "50000", temporary=temporary) as demo:
        lines = lines_of(demo.stderr)
        wait_until(lambda: any("events, " in line for line in lines), 90, "traffic")
        demo.kill()
        demo.wait(10)
    wait_until(lambda: not processes_marked(str(temporary)), 30, "no process left")
    assert len(list(temporary.glob("marketplace-demo-*"))) == 1
    remove = "from ops.demo.services.demo_stack import remove_abandoned; remove_abandoned()"
    subprocess.run([sys.executable, "-c", remove], cwd=ROOT, env={**os.environ, "TMPDIR": str(temporary)}, check=True)
    assert list(temporary.glob("marketplace-demo-*")) == []


def test_a_wrong_number_of_brokers_is_one_clear_line(temporary: Path) -> None:
    with command("demo", "--once", "--brokers", "2", temporary=temporary) as demo:
        _, err = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert "1 or with 3 brokers" in err
    assert "Traceback" not in err
