"""The snippet, run by Node in a browser that is just big enough."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import pytest

from marketplace.clicks.collect import ValidEvent, read_body

NODE = shutil.which("node")
SNIPPET = files("ingest.http").joinpath("snippet.js").read_text()
BROWSER = """
const vm = require('vm');
const { snippet, options, steps } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const sent = [], listeners = {}, stored = {};
let timers = [], made = 0;
const on = (name, f) => { (listeners[name] = listeners[name] || []).push(f); };
const fire = (name, event) => (listeners[name] || []).forEach(f => f(event || {}));
const location = { href: 'https://shop.example/first' };
const go = (_state, _title, url) => { location.href = new URL(url, location.href).href; };
const element = (fields, product) => ({
  ...fields,
  getAttribute: () => product,
  closest: s => (s === '[data-product]' ? (product ? element(fields, product) : null) : element(fields, product)),
});
let status = 202, beacon = true;
const browser = {
  URL, JSON, Math, Date, String, encodeURIComponent, location,
  crypto: options.crypto === false ? undefined : require('crypto').webcrypto,
  navigator: { sendBeacon: (to, body) => beacon && (sent.push(['beacon', to, body]), true), ...options.navigator },
  history: { pushState: go, replaceState: go },
  localStorage: options.storage === false
    ? { getItem() { throw new Error('no'); } } : { getItem: k => stored[k], setItem: (k, v) => { stored[k] = v; } },
  document: {
    referrer: 'https://search.example/', visibilityState: 'visible', addEventListener: on,
    documentElement: element({}, options.product),
    currentScript: { src: 'https://collect.example/m.js', getAttribute: () => options.key },
  },
  addEventListener: on,
  setTimeout: (f, after) => timers.push({ f, after, id: ++made }) && made,
  clearTimeout: id => { timers = timers.filter(timer => timer.id !== id); },
  fetch: async (to, init) => { sent.push(['fetch', to, init.body, init]); return { status }; },
};
browser.window = browser;
const rest = () => new Promise(done => setImmediate(done));
const tick = async () => {
  const due = timers.sort((a, b) => a.after - b.after || a.id - b.id);
  timers = [];
  due.forEach(timer => timer.f());
  await rest();
  await rest();
};
const act = {
  tick, back: url => { go(null, '', url); fire('popstate'); },
  draw: product => { browser.document.documentElement = element({}, product); },
  push: url => browser.history.pushState({}, '', url), status: value => { status = value; },
  beacon: value => { beacon = value; },
  click: ([fields, product]) => fire('click', { target: element(fields, product) }),
  hide: () => { browser.document.visibilityState = 'hidden'; fire('visibilitychange'); },
};
(async () => {
  vm.runInNewContext(snippet, browser);
  for (const [name, argument] of steps) await act[name](argument);
  process.stdout.write(JSON.stringify({ sent, stored }));
})();
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="Node is not installed: the snippet is not run")


def browse(*steps: list[Any], **options: Any) -> dict[str, Any]:
    assert NODE is not None
    given = {"snippet": SNIPPET, "options": {"key": "the key", **options}, "steps": steps}
    finished = subprocess.run(
        [NODE, "-e", BROWSER], input=json.dumps(given), capture_output=True, text=True, timeout=30, check=False
    )
    assert finished.returncode == 0, finished.stderr
    outcome = json.loads(finished.stdout)
    assert isinstance(outcome, dict)
    return outcome


def events(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for request in outcome["sent"] for event in json.loads(request[2])["events"]]


def test_a_page_view_is_sent_with_page_referrer_time_and_visitor() -> None:
    outcome = browse(["tick"])

    assert outcome["sent"][0][:2] == ["fetch", "https://collect.example/v1/collect?key=the%20key"]
    (event,) = events(outcome)
    assert (event["type"], event["url"]) == ("view", "https://shop.example/first")
    assert event["referrer"] == "https://search.example/"
    assert event["visitor_id"] == outcome["stored"]["_mkt"]


def test_a_view_of_a_products_page_names_the_product() -> None:
    (event,) = events(browse(["tick"], product="p42"))
    assert (event["type"], event["product"]) == ("view", "p42")


def test_the_collector_understands_what_the_snippet_sends() -> None:
    outcome = browse(["click", [{"href": "https://shop.example/buy"}, "p42"]], ["tick"], navigator={"webdriver": True})

    batch = read_body(outcome["sent"][0][2].encode())
    valid = [result for result in batch.results if isinstance(result, ValidEvent)]
    assert len(valid) == len(batch.results) == 2
    assert valid[1].event.product == "p42"
    assert valid[1].event.automated
    assert valid[1].sent_at_ms is not None


def test_navigation_within_the_page_is_a_view_that_refers_to_the_page_before() -> None:
    outcome = browse(["push", "/second"], ["push", "/second"], ["tick"])

    views = events(outcome)
    assert [view["url"] for view in views] == ["https://shop.example/first", "https://shop.example/second"]
    assert views[1]["referrer"] == "https://shop.example/first"


@pytest.mark.parametrize("move", ["push", "back"])
@pytest.mark.parametrize("drawn", ["before", "after"])
@pytest.mark.parametrize("product", ["p7", ""])
def test_a_view_names_the_product_that_is_drawn_whether_the_router_draws_before_or_after_it_moves(
    move: str, drawn: str, product: str
) -> None:
    steps = [["draw", product], [move, "/second"]] if drawn == "before" else [[move, "/second"], ["draw", product]]

    views = events(browse(["tick"], *steps, ["tick"], product="p42"))

    assert [(view["url"][-6:], view.get("product", "")) for view in views] == [("/first", "p42"), ("second", product)]


def test_a_view_that_is_passed_over_at_once_does_not_take_the_product_of_the_next() -> None:
    _, passed, stayed = events(browse(["tick"], ["push", "/a"], ["push", "/b"], ["draw", "p7"], ["tick"]))

    assert ("product" in passed, stayed["product"]) == (False, "p7")


def test_a_click_names_its_target_and_product() -> None:
    outcome = browse(["click", [{"id": "buy"}, "p42"]], ["click", [{"href": "https://x.example/"}, ""]], ["tick"])

    clicks = [event for event in events(outcome) if event["type"] == "click"]
    assert [(click["target"], click.get("product")) for click in clicks] == [
        ("buy", "p42"),
        ("https://x.example/", None),
    ]


@pytest.mark.parametrize("navigator", [{"doNotTrack": "1"}, {"globalPrivacyControl": True}])
def test_under_do_not_track_and_global_privacy_control_nothing_is_sent_or_stored(navigator: dict[str, Any]) -> None:
    outcome = browse(["push", "/second"], ["tick"], ["hide"], navigator=navigator)

    assert outcome == {"sent": [], "stored": {}}


def test_without_a_key_nothing_is_sent() -> None:
    assert browse(["tick"], ["hide"], key="")["sent"] == []


def test_a_page_that_is_left_sends_what_it_has_by_beacon() -> None:
    outcome = browse(["hide"])

    assert [request[0] for request in outcome["sent"]] == ["beacon"]


def test_a_beacon_that_is_not_taken_is_fetched_with_keepalive() -> None:
    outcome = browse(["beacon", False], ["hide"])

    (request,) = outcome["sent"]
    assert (request[0], request[3]["keepalive"], request[3]["credentials"]) == ("fetch", True, "omit")


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_not_taken_is_sent_again_with_the_same_ids(status: int) -> None:
    outcome = browse(["status", status], ["tick"], ["status", 202], ["tick"], ["tick"])

    first, second = events(outcome)
    assert first["event_id"] == second["event_id"]


def test_a_refusal_is_not_repeated() -> None:
    assert len(browse(["status", 400], ["tick"], ["tick"])["sent"]) == 1


def test_without_storage_there_is_no_visitor_id_and_the_view_is_still_sent() -> None:
    (event,) = events(browse(["tick"], storage=False))

    assert "visitor_id" not in event


def test_where_the_browser_makes_no_random_uuid_ids_are_still_distinct() -> None:
    sent = events(browse(["push", "/second"], ["tick"], crypto=False))

    assert len({event["event_id"] for event in sent}) == 2


def test_many_events_go_in_batches() -> None:
    clicks = [["click", [{"id": f"b{number}"}, ""]] for number in range(45)]

    outcome = browse(*clicks, ["tick"], ["tick"], ["tick"])

    assert max(len(json.loads(request[2])["events"]) for request in outcome["sent"]) == 20
    assert len({event["event_id"] for event in events(outcome)}) == 46


def test_a_view_that_fills_a_batch_is_sent_with_its_product_and_again_as_the_same_event() -> None:
    clicks: list[list[Any]] = [["click", [{"id": f"b{number}"}, ""]] for number in range(18)]
    steps: list[list[Any]] = [
        *clicks,
        ["push", "/second"],
        ["draw", "p7"],
        ["status", 503],
        ["tick"],
        ["status", 202],
        ["tick"],
    ]

    views = [event for event in events(browse(*steps)) if event["url"].endswith("/second") and event["type"] == "view"]

    assert [view["product"] for view in views] == ["p7", "p7"]
    assert views[0] == views[1]


def test_a_view_that_is_left_at_once_is_sent_with_its_product() -> None:
    *_, view = events(browse(["tick"], ["push", "/second"], ["draw", "p7"], ["hide"]))

    assert (view["url"][-6:], view["product"]) == ("second", "p7")


def test_while_the_collector_refuses_more_events_do_not_mean_more_requests() -> None:
    clicks = [["click", [{"id": f"b{number}"}, ""]] for number in range(60)]

    assert len(browse(["status", 503], ["tick"], *clicks, ["tick"])["sent"]) == 2


def test_the_snippet_is_small() -> None:
    assert len(SNIPPET.encode()) < 3_400
