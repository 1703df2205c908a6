"""Corrections of the maintained list of crawlers, each with its reason: entries that also match what people use.

They were found by running the list over the user agents of public test suites (docs/reference/bots.md says which, and
how to repeat it). A correction of an entry that the list no longer has fails a test.
"""

from __future__ import annotations

from typing import Final, NamedTuple

CORRECTIONS_VERSION: Final = 2
"""Changes with any correction; part of the list's version."""


class Correction(NamedTuple):
    """What an entry means.

    Attributes:
        pattern: The regular expression in its stead; empty drops the entry.
        reason: Whom the entry also matches.
    """

    pattern: str
    reason: str


CORRECTIONS: Final[dict[str, Correction]] = {
    r"008\/": Correction(r"(?<![\w.])008/", "Opera Mini, whose version numbers end so"),
    r"AP3A\.240617\.008": Correction("", "every phone on that build of Android 15"),
    "Butterfly": Correction("Butterfly/", "HTC Butterfly, a phone"),
    "Chirp|gotosocial": Correction("gotosocial", "Google Home's own browser, GoogleChirp"),
    r"Code\/1\.": Correction("", "the pages that people open inside Visual Studio Code"),
    "Expanse": Correction("Expanse, a Palo Alto", "Expanse, a phone"),
    r"Fetch\/": Correction(r"(?<![A-Za-z])Fetch/", "MozacFetch, of Firefox on Android"),
    "Fever": Correction("Fever/", "Fever Plus, a phone"),
    "Fluid": Correction("", "Fluid, a Mac's program that shows one site"),
    "MetaIAB Facebook": Correction("", "people in the Facebook app: it is the app's own browser"),
    "Podimo": Correction(r"Podimo/[\d.]+ \(\+", "the Podimo app on a phone"),
    r"RED\/": Correction(r"(?<![A-Za-z])RED/", "Wired's app"),
    "Sogou": Correction(r"Sogou[\w -]{0,20}[Ss]pider", "Sogou's browsers on computers and phones"),
    "Sonic": Correction(r"RankSonic|(?<![A-Za-z])Sonic/", "ViewSonic and Lucky Ultra Sonic, phones"),
    r"Trae\/": Correction("", "the pages that people open inside the editor Trae"),
    "Viber": Correction(r"^Viber", "people in Viber's own browser: the preview begins with the name"),
    "speedy": Correction("speedy_?spider", "a code name of HTC's"),
}
"""By the entry's own regular expression."""
