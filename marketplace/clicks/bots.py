"""Bot detection: named indicators, under a version. Events of bots are flagged, never dropped.

docs/reference/bots.md has the same rules as text for sellers; a test compares the two.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Protocol

from marketplace.clicks.agent_tokens import names_a_browser_or_system
from marketplace.clicks.bot_kinds import agent_kind, kind_of
from marketplace.clicks.events import MAX_URL_CHARS, MAX_USER_AGENT_CHARS
from marketplace.enrichments.referral_links import host_of
from marketplace.enrichments.referrer_spam import SPAM_VERSION, spammer_of

RULES_VERSION: Final = "bots-2"
"""Changes with every change below: a fact's flag can be explained, and a replay under the same version repeats it."""

RATE_LIMIT_PER_MINUTE: Final = 120
"""More events than this of one visitor within one minute of event time is not a person: two a second, sustained."""

MIN_USER_AGENT_CHARS: Final = 8
"""A shorter user agent names no browser; the shortest genuine ones (``Opera/9.80``) have ten characters."""

LISTED: Final = "listed"
EMPTY: Final = "empty"
SHORT: Final = "short"
LIBRARY: Final = "library"
HEADLESS: Final = "headless"
SELF_NAMED: Final = "self_named"
NO_BROWSER: Final = "no_browser"
DECLARED: Final = "declared"
PROBE: Final = "probe"
REFERRER_SPAM: Final = "referrer_spam"
RATE: Final = "rate"

REASONS: Final[dict[str, str]] = {
    LISTED: "The user agent is on the maintained list of crawlers.",
    EMPTY: "There is no user agent.",
    SHORT: "The user agent is too short to name a browser.",
    LIBRARY: "The user agent is an HTTP library's or a command-line tool's.",
    HEADLESS: "The user agent is an automated browser's.",
    SELF_NAMED: "The user agent calls itself a bot, crawler, spider or the like, or names an address to complain to.",
    NO_BROWSER: "The user agent names no browser and no system.",
    DECLARED: "The client itself declares automation.",
    PROBE: "The path is one that scanners for weaknesses ask for.",
    REFERRER_SPAM: "The referrer is a site that sends made-up visits to be seen in reports.",
    RATE: f"More than {RATE_LIMIT_PER_MINUTE} events of one visitor in one minute.",
}
"""Every reason that an event can be flagged for, with one plain sentence for the seller."""

# HTTP clients and command-line tools by the token that they begin with, whether or not the list has them.
_LIBRARY: Final = re.compile(
    r"(?:curl|libcurl|wget|fetch libfetch|python(?:-requests|-urllib|-httpx|/)|urllib|aiohttp|httpx|boto|aws-cli|"
    r"scrapy|go-http-client|go-resty|java/|jnlp|jakarta|apache-http|okhttp|unirest|google-http-java|libwww|"
    r"lwp\b|perl\b|ruby\b|faraday|typhoeus|rest-client|php/|guzzle|http_request|node\b|axios|got |undici|deno/|bun/|"
    r"dart/|postman|insomnia|httpie|mechanize|winhttp|asynchronous winhttp|restsharp|powershell|reqwest|hyper/|"
    r"cpp-httplib|k6/|jmeter|locust|wrk\b|ab/|apachebench|siege|vegeta|hey/|nmap|nikto|sqlmap|masscan|zgrab|nuclei|gobuster|dirbuster|ffuf)",
    re.IGNORECASE,
)
# These two are of lower-case text, which is several times faster than an expression that ignores case.
_HEADLESS: Final = re.compile(
    r"headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|cypress/|nightmare/|htmlunit|zombie\.js|jsdom|"
    r"chrome-lighthouse|ptst/"
)
# "bot" only where it ends a word and is not a phone's brand (Cubot): "Googlebot/2.1", "bot;", not "robotics", "Abbott".
_SELF_NAMED: Final = re.compile(
    r"(?<!cu)bot(?:$|[^a-z])|crawl|spider|scrap(?:er|ing)|indexer|fetcher|feedparser|(?:link|html|site).?(?:check|valid)|"
    r"[+(] ?https?://|mailto:|health.?check|(?:uptime|site|url|web|page|yottaa)[ -]?monitor|monitoring|page.?speed|"
    r"observatory|screen.?shot|thumbnail|wkhtmlto|webkit2png|(?:link|url|page).?preview|favicon|"
    r"(?:security|vuln\w*|port|domain|web)[ -]?scan|\bgoogle-[a-z](?!v\b)|\bgoogle (?:search console|publisher)|"
    r"(?<![a-z])scanner\b|synthetics|gomezagent|site24x7|uripreview|mediapartners|proxychecker|"
    r"[;,(] ?(?:contact|research)\b"
)
_MAIL_ADDRESS: Final = re.compile(r"[\w.+-]@[\w-]+\.[a-z]{2,}")
# What an Android browser says of its phone: "Android 7.0; M bot 60 Build/NRD90M)". A maker's name for it is no
# program's, but one monitor writes its own there.
_PHONE_MODEL: Final = re.compile(
    r"(Android [\d.]+;(?: [a-z]{2}(?:[-_][a-z]{2})?;)?)(?! ?Catchpoint)[^;()/@]*(?: Build/[^;()]*)?(?=[;)])",
    re.IGNORECASE,
)

# Paths that no store serves and that scanners request of every host.
_PROBE: Final = re.compile(
    r"/\.(?:env|git|svn|hg|aws|ssh|ds_store|htaccess|htpasswd|vscode|idea|docker|npmrc|bash_history)\b|"
    r"/(?:wp-login|wp-config|xmlrpc|wlwmanifest|wp-cron)\.|/wp-(?:admin|includes|content/plugins)(?:/|$)|"
    r"/(?:phpmyadmin|pma|myadmin|mysqladmin|adminer|phpinfo)\d*(?:[/._-]|$)|/(?:info|eval-stdin|shell|cmd|c99)\.php|"
    r"/vendor/phpunit|/cgi-bin/|/boaform|/hnap1|/gponform|/manager/html|/solr/admin|/actuator(?:/|$)|/jmx-console|"
    r"/server-status|/_ignition/|/telescope/requests|/owa/auth|/autodiscover/|/ecp/|/remote/fgt_lang|/dana-na/|"
    r"/etc/passwd|/proc/self|\.\./\.\.|%2e%2e|/\.well-known/.*\.php|/config\.(?:json|php|yml)$|/(?:backup|dump|db)\.sql",
    re.IGNORECASE,
)


class AgentMatcher(Protocol):
    """A maintained list of crawlers' user agents; ``connectors`` has the real one."""

    def version(self) -> str:
        """The list's identity."""

    def match(self, user_agent: str) -> str:
        """The part of the user agent that is on the list; empty when none is, never an exception."""

    def kind(self, user_agent: str) -> str:
        """What the list says that it is, one of ``KINDS``; empty when it is not on the list or says nothing."""


class AgentVerdict(NamedTuple):
    """What a user agent shows.

    Attributes:
        reasons: Why it is a bot's, in the order of ``REASONS``; none for a browser's.
        kind: What kind of bot the agent itself names; empty for a browser's, and where it names none.
    """

    reasons: tuple[str, ...]
    kind: str


def judge_agent(user_agent: str, matcher: AgentMatcher) -> AgentVerdict:
    """The reasons found in a user agent, and the kind that it names. Total and deterministic.

    The flow calls it once per distinct user agent.
    """
    text = user_agent[:MAX_USER_AGENT_CHARS].strip()
    if not text:
        return AgentVerdict((EMPTY,), "")
    program = without_phone_model(text)
    found = (
        (LISTED, matcher.match(program) != ""),
        (SHORT, len(text) < MIN_USER_AGENT_CHARS and not names_a_browser_or_system(text)),
        (LIBRARY, _LIBRARY.match(text) is not None),
        (HEADLESS, _HEADLESS.search(text.lower()) is not None),
        (SELF_NAMED, _names_itself(program.lower())),
    )
    reasons = tuple(reason for reason, holds in found if holds)
    if not reasons and not names_a_browser_or_system(text):
        # Asked last: of what names itself, nobody has to know that it names no browser.
        reasons = (NO_BROWSER,)
    return AgentVerdict(reasons, agent_kind(program, matcher.kind(program)) if reasons else "")


def _names_itself(text: str) -> bool:
    return _SELF_NAMED.search(text) is not None or _MAIL_ADDRESS.search(text) is not None


def user_agent_reasons(user_agent: str, matcher: AgentMatcher) -> tuple[str, ...]:
    """The reasons found in a user agent, in the order of ``REASONS``; none for a browser's. Total and deterministic."""
    return judge_agent(user_agent, matcher).reasons


def agent_evidence(user_agent: str, matcher: AgentMatcher) -> dict[str, str]:
    """The text behind each reason of a user agent, for an explanation; empty where its absence is the reason."""
    text = user_agent[:MAX_USER_AGENT_CHARS].strip()
    program = without_phone_model(text)
    named = _SELF_NAMED.search(program.lower()) or _MAIL_ADDRESS.search(program.lower())
    found = {LIBRARY: _LIBRARY.match(text), HEADLESS: _HEADLESS.search(text.lower()), SELF_NAMED: named}
    texts = {LISTED: matcher.match(program), **{reason: match.group() for reason, match in found.items() if match}}
    return {reason: texts.get(reason, "") for reason in judge_agent(user_agent, matcher).reasons}


def without_phone_model(user_agent: str) -> str:
    """A user agent without the name that an Android phone or tablet gives itself, which can be that of a bot."""
    return _PHONE_MODEL.sub(r"\1", user_agent)


def event_reasons(path: str, automated: bool) -> tuple[str, ...]:
    """The reasons found in one event: what the client declares, and the path (without query)."""
    probing = _PROBE.search(path[:MAX_URL_CHARS]) is not None
    return (DECLARED,) * automated + (PROBE,) * probing


def referrer_reasons(referrer: str) -> tuple[str, ...]:
    """The reasons found in a referrer; the flow calls it once per distinct one. Total and deterministic."""
    return (REFERRER_SPAM,) if spammer_of(host_of(referrer)) else ()


def bot_kind(reasons: tuple[str, ...], agent: AgentVerdict) -> str:
    """The kind of an event's bot, one of ``KINDS``; empty for a person's event.

    Args:
        reasons: All of the event, those of its user agent included.
        agent: What its user agent shows.
    """
    return kind_of(reasons, agent.kind)


def version(matcher: AgentMatcher) -> str:
    """The version that is stamped on each event: of these rules and the list."""
    return f"{RULES_VERSION} {matcher.version()} {SPAM_VERSION}"
