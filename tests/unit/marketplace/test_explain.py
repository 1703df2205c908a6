from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from connectors.errors import Refused
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from marketplace.clicks import bots
from marketplace.clicks.explain import Section, Visit, explain
from marketplace.enrichments import ENRICHMENTS, Lookups
from marketplace.enrichments.referral_channels import CHANNELS, MEANINGS
from ops.cli import make_app

ROOT = Path(__file__).resolve().parents[3]
AGENTS, LIST = UserAgents(), CrawlerList()
LOOKUPS = Lookups(GeoIP().snapshot(), AGENTS)
texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=100)


def explained(visit: Visit) -> dict[str, Section]:
    return {section.name: section for section in explain(visit, LOOKUPS, LIST, AGENTS.rule(visit.user_agent))}


def why(visit: Visit, section: str, name: str) -> tuple[str, str]:
    return next((line.value, line.why) for line in explained(visit)[section].lines if line.name == name)


@settings(max_examples=50, deadline=None)
@given(url=texts, referrer=texts, user_agent=texts, ip=texts)
def test_an_explanation_gives_the_answers_of_the_enrichments(url: str, referrer: str, user_agent: str, ip: str) -> None:
    sections = explained(Visit(url, referrer, user_agent, ip))
    shown = {line.name: line.value for section in sections.values() for line in section.lines}
    given = {"url": url, "referrer": referrer, "user_agent": user_agent, "ip": ip, "store_rules": ""}
    for enrichment in ENRICHMENTS:
        answer = enrichment.enrich(LOOKUPS, tuple(given[field] for field in enrichment.reads))
        assert [shown.get(name, "") for name in enrichment.columns] == list(answer)


def test_a_payment_page_is_explained_by_the_entry_of_its_list() -> None:
    source, reason = why(Visit("https://shop.example/done", "https://payments.amazon.de/x"), "where from", "source")
    assert (source, reason) == ("(internal)", "a payment page, listed host: payments.amazon.{}")


def test_a_label_of_ads_is_explained_by_its_rule() -> None:
    _, reason = why(Visit("https://shop.example/?utm_source=fb-ads"), "where from", "source")
    assert reason == "utm_source, a name with a word of ads: utm_source=fb-ads"


@pytest.mark.parametrize(
    ("query", "channel", "because"),
    [
        ("utm_source=new&gclid=a", "Paid Search", "(search, as gclid is of google; paid by the ad's click id gclid)"),
        ("gclid=abc", "Paid Search", "(search; paid by the ad's click id gclid)"),
        ("utm_source=bing&gclid=abc", "Paid Search", "(search; paid by the ad's click id gclid)"),
        ("utm_source=fb-ads", "Paid Social", "(social; paid by a label of ads)"),
        ("utm_source=a-blog&utm_medium=ppc", "Paid Other", "(no known kind of site; paid by the medium ppc)"),
        ("utm_source=a-blog", "Unassigned", "(no known kind of site)"),
    ],
)  # fmt: skip
def test_a_paid_channel_is_explained_by_what_makes_it_paid(query: str, channel: str, because: str) -> None:
    value, reason = why(Visit(f"https://shop.example/?{query}"), "where from", "channel")
    assert value == channel
    assert reason.endswith(because)


def test_a_bot_is_explained_by_each_reason_with_the_text_behind_it() -> None:
    bot = Visit("https://shop.example/", user_agent="Googlebot/2.1 (+http://www.google.com/bot.html)")
    lines = explained(bot)["person or bot"].lines
    assert [line.value for line in lines] == ["bot", "listed", "self_named", "search"]
    assert lines[1].why == f"{bots.REASONS['listed']} (Googlebot/)"


def test_every_section_of_rules_names_its_version() -> None:
    assert all(section.version for section in explained(Visit("https://shop.example/")).values())


def test_every_channel_is_said_in_words() -> None:
    assert tuple(MEANINGS) == CHANNELS


@pytest.mark.parametrize(
    "asked", [["not a url"], ["shop.localhost/x"], ["https://"], ["https://shop.example/", "--ip", "999.1.1.1"]]
)
def test_what_is_no_visit_is_refused(asked: list[str]) -> None:
    done = CliRunner().invoke(make_app(["explain"]), ["explain", *asked])
    assert isinstance(done.exception, Refused)
    assert repr(asked[-1]) in str(done.exception)


def test_what_was_not_asked_is_not_answered() -> None:
    def explained_by(*asked: str) -> dict[str, str]:
        command = ["explain", "https://shop.example/", "--json", *asked]
        done = CliRunner().invoke(make_app(command), command, catch_exceptions=False)
        found = json.loads(done.stdout)
        return {line["name"]: line["value"] for section in found.values() for line in section["values"]}

    link, declared = explained_by(), explained_by("--automated")
    assert (link["counts as"], link["device"], link["country"]) == ("not asked",) * 3
    assert (declared["counts as"], declared["reason"]) == ("bot", "declared")
    assert "bot_kind" not in declared


def test_the_command_explains_without_a_stack(tmp_path: Path) -> None:
    asked = ["https://shop.example/P?utm_source=adwords&utm_medium=ppc", "--agent", "kube-probe/1.29", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "explain", *asked],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    values = {line["name"]: line["value"] for section in found.values() for line in section["values"]}
    assert (values["source"], values["channel"], values["bot_kind"]) == ("google", "Paid Search", "monitor")
    assert values["page"] == "/P"
