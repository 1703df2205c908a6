"""User agents with a long tail: browser builds, app webviews, Android models and firmware builds, iOS releases.

The demo's visitors have about fifty strings, which fit into any cache. Real shops see some thousands of distinct ones
in a million events: a few dozen make up half of all visits, and most of the others are seen once or twice. So there are
always new strings to parse, as in production; that takes tens of microseconds each.

Half of all visitors keep the demo's string, as browsers with a frozen version and model look alike; the others draw
from a catalogue of their kind (Android, iOS, desktop) by Zipf's law, the n-th about 1/n as often as the first. The
sizes of the catalogues are chosen so that a million events (about 70,000 visitors) have some 3,800 distinct strings. A
catalogue is built from parts that are themselves drawn by Zipf's law: model codes, firmware builds, browser builds,
apps and their builds, languages. A visitor keeps the string from visit to visit. Equal seeds give equal strings;
crawlers, consoles and televisions keep the demo's.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from typing import Final

from ops.demo.traffic.people import Zipf
from ops.demo.traffic.places import BROWSERS

_TAIL_SHARE: Final = 0.5
_DRAWS: Final = 200_000
_ANDROID: Final = (
    ("10", "QP1A.190711.020", "QKQ1.190915.002"),
    ("11", "RP1A.200720.012", "RP1A.201005.001", "RKQ1.200826.002"),
    ("12", "SP1A.210812.016", "SKQ1.211019.001", "S3SF32.123-45"),
    ("13", "TP1A.220624.014", "TKQ1.221114.001", "T1TLS33.120"),
    ("14", "UP1A.231005.007", "UKQ1.230924.001", "U1TIS34.115-16"),
    ("15", "AP3A.240905.015", "BP1A.250305.019", "AQ3A.240912.001"),
)
"""Releases, oldest first, each with its firmware builds."""

_MODELS: Final = (
    *(f"SM-{series}{letter}" for series in ("S921", "S928", "S911", "G991", "G998", "F946") for letter in "BUNW0"),
    *(
        f"SM-A{size}{year}{letter}"
        for year in (5, 4, 3, 2)
        for size in ("05", "14", "15", "24", "34", "54")
        for letter in "BFUM"
    ),
    *(f"Pixel {number}{kind}" for number in (9, 8, 7, 6) for kind in ("", " Pro", "a")),
    *(f"{year}{number:05}{market}" for year in (23, 22, 21) for number in range(10116, 11900, 211) for market in "CG"),
    *(f"CPH{number}" for number in range(2197, 2680, 23)),
    *(f"RMX{number}" for number in range(3085, 3995, 41)),
    *(f"V{number}" for number in range(2027, 2350, 17)),
    *(f"moto g{name}" for name in ("(60)", " power 5G", " stylus", "54 5G", "84 5G", "(30)", " play (2024)")),
    *(f"Redmi Note {number}{kind}" for number in (8, 9, 10, 11, 12, 13) for kind in ("", " Pro", "S")),
)
_IPHONES: Final = (
    "16,1",
    "15,3",
    "14,5",
    "15,2",
    "17,1",
    "14,7",
    "13,2",
    "12,1",
    "14,2",
    "16,2",
    "12,8",
    "11,8",
    "17,3",
    "14,6",
)
_IOS: Final = (
    "17_6_1",
    "18_1",
    "17_5_1",
    "16_7_10",
    "18_0_1",
    "17_6",
    "15_8_3",
    "17_4_1",
    "16_6_1",
    "17_3_1",
    "16_5",
    "15_7",
)
_LANGUAGES: Final = ("en_US", "de_DE", "en_GB", "es_MX", "fr_FR", "pt_BR", "hi_IN", "ja_JP", "it_IT", "nl_NL", "ne_NP")
_CHROME: Final = tuple(
    f"{major}.0.{build}.{patch}"
    for major, build in ((128, 6613), (127, 6533), (126, 6478), (125, 6422), (124, 6367), (122, 6261), (120, 6099))
    for patch in (103, 88, 72, 119, 61)
)  # fmt: skip
_DESKTOPS: Final = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "X11; CrOS x86_64 14541.0.0",
)
_KHTML: Final = "(KHTML, like Gecko)"


class Agents:
    """Gives each visitor a constant user agent.

    Args:
        seed: Equal seeds give equal strings.
    """

    def __init__(self, seed: int) -> None:
        android = _Tail(seed, 3_500, _android)
        ios, desktop = _Tail(seed, 1_600, _ios), _Tail(seed, 300, _desktop)
        self._tails = {base: android for base in BROWSERS if "Linux; Android" in base}
        self._tails |= {base: ios for base in BROWSERS if "iPhone" in base}
        self._tails |= {
            base: desktop for base in BROWSERS if base.startswith(_desktop_beginnings()) and "rv:" not in base
        }
        self._seed = seed
        self.of = lru_cache(maxsize=100_000)(self._of)

    def _of(self, base: str, person: str) -> str:
        """The string of a visitor with a browser of the demo; ``person`` identifies the visitor."""
        tail = self._tails.get(base)
        if tail is None:
            return base
        digest = blake2b(f"{self._seed} {person} {base}".encode(), digest_size=8).digest()
        chance = int.from_bytes(digest, "big") / (1 << 64)
        return base if chance >= _TAIL_SHARE else tail.at(chance / _TAIL_SHARE)


class _Tail:
    """Distinct strings, the most common first."""

    def __init__(self, seed: int, count: int, make: Callable[[random.Random], str]) -> None:
        rng = random.Random(f"{seed} {make.__name__}")
        found: dict[str, None] = {}
        for _ in range(_DRAWS):
            found[make(rng)] = None
            if len(found) == count:
                break
        self._strings = list(found)
        self._upto = list(accumulate(1 / (rank + 1) for rank in range(len(self._strings))))

    def at(self, chance: float) -> str:
        """The string for a random number from 0 to 1."""
        return self._strings[min(bisect.bisect(self._upto, chance * self._upto[-1]), len(self._strings) - 1)]


def _desktop_beginnings() -> tuple[str, ...]:
    return tuple(f"Mozilla/5.0 ({system}) AppleWebKit/537.36" for system in _DESKTOPS)


@lru_cache
def _zipf(count: int) -> Zipf:
    return Zipf(count)


def _one(rng: random.Random, choices: Sequence[str]) -> str:
    return choices[_zipf(len(choices)).draw(rng)]


def _android(rng: random.Random) -> str:
    version, *builds = rng.choices(_ANDROID, weights=(2, 4, 7, 14, 20, 6))[0]
    model, build, chrome = _one(rng, _MODELS), _one(rng, builds), _one(rng, _CHROME)
    shown = rng.choices(range(5), weights=(30, 15, 25, 20, 10))[0]
    if shown == 0:
        return (
            f"Mozilla/5.0 (Linux; Android {version}; {model}) AppleWebKit/537.36 {_KHTML} Chrome/{chrome} "
            "Mobile Safari/537.36"
        )
    if shown == 1:
        major = rng.choice((26, 25, 24, 23, 21))
        return (
            f"Mozilla/5.0 (Linux; Android {version}; SAMSUNG {_one(rng, _MODELS[:40])}) AppleWebKit/537.36 {_KHTML} "
            f"SamsungBrowser/{major}.0 Chrome/{96 + major}.0.0.0 Mobile Safari/537.36"
        )
    webview = (
        f"Mozilla/5.0 (Linux; Android {version}; {model} Build/{build}; wv) AppleWebKit/537.36 {_KHTML} Version/4.0 "
        f"Chrome/{chrome} Mobile Safari/537.36"
    )
    if shown == 2:
        patch = f"{rng.choice((40, 47, 58))}.{rng.choice((82, 101))}"
        return f"{webview} [FB_IAB/FB4A;FBAV/{475 - rng.randrange(12)}.0.0.{patch};]"
    if shown == 3:
        screen = rng.choice(("1080x2340", "1080x2400", "720x1600", "1440x3088"))
        return (
            f"{webview} Instagram {345 - rng.randrange(12)}.0.0.{rng.choice((32, 48))}.95 Android "
            f"({int(version) + 20}/{version}; 450dpi; {screen}; {model}; {_one(rng, _LANGUAGES)})"
        )
    return webview


def _ios(rng: random.Random) -> str:
    system, phone, language = _one(rng, _IOS), _one(rng, _IPHONES), _one(rng, _LANGUAGES)
    version = system.replace("_", ".")
    start = f"Mozilla/5.0 (iPhone; CPU iPhone OS {system} like Mac OS X) AppleWebKit/605.1.15 {_KHTML}"
    shown = rng.choices(range(5), weights=(25, 15, 30, 22, 8))[0]
    if shown == 0:
        return f"{start} Version/{'.'.join(version.split('.')[:2])} Mobile/15E148 Safari/604.1"
    if shown == 1:
        return f"{start} CriOS/{_one(rng, _CHROME)} Mobile/15E148 Safari/604.1"
    if shown == 2:
        return (
            f"{start} Mobile/15E148 Instagram {345 - rng.randrange(9)}.0.0.{rng.choice((32, 48))}.90 "
            f"(iPhone{phone}; iOS {system}; {language}; {language[:2]}; scale=3.00; 1170x2532; "
            f"{625 + rng.randrange(6)}000000)"
        )
    if shown == 3:
        return (
            f"{start} Mobile/15E148 [FBAN/FBIOS;FBAV/{475 - rng.randrange(9)}.0.0.41.105;FBDV/iPhone{phone};"
            f"FBMD/iPhone;FBSN/iOS;FBSV/{version};FBSS/3;FBID/phone;FBLC/{language};FBOP/5]"
        )
    return f"{start} GSA/{330 - rng.randrange(14)}.0.{rng.randrange(660, 665)}154012 Mobile/15E148 Safari/604.1"


def _desktop(rng: random.Random) -> str:
    system, chrome = _one(rng, _DESKTOPS), _one(rng, _CHROME)
    major = chrome.partition(".")[0]
    plain = f"Mozilla/5.0 ({system}) AppleWebKit/537.36 {_KHTML} Chrome/{major}.0.0.0 Safari/537.36"
    shown = rng.choices(range(5), weights=(30, 25, 15, 20, 10))[0]
    if shown == 0:
        return plain.replace(f"{major}.0.0.0", f"{140 - rng.randrange(45)}.0.0.0")
    if shown == 1:
        return (
            f"{plain} Edg/{major}.0.{rng.choice(('2739', '2651', '2592', '2535'))}.{rng.choice((42, 67, 79, 86, 105))}"
        )
    if shown == 2:
        return f"{plain} OPR/{int(major) - 14}.0.0.0"
    if shown == 3:
        return plain.replace(f"{major}.0.0.0", chrome)
    return f"{plain} Vivaldi/6.{rng.randrange(2, 9)}.{rng.choice(('3160', '3381', '3435'))}.{rng.choice((42, 47, 54))}"
