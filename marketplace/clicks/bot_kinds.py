"""What kind of bot it is: one value for each event of a bot, so that a seller sees who comes beside people.

docs/reference/bots.md has the same kinds as text for sellers; a test compares the two.
"""

from __future__ import annotations

import re
from typing import Final

AI: Final = "ai"
SEARCH: Final = "search"
PREVIEW: Final = "preview"
MONITOR: Final = "monitor"
FEED: Final = "feed"
ADS: Final = "ads"
SEO: Final = "seo"
SCANNER: Final = "scanner"
ARCHIVE: Final = "archive"
RESEARCH: Final = "research"
AUTOMATION: Final = "automation"
TOOL: Final = "tool"
UNNAMED: Final = "unnamed"
DECLARED: Final = "declared"
SPAM: Final = "spam"
RATE: Final = "rate"
OTHER: Final = "other"

KINDS: Final[dict[str, str]] = {
    AI: "Crawlers and agents of AI assistants, and of those who train them.",
    SEARCH: "Crawlers of search engines.",
    PREVIEW: "Previews of links in messages, mails and social networks.",
    MONITOR: "Health checks, and monitors of uptime and speed.",
    FEED: "Readers of feeds and podcasts.",
    ADS: "Advertising networks that look at pages with their ads.",
    SEO: "Crawlers that collect links, prices and rankings.",
    SCANNER: "Scanners for weaknesses, by name or by the path that they ask for.",
    ARCHIVE: "Archives of the web.",
    RESEARCH: "Crawlers of universities and statistics.",
    AUTOMATION: "Browsers that a program drives.",
    TOOL: "HTTP libraries and command-line tools.",
    UNNAMED: "Agents that name nothing that a person uses, or nothing at all.",
    DECLARED: "Browsers that say themselves that they are automated, or fetch ahead.",
    SPAM: "Visits with the address of a referrer spammer.",
    RATE: "Visitors that are faster than people.",
    OTHER: "Bots that name themselves and are on no list.",
}
"""Every kind, with one plain sentence; of several that an agent belongs to, the first counts."""

# By the names that agents give themselves, for those that the list does not have or writes in another letter case.
_BY_NAME: Final = (
    (
        AI,
        r"\b(?:claude|chatgpt|gpt|oai|openai|anthropic|perplexity|cohere|mistralai|gemini|copilot|deepseek|grok|"
        r"meta-external|duckassist|bytespider|ccbot|diffbot|nova-?act|manus|you|timpi|webzio|petal|pangu|kimi|qwen)"
        r"[-_]?(?:ai|bot|user|web|search-?bot|agent|fetcher|crawler|code|chat)\b|\b(?:ccbot|bytespider|anthropic-ai|"
        r"githubcopilotchat|diffbot|xai-bot|langchain|llamaindex|crawl4ai|firecrawl)\b|"
        r"\bai[- ](?:agent|crawler|research|bot)\b",
    ),
    (
        MONITOR,
        r"health.?check|kube-probe|prometheus|prober?\b|uptime|monitor(?:ing|s)?\b|urlmonitor|observatory|synthetic|"
        r"status.?(?:check|cake|page)|ping(?:dom|bot)|site24x7|datadog|dynatrace|new.?relic|zabbix|nagios|check_http|"
        r"icinga|load.?balanc|envoy/hc|munin|collectd|grafana|blackbox|haproxy|consul|\bgooglehc\b|\bmonit/|gomez|catchpoint|page.?speed|"
        r"lighthouse|gtmetrix|\bptst\b|web ?page ?test",
    ),
    (
        PREVIEW,
        r"(?:link|url|web|site|page).?(?:preview|expander)|external.?hit|unfurl|embed(?:ly|bot)|thumb(?:nail|or)?|"
        r"screen.?shot|favicon|image.?proxy|imagecache|oembed|opengraph",
    ),
    (FEED, r"\b(?:rss|atom|feed|podcast)|feed.?(?:reader|fetcher|parser)|podcatcher"),
    (SCANNER, r"scan(?:ner|ning)?\b|sqlmap|nikto|nmap|nuclei|masscan|zgrab|gobuster|ffuf|recon\b|exploit"),
    (ADS, r"\bads?(?:bot|review|txt)?\b|advert"),
    (SEO, r"\bseo|rank|backlink|keyword|price"),
    (ARCHIVE, r"archiv|wayback|heritrix"),
    (RESEARCH, r"\bresearch|universit|survey|experiment|statistic"),
)  # fmt: skip
_NAMES: Final = tuple((kind, re.compile(pattern)) for kind, pattern in _BY_NAME)

_BY_REASON: Final = {
    "headless": AUTOMATION,
    "library": TOOL,
    "self_named": OTHER,
    "listed": OTHER,
    "empty": UNNAMED,
    "short": UNNAMED,
    "no_browser": UNNAMED,
    "declared": DECLARED,
    "probe": SCANNER,
    "referrer_spam": SPAM,
    "rate": RATE,
}
"""What a reason says by itself, in the order in which it is asked; the earlier say more of who it is."""


def agent_kind(user_agent: str, listed_kind: str) -> str:
    """The kind by the list, or else by the names in a flagged user agent; empty when it names none. Total.

    Args:
        user_agent: Of a bot; an ordinary browser's text can name "ads" too.
        listed_kind: What the list says, empty when it says nothing.
    """
    if listed_kind:
        return listed_kind
    text = user_agent.lower()
    return next((kind for kind, names in _NAMES if names.search(text)), "")


def kind_of(reasons: tuple[str, ...], named_kind: str) -> str:
    """The kind of an event's bot: by its user agent if that is a bot's, else by the reasons. Empty for a person."""
    if not reasons or named_kind:
        return named_kind if reasons else ""
    return next((kind for reason, kind in _BY_REASON.items() if reason in reasons), OTHER)
