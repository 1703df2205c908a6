"""What makes a user agent one that a person's program could have: it names a browser, a system or a phone.

docs/reference/bots.md has the rule as text for sellers.
"""

from __future__ import annotations

import re
from typing import Final

# Browsers and their engines. A name counts with a version behind it ("Chrome/", "MSIE 6"), because words such as
# "opera" and "links" stand in other texts too. All expressions are of lower-case text, which is several times faster.
_BROWSER: Final = re.compile(
    r"\b(?:apple ?web ?kit|webkit|khtml|gecko|trident|presto|servo|chrome|chromium|crios|headlesschrome|firefox|fxios|"
    r"focus|safari|edge|edga|edgios|edg|opr|opt|opx|opios|opera(?: mini| mobi| tablet)?|vivaldi|brave|samsungbrowser|"
    r"ucbrowser|uc browser|ucweb|[mq]qqbrowser|silk|yabrowser|maxthon|puffin|netscape|navigator|seamonkey|camino|"
    r"iceweasel|icecat|konqueror|epiphany|midori|falkon|otter|omniweb|icab|shiira|lynx|links|e-?links|w3m|dillo|"
    r"netsurf|ibrowse|amigavoyager|voyager|aweb|mosaic|ncsa_?mosaic|hotjava|amaya|arachne|contiki|netpositive|"
    r"galeon|aol|qtwebkit|onebrowser|vlc|libvlc|hybridcast|"
    r"retawq|cello|off ?by ?one|ladybird|libweb|browser|browser_ios|ibrowser|micromessenger|webpositive|"
    r"up|up\.browser|netfront|obigo|obigointernetbrowser|teleca|telecabrowser|openwave|"
    r"polaris|dolfin|jasmine|novarra-vision|blazer|xiino|avantgo|eudoraweb|mib|maui|wap-browser|"
    r"inettvbrowser|maple|espial|ekioh|kodi|xbmc)[\w.-]*[ ]?/|"
    r"\bmsie[ /]?\d|\binternet explorer\b|\bfba[nv]/|"
    r"\b(?:netscape|firefox|opera|ibrowse|e?links|galeon|maui wap) ?[\d(b]",
)

# Operating systems, their frameworks for apps, and kinds of devices.
_SYSTEM: Final = re.compile(
    r"\bwin(?:dows|nt|ce|16|32|64|9[58x])|\bmac(?:intosh|os|[ _](?:os|powerpc|ppc|osx))|\bdarwin/\d|\bcfnetwork/|"
    r"\bamiga|(?:free|open|net)bsd|\bip(?:hone|ad|od|ados)|\b(?:ios|tvos|watchos|visionos|audioos)\b|appletv|\bapplecoremedia/|"
    r"\bwatch(?: os|\d,\d)|"
    r"android|\badr \d|\bdalvik/|\bx11\b|\blinux[ ;/]|\b(?:ubuntu|debian|fedora|suse|centos|raspbian|cros|chromebook|"
    r"dragonfly|sunos|solaris|hp-ux|aix|irix|osf1|openvms|morphos|aros|beos|"
    r"haiku|risc ?os|os/2|qnx|fuchsia|syllable|commodore|atari)\b|"
    r"symb(?:ian|os)|\bseries ?[3-9]0|\bs60|\bmidp|\bcldc|\bj2me|\bbrew|\bmtk|\bmaui|tizen|web0s|webos|hpwos|kaios|"
    r"\bbada\b|meego|maemo|harmony|sailfish|blackberry|\bbb10\b|playbook|rim tablet|palm|hiptop|\bepoc|docomo/|kddi-|"
    r"j-phone/|softbank/|vodafone/|\bwillcom|\bpda\b|playstation|\bpsp\b|nintendo|\bxbox|dreamcast|sega|"
    r"\bosx\b|\bwin(?:7|8|10|11)\b|vizios/|\baft[a-z0-9]{1,10}\b|\bgfhd\d|\bsonos[/;]|\becho/|omdroid|inferno|\bwap\d|"
    r"smart-?tv|hbbtv|ce-html|apple ?tv|google ?tv|\broku|\bviera|bravia|netcast|\bdlna|\bupnp/|kindle|\bnook\b|"
    r"\bprofile/|\bconfiguration/",
)

# Telephones before smartphones say only who made them, and which one it is.
_PHONE: Final = re.compile(
    r"\(?(?:alcatel|acer|archos|airness|amoi|asus|audiovox|benq|bird|casio|cdm-|coolpad|cricket|danger|dell|ericsson|fly|gionee|gradiente|"
    r"haier|hp |hisense|htc|huawei|hutchison|i-mate|infinix|innostream|itel|jolla|karbonn|kyocera|kwc|kejian|kddi|lava|"
    r"lenovo|lg[-/e _]|lge|lct|micromax|mitsu|mot[-o_]|motorola|nec[-_]|nokia|novarra|o2|oppo|palm|panasonic|pantech|"
    r"pg-|philips|qtek|rim|sagem|samsung|sam-|sanyo|sch-|sec-|sgh|sendo|sharp|sie-|siemens|softbank|sonim|sony|spice|"
    r"sprint|t-mobile|tcl|tecno|telit|tianyu|toshiba|treo|uniscope|utstar|verykool|verizon|vk-?|vivo|vx|wap|xiaomi|"
    r"zte|zonda)",
)


def names_a_browser_or_system(user_agent: str) -> bool:
    """Whether a user agent names a browser, a system, or a maker of phones at its beginning."""
    text = user_agent.lower()
    return _SYSTEM.search(text) is not None or _BROWSER.search(text) is not None or _PHONE.match(text) is not None
