"""Rules beside those of the packages: televisions, tablets, browsers inside apps, and one name for one thing.

Each was found on user agents of public test suites, where the packages' own rules say something else
(docs/reference/devices.md says how often they agree).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

RULES_VERSION: Final = 2
"""Changes with any rule below; part of the version that is stamped on each event."""

# Televisions and set-top boxes, by the tokens that their makers' documentation names.
_TV: Final = re.compile(
    r"smart-?tv|hbbtv|ce-html|apple ?tv|tvos|g[o0][o0]gle ?tv|android tv|bravia|netcast|web0s|webos\.tv|roku|crkey|"
    r"\baft[a-z0-9]{1,10}\b|\bviera|inettvbrowser|opera tv|tv ?safari|tvbrowser|mitv|mibox|chromecast|nettv/|netrange|"
    r"vewd|\bomi/\d|vizios/|youview|hybridcast|\baquos-as|\btivo\b|\bvms/|vstvb|brightsign|freebox|\(tv;|wap_tv|"
    r"tv[ _-]?(?:box|stick|dongle)"
)
# What a box or television on Android calls itself. Only what stands for the model is asked, as "TV" is in other words
# too, and only without "Mobile", as there are phones that receive television.
_TV_MODEL: Final = re.compile(
    r"(?<![a-z])(?:smart)?tv(?![a-z0-9])|(?<!run)(?<!tur)box(?![a-z])|\bmxq|\bx9[26]\b|\b(?:h96|h98|t95|a95x)(?!\d)|"
    r"[_ -]?led[_ -]?\d|\d{2}_?led|\blcd_|\bstb\b|projector|(?<![a-z])stick(?![a-z])|^(?:bravia|shield android)"
)
_MODEL: Final = re.compile(r"android [\d.]+;(?: [a-z]{2}(?:[-_][a-z]{2})?;)?([^;()]*)")
# Tablets that say "Mobile", because they take a SIM card, or that a web view's text makes phones.
_TABLET: Final = re.compile(
    r"\btablet\b|\bipad|\bkf[a-z]{2,6}\b|\bsm-[tx]\d{3}|\bsm-p[1-9]\d{2}|\bgt-p\d{4}|(?<![a-z])(?:media|mate|view|elite|"
    r"star|think|idea|note)?pad(?![a-z])|(?<![a-z])tab(?![a-z])|\bnexus (?:7|9|10)\b|\bpixel (?:c|tablet)\b|/apad\b|"
    r"\blenovo (?:tb|yt)-?|\bplane \d{4}|kindle|touchpad"
)
_HANDHELD_APP: Final = re.compile(r"dalvik|okhttp|opera mini|ucweb|\bmini\b")
_WRITTEN_BY_A_BROWSER: Final = re.compile(r"applewebkit|gecko/|khtml")

# Browsers inside apps that the packages take for the system's own.
_IN_APPS: Final = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("Facebook", r"\bMetaIAB Facebook\b"),
        ("Instagram", r"\bMetaIAB Instagram\b"),
        ("Threads", r"\bBarcelona (\d[\d.]*)"),
        ("LinkedIn", r"\bLinkedInApp\b(?:/(\d[\d.]*))?"),
        ("Google", r"\bGSA/(\d[\d.]*)"),
        ("KakaoTalk", r"\bKAKAOTALK (\d[\d.]*)"),
        ("WeChat Browser", r"\bMicroMessenger/(\d[\d.]*)"),
        ("Telegram", r"\bTelegram-Android/(\d[\d.]*)"),
        ("Viber", r"\bViber/(\d[\d.]*)"),
        ("Naver", r"\bNAVER\(inapp; search; \d+; (\d[\d.]*)"),
        ("Slack", r"\bSlack/(\d[\d.]*)"),
        ("ChatGPT", r"\bChatGPT/(\d[\d.]*)"),
    )
)
# Most user agents are of no app: one expression says so, where each by itself would be asked.
_ANY_APP: Final = re.compile("|".join(pattern.pattern for _, pattern in _IN_APPS))
_MAX_VERSION_PARTS: Final = 3

BROWSER_NAMES: Final = {
    "Yandex": "Yandex Browser",
    "YandexSearch": "Yandex Browser",
    "YaBrowser": "Yandex Browser",
    "Web0S Browser": "webOS Browser",
}
SYSTEM_NAMES: Final = {
    "Web0S": "webOS",
    "WebOS": "webOS",
    "hpwOS": "webOS",
    "ATV OS X": "tvOS",
    "GoogleTV": "Android TV",
    "Chromecast Linux": "Chromecast",
    "Chromecast Android": "Chromecast",
    "Chromecast Fuchsia": "Chromecast",
    "Chromecast SmartSpeaker": "Chromecast",
}
_SYSTEMS_OF_TELEVISIONS: Final = frozenset(
    {"webOS", "Tizen", "Android", "Linux", "Firefox OS", "Windows", "Android TV"}
)


class InApp(NamedTuple):
    """The browser of an app: the app's name, and its version where it says one."""

    name: str
    version: str


def in_app_browser(user_agent: str) -> InApp | None:
    """The app whose own browser this is, where the packages do not say it; None for others."""
    if _ANY_APP.search(user_agent) is None:
        return None
    for name, pattern in _IN_APPS:
        found = pattern.search(user_agent)
        if found is not None:
            said = found.group(1) if pattern.groups else None
            return InApp(name, ".".join((said or "").split(".")[:_MAX_VERSION_PARTS]).rstrip("."))
    return None


def is_television(text: str) -> bool:
    """Whether a user agent, in lower case, is a television's or a set-top box's."""
    if _TV.search(text) is not None:
        return True
    if "mobile" in text:
        return False
    model = _MODEL.search(text)
    return model is not None and _TV_MODEL.search(model.group(1)) is not None


def android_device(text: str, *, said_to_be_a_tablet: bool) -> str:
    """``tablet`` or ``mobile`` for a user agent, in lower case, of Android.

    Args:
        text: The user agent.
        said_to_be_a_tablet: What the package says; it decides where no browser wrote the text.
    """
    if _TABLET.search(text) is not None:
        return "tablet"
    if "mobile" in text or _HANDHELD_APP.search(text) is not None:
        return "mobile"
    # A browser on Android without "Mobile" is a tablet's, by Google's own rule; a web view keeps to it too.
    return "tablet" if said_to_be_a_tablet or _WRITTEN_BY_A_BROWSER.search(text) is not None else "mobile"


def device_rule(text: str) -> str:
    """Which of these rules decides what device a user agent, in lower case, is of; empty where none does."""
    if is_television(text):
        return "the names of televisions and boxes"
    if "android" not in text:
        return ""
    if _TABLET.search(text) is not None:
        return "the names of tablets"
    return "the word Mobile, which phones say and tablets do not"


def browser_name(family: str) -> str:
    """The one name of a browser; empty where the packages know none."""
    return "" if family == "Other" else BROWSER_NAMES.get(family, family)


def system_name(family: str, text: str) -> str:
    """The one name of a system; empty where the packages know none, or name a television's maker in its stead."""
    name = "" if family == "Other" else SYSTEM_NAMES.get(family, family)
    return "" if "hbbtv" in text and name not in _SYSTEMS_OF_TELEVISIONS else name


def version_of(*parts: str | None) -> str:
    """A version as its parts are written: ``22.04`` keeps its zero. It ends at the first part that is not there."""
    said: list[str] = []
    for part in parts:
        if not part:
            break
        said.append(part)
    return ".".join(said)
