"""The proxy's files, its certificate, and what the stack makes of a service that is started on request."""

from __future__ import annotations

import os
import re
import signal
import ssl
import stat
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from api.limits import ADDRESS
from api.web.problems import PROBLEM_TYPES
from ingest.collect.lookups import MONGO_SECONDS
from ingest.config import CLIENT_LIMIT, KAFKA_TIMEOUT_SECONDS
from marketplace.entitlements import ENTITLEMENTS
from marketplace.networks import parse_networks
from marketplace.settings import Urls
from ops.commands.desired_state import DesiredState, refuse_changes
from ops.stack import StackError
from ops.stack.components import Launch
from ops.stack.plan import Plan
from ops.stack.process_spec import ProcessSpec, StopRank
from ops.stack.proxy import files
from ops.stack.proxy.certificate import ensure_certificate
from ops.stack.proxy.files import CERTIFICATE, CONFIGURATION, TEMPLATE, ProxyPorts, values, write_folder
from ops.stack.proxy.settings import ProxySettings
from ops.stack.registry import REGISTRY
from ops.stack.selection import Selection
from ops.stack.state.model import ProcessInfo, StackState, write_state
from ops.stack.supervisor.job import Job
from ops.stack.supervisor.process import Child
from runtime.settings import InvalidSettings
from tests.kits.stack import eventually

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PORTS = ProxyPorts(8443, 8444, 8445, {"api": 1, "collector": 2, "dashboard": 3})
SETTINGS = ProxySettings(("shop.example", "www.shop.example"), None, (), "")
URLS = Urls("", "", "", "")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_values_for_this_machine_are_the_files_that_production_fills_in() -> None:
    assert set(values(SETTINGS, PORTS)) == {path.name for path in (TEMPLATE / "values").iterdir()}
    included = {
        line.split()[1] for line in (TEMPLATE / CONFIGURATION).read_text().splitlines() if "include" in line[:20]
    }
    assert included == {f"values/{name};" for name in values(SETTINGS, PORTS)}


def test_a_folder_is_private_and_has_the_configuration_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "proxy"
    write_folder(folder, SETTINGS, PORTS)
    write_folder(folder, SETTINGS, PORTS)
    assert {mode(folder), mode(folder / "values")} == {0o700}
    assert {mode(path) for path in (folder / "values").iterdir()} == {0o600}
    assert mode(folder / CERTIFICATE) == 0o600
    assert (folder / CONFIGURATION).read_bytes() == (TEMPLATE / CONFIGURATION).read_bytes()


def test_names_balancers_and_files_of_a_certificate_are_filled_in() -> None:
    settings = replace(
        SETTINGS, certificate=(Path("/c.pem"), Path("/k.pem")), balancers=parse_networks("10.0.0.0/8,2001:db8::1")
    )
    found = values(settings, PORTS)
    for line in (
        "    shop.example 1;",
        "    www.shop.example 1;",
        "    default https://shop.example:8443;",
        "set_real_ip_from 10.0.0.0/8;",
        "set_real_ip_from 2001:db8::1/128;",
    ):
        assert line in found["http.conf"].splitlines()
    assert 'ssl_certificate "/c.pem";\nssl_certificate_key "/k.pem";\n' in found["listen.conf"]
    assert found["collector.conf"] == "server 127.0.0.1:2;\n"


def test_a_missing_configuration_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "TEMPLATE", tmp_path / "nowhere")
    with pytest.raises(StackError, match=r"^the proxy's configuration is missing: there is no .*nginx\.conf$"):
        write_folder(tmp_path / "proxy", SETTINGS, PORTS)


def test_a_certificate_is_for_its_names_and_this_machine_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    assert ensure_certificate(path, ["shop.example", "localhost"], NOW)
    found = certificate(path)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.example", "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    assert found.not_valid_after_utc == NOW + timedelta(days=365)
    assert mode(path) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["certificate.pem"]
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)


@pytest.mark.parametrize(
    ("days", "names", "replaced"),
    [
        (0, ["localhost"], False),
        (334, ["localhost"], False),
        (336, ["localhost"], True),
        (400, ["localhost"], True),
        (0, ["shop.example"], True),
        (0, ["localhost", "shop.example"], True),
    ],
)
def test_a_certificate_is_kept_until_it_expires_soon_or_the_names_change(
    tmp_path: Path, days: int, names: list[str], replaced: bool
) -> None:
    path = tmp_path / "certificate.pem"
    ensure_certificate(path, ["localhost"], NOW)
    before = path.read_bytes()
    assert ensure_certificate(path, names, NOW + timedelta(days=days)) is replaced
    assert (path.read_bytes() != before) is replaced


def test_what_is_no_certificate_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    path.write_text("damaged")
    os.chmod(path, 0o644)
    assert ensure_certificate(path, ["localhost"], NOW)
    assert mode(path) == 0o600
    assert certificate(path).not_valid_before_utc < NOW


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"NAMES": "a b"}, "MARKETPLACE_PROXY_NAMES=a b: give host names"),
        ({"NAMES": "x;return 200"}, "give host names"),
        ({"NAMES": ","}, "give host names"),
        ({"CERTIFICATE_FILE": __file__}, "belong together"),
        ({"CERTIFICATE_FILE": "/no/c.pem", "KEY_FILE": __file__}, "FILE=/no/c.pem: there is no such file"),
        ({"CERTIFICATE_FILE": '/a"b', "KEY_FILE": __file__}, "nginx takes no path with a quotation mark"),
        ({"CERTIFICATE_FILE": "/a$b", "KEY_FILE": __file__}, "a dollar sign"),
        ({"TRUSTED_PROXIES": "everybody"}, "MARKETPLACE_PROXY_TRUSTED_PROXIES=everybody: give networks"),
    ],
)
def test_settings_that_nginx_would_misunderstand_are_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        ProxySettings.load({f"MARKETPLACE_PROXY_{name}": value for name, value in variables.items()})
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_names_are_read_in_lower_case_and_the_first_is_that_of_links() -> None:
    settings = ProxySettings.load({"MARKETPLACE_PROXY_NAMES": "Shop.Example, localhost"})
    assert settings.names == ("shop.example", "localhost")
    assert files.public_url(settings, 443) == "https://shop.example:443"


def test_a_machine_without_nginx_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETPLACE_PROXY_PROGRAM", str(tmp_path / "nginx"))
    ports = dict.fromkeys(("proxy", "proxy-http", "proxy-admin", "api", "collector", "dashboard"), 1)
    with pytest.raises(StackError, match="is no program: apt install nginx, or start without --proxy") as raised:
        REGISTRY["proxy"].processes(Launch(tmp_path, ports, 1, URLS))
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_its_process_is_nginx_on_its_own_folder_and_is_asked_to_stop_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("MARKETPLACE_PROXY_PROGRAM", str(program))
    names = ("proxy", "proxy-http", "proxy-admin", "api", "collector", "dashboard")
    (process,) = REGISTRY["proxy"].processes(Launch(tmp_path, dict(zip(names, range(1, 7), strict=True)), 1, URLS))
    folder = tmp_path / "proxy"
    assert process.command[:5] == [str(program), "-p", str(folder), "-c", str(folder / CONFIGURATION)]
    assert (process.url, process.check_url) == ("https://localhost:1", "http://127.0.0.1:3")
    assert (process.stop_signal, process.stop_rank) == (signal.SIGQUIT, StopRank.SENDERS)
    job = Job(str(tmp_path), 1, {}, URLS, [process], [], 90.0, requested=["proxy"])
    assert Job.from_json(job.to_json()) == job


def test_a_process_is_asked_to_stop_by_the_signal_that_it_wants(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGQUIT, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    log = tmp_path / "log"
    child = Child(ProcessSpec("x", "x", [sys.executable, "-c", script], "", stop_signal=signal.SIGQUIT), log)
    assert eventually(lambda: "ready" in log.read_text())
    child.terminate()
    assert child.wait(time.monotonic() + 10)
    assert child.exit_code() == 7


def test_it_gives_the_services_its_address_and_its_names_beside_those_that_they_have() -> None:
    environment = {
        "MARKETPLACE_PROXY_NAMES": "shop.example,localhost",
        "MARKETPLACE_COLLECTOR_TRUSTED_PROXIES": "10.0.0.0/8",
        "MARKETPLACE_DASHBOARD_NAMES": "numbers.example",
    }
    assert REGISTRY.settings_for_others({"proxy": 8443}, environment) == {
        "MARKETPLACE_API_TRUSTED_PROXIES": "127.0.0.1",
        "MARKETPLACE_COLLECTOR_TRUSTED_PROXIES": "10.0.0.0/8,127.0.0.1",
        "MARKETPLACE_DASHBOARD_NAMES": "numbers.example,shop.example",
        "MARKETPLACE_API_PUBLIC_URL": "https://shop.example:8443",
        "MARKETPLACE_API_SHOP_URL": "https://shop.example:8443",
        "MARKETPLACE_API_COLLECTOR_URL": "https://shop.example:8443",
    }
    own = {"MARKETPLACE_API_PUBLIC_URL": "https://elsewhere.example"}
    assert "MARKETPLACE_API_PUBLIC_URL" not in REGISTRY.settings_for_others({"proxy": 8443}, own)


def test_mails_lead_to_the_pages_of_the_dashboard_and_through_the_proxy_where_one_runs() -> None:
    def leads_to(**ports: int) -> str | None:
        return REGISTRY.settings_for_others(ports, {}).get("MARKETPLACE_API_PUBLIC_URL")

    assert leads_to(api=8000, dashboard=8501) == "http://127.0.0.1:8501"
    assert leads_to(api=8000, dashboard=8501, proxy=8443) == "https://localhost:8443"
    assert leads_to(api=8000) is None
    own = {"MARKETPLACE_API_PUBLIC_URL": "https://elsewhere.example"}
    assert "MARKETPLACE_API_PUBLIC_URL" not in REGISTRY.settings_for_others({"dashboard": 8501}, own)


def test_pages_of_the_shop_find_the_collector_through_the_proxy_where_one_runs() -> None:
    def found(**ports: int) -> str | None:
        return REGISTRY.settings_for_others(ports, {}).get("MARKETPLACE_API_COLLECTOR_URL")

    assert found(api=8000, collector=8080) == "http://127.0.0.1:8080"
    assert found(api=8000, collector=8080, proxy=8443) == "https://localhost:8443"
    assert found(api=8000) is None
    own = {"MARKETPLACE_API_COLLECTOR_URL": "https://events.example"}
    for ports in ({"collector": 8080}, {"proxy": 8443}):
        assert "MARKETPLACE_API_COLLECTOR_URL" not in REGISTRY.settings_for_others(ports, own)


def test_without_it_services_trust_nobody() -> None:
    assert REGISTRY.settings_for_others({"api": 8000}, {}) == {}


def zone(name: str) -> tuple[int, int]:
    """The requests a second and at one time of a zone in the configuration."""
    text = (TEMPLATE / CONFIGURATION).read_text()
    rate = re.search(rf"zone={name}:10m rate=(\d+)r/s;", text)
    burst = re.search(rf"limit_req zone={name} burst=(\d+) nodelay;", text)
    assert rate is not None
    assert burst is not None
    return int(rate[1]), int(burst[1])


def test_its_bounds_lie_above_those_of_the_services() -> None:
    own = [each.requests for each in ENTITLEMENTS.values()] + [ADDRESS]
    for policy, name in (*((policy, "api") for policy in own), (CLIENT_LIMIT.default, "collector")):
        rate, burst = zone(name)
        assert rate >= 2 * policy.rate_per_second, name
        assert burst >= 2 * policy.burst, name


def test_it_waits_for_the_collector_longer_than_that_waits_for_kafka_and_mongo() -> None:
    location = (TEMPLATE / CONFIGURATION).read_text().split("limit_req zone=collector")[1].split("proxy_pass")[0]
    found = re.search(r"proxy_read_timeout (\d+)s;", location)
    assert found is not None
    assert int(found[1]) > KAFKA_TIMEOUT_SECONDS.default + 2 * MONGO_SECONDS


def test_its_problems_are_those_of_the_apis_catalogue() -> None:
    text = (TEMPLATE / CONFIGURATION).read_text()
    titles = re.search(r"map \$problem_type \$problem_title \{(.*?)\}", text, re.DOTALL)
    kinds = re.search(r"map \$status \$problem_type \{(.*?)\}", text, re.DOTALL)
    assert titles is not None
    assert kinds is not None
    catalogue = {kind.name: kind.title for kind in PROBLEM_TYPES}
    found = dict(re.findall(r'^\s+([a-z-]+) "(.*)";$', titles[1], re.MULTILINE))
    names = dict(re.findall(r"^\s+(\w+) ([a-z-]+);$", kinds[1], re.MULTILINE))
    found[names.pop("default")] = found.pop("default")
    assert set(names.values()) <= set(found)
    assert found == {name: catalogue[name] for name in found}


def test_what_is_started_on_request_is_not_started_without_one() -> None:
    assert "proxy" not in Selection().resolve(REGISTRY)
    assert "proxy" not in REGISTRY.usual
    assert Selection(requested=frozenset({"proxy"})).resolve(REGISTRY) == REGISTRY.startable
    assert Selection(only=frozenset({"proxy"})).resolve(REGISTRY)[-1] == "proxy"
    with_redis = Selection(only=frozenset({"redis"}), requested=frozenset({"proxy"}))
    assert set(with_redis.resolve(REGISTRY)) == set(REGISTRY.needed_by(["redis", "proxy"]))


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(services=False), "--proxy asks for proxy, which --no-services leaves out"),
        (Selection(without=frozenset({"proxy"})), "--proxy asks for proxy, which --without leaves out"),
        (Selection(without=frozenset({"api"})), "api cannot be left out: proxy needs it"),
    ],
)
def test_a_request_that_contradicts_a_selection_is_refused(selection: Selection, said: str) -> None:
    with pytest.raises(StackError) as raised:
        replace(selection, requested=frozenset({"proxy"})).resolve(REGISTRY)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("remembered", "choices", "requested"),
    [
        ([], {}, set()),
        ([], {"proxy": True}, {"proxy"}),
        (["proxy"], {}, {"proxy"}),
        (["proxy"], {"proxy": False}, set()),
        ([], {"proxy": False}, set()),
    ],
)
def test_a_request_holds_until_its_opposite(
    remembered: list[str], choices: dict[str, bool], requested: set[str]
) -> None:
    desired = DesiredState(None, {}, Selection(), None, False, choices)
    assert desired.requested(remembered) == requested


def plan(requested: frozenset[str] | None) -> Plan:
    return Plan("auto", None, frozenset({"redis"}), {}, 90.0, requested=requested)


def test_a_folder_remembers_a_request_until_another_start_says_otherwise(tmp_path: Path) -> None:
    assert plan(None).job(tmp_path).requested == []
    assert plan(frozenset({"proxy"})).job(tmp_path).requested == ["proxy"]
    write_state(tmp_path, StackState("stopped", 1, 1, 1, {}, URLS, requested=["proxy"]))
    assert plan(None).job(tmp_path).requested == ["proxy"]
    assert plan(frozenset()).job(tmp_path).requested == []


@pytest.mark.parametrize(
    ("running", "choice", "said"),
    [
        (False, True, "--proxy (it runs without)"),
        (True, False, "--no-proxy (it runs with it)"),
        (True, True, ""),
        (False, False, ""),
    ],
)
def test_a_running_stack_cannot_be_given_a_proxy_or_lose_it(running: bool, choice: bool, said: str) -> None:
    processes = [ProcessInfo("proxy", "proxy", "", "running")] if running else []
    state = StackState("running", 1, 1, 1, {}, URLS, processes)
    desired = DesiredState(None, {}, Selection(), None, False, {"proxy": choice})
    if not said:
        refuse_changes(REGISTRY, state, desired, (), {})
        return
    with pytest.raises(StackError) as raised:
        refuse_changes(REGISTRY, state, desired, (), {})
    assert said in str(raised.value)
