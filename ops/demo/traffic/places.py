"""Data of the demo's visitors: networks by country, browsers and referrers.

The networks are residential and mobile ranges that GeoLite2-City (2019-12-24) places in these countries. They are
text in headers only: nothing is ever sent to them.
"""

from __future__ import annotations

from typing import Final

NETWORKS: Final[dict[str, tuple[str, ...]]] = {
    "US": ("73.162", "98.207", "76.102", "68.173", "24.130", "71.190", "96.246", "66.108", "72.229", "174.62"),
    "CA": ("99.224", "70.27", "184.144"),
    "MX": ("187.128", "189.128"),
    "BR": ("177.0", "189.4", "201.0", "179.96"),
    "GB": ("86.128", "82.2", "92.40"),
    "DE": ("91.64", "79.192", "84.128", "87.122", "93.192", "46.114", "95.90", "188.192"),
    "FR": ("90.0", "82.64", "78.192", "109.190"),
    "ES": ("80.24", "83.32", "88.0"),
    "IT": ("79.20", "151.16", "93.32"),
    "NL": ("77.160", "84.24", "145.53"),
    "CH": ("83.76",),
    "PL": ("5.184", "31.0"),
    "SE": ("81.224", "83.248", "90.224"),
    "FI": ("109.240",),
    "PT": ("2.80", "188.80"),
    "TR": ("85.96", "78.160"),
    "NG": ("105.112", "197.210"),
    "KE": ("105.48", "41.80"),
    "ZA": ("41.13", "105.184"),
    "EG": ("156.160", "197.32"),
    "IN": ("49.36", "117.192", "106.192", "59.88", "122.160"),
    "NP": ("36.252", "36.253"),
    "SG": ("175.156", "116.86"),
    "HK": ("112.118", "61.238"),
    "JP": ("126.0", "153.128", "60.32", "118.0"),
    "KR": ("119.192", "211.104"),
    "VN": ("14.160", "113.160"),
    "ID": ("36.64", "110.136"),
    "PH": ("112.198", "124.104"),
    "AU": ("1.128", "101.160", "120.16", "49.176", "110.140"),
    "NZ": ("122.56", "118.92", "125.236", "121.72"),
}
"""The first two bytes of IPv4 ranges; the rest is random."""

NETWORKS_V6: Final[dict[str, str]] = {
    "US": "2601:640",
    "DE": "2a02:8108",
    "GB": "2a00:23c5",
    "FR": "2a01:cb00",
    "IN": "2405:201",
    "JP": "240b:10",
    "BR": "2804:14c",
    "NP": "2400:1a00",
    "NZ": "2406:e000",
    "AU": "2001:8003",
}
"""The first 32 bits of IPv6 ranges."""

_MAC: Final = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/"
_WINDOWS: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
_LINUX: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
_IPHONE: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS {} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
_IPAD: Final = "Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
_ANDROID: Final = "Mozilla/5.0 (Linux; Android {}) AppleWebKit/537.36 (KHTML, like Gecko) "

BROWSERS: Final[tuple[str, ...]] = (
    f"{_WINDOWS}Chrome/128.0.0.0 Safari/537.36",
    f"{_IPHONE.format('17_6')}Version/17.6 Mobile/15E148 Safari/604.1",
    f"{_ANDROID.format('14; SM-S921B')}Chrome/127.0.0.0 Mobile Safari/537.36",
    f"{_MAC}605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    f"{_MAC}537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    f"{_WINDOWS}Chrome/127.0.0.0 Safari/537.36 Edg/127.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:129.0) Gecko/20100101 Firefox/129.0",
    f"{_IPHONE.format('16_7')}Version/16.6 Mobile/15E148 Safari/604.1",
    f"{_ANDROID.format('13; SM-A546B')}Chrome/126.0.0.0 Mobile Safari/537.36",
    f"{_ANDROID.format('14; Pixel 8')}Chrome/128.0.0.0 Mobile Safari/537.36",
    f"{_ANDROID.format('10; K')}Chrome/124.0.0.0 Mobile Safari/537.36",
    f"{_IPHONE.format('17_5')}CriOS/127.0.6533.56 Mobile/15E148 Safari/604.1",
    f"{_ANDROID.format('13; 2201117TY')}Chrome/125.0.0.0 Mobile Safari/537.36",
    f"{_ANDROID.format('12; CPH2269')}SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
    f"{_ANDROID.format('14; SAMSUNG SM-G991B')}SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
    f"{_IPAD}Version/17.6 Mobile/15E148 Safari/604.1",
    f"{_ANDROID.format('13; SM-X700')}Chrome/126.0.0.0 Safari/537.36",
    f"{_LINUX}Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Android 14; Mobile; rv:129.0) Gecko/129.0 Firefox/129.0",
    f"{_IPHONE.format('17_6')}FxiOS/129.0 Mobile/15E148 Safari/605.1.15",
    f"{_WINDOWS}Chrome/126.0.0.0 Safari/537.36 OPR/112.0.0.0",
    f"{_ANDROID.format('13; M2101K6G')}Chrome/122.0.0.0 Mobile Safari/537.36 OPR/83.0.0.0",
    f"{_IPHONE.format('17_6')}Mobile/15E148 Instagram 342.0.0.0",
    f"{_IPHONE.format('17_5')}Mobile/15E148 [FBAN/FBIOS;FBAV/475.0.0.41.105;FBBV/626000000;FBDV/iPhone14,5]",
    f"{_ANDROID.format('13; SM-A135F; wv')}Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36 [FB_IAB/FB4A]",
    f"{_ANDROID.format('12; RMX3231')}UCBrowser/13.4.0.1306 Mobile Safari/537.36",
    f"{_WINDOWS}Chrome/118.0.0.0 Safari/537.36 Vivaldi/6.4.3160.42",
    f"{_ANDROID.format('11; Redmi Note 8')}YaBrowser/24.4.1.76 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0",
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.5) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/4.0 TV "
    "Safari/537.36",
    "Mozilla/5.0 (PlayStation; PlayStation 5/8.20) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 "
    "Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 15_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "DuckDuckGo/7 Safari/605.1.15",
    "Opera/9.80 (Android; Opera Mini/62.3/191.281; U; en) Presto/2.12.423 Version/12.16",
)
"""User agents of people, the most common first."""

CRAWLERS: Final[tuple[str, ...]] = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    f"{_LINUX}HeadlessChrome/126.0.0.0 Safari/537.36",
    "curl/8.6.0",
    "python-requests/2.32.3",
    "Go-http-client/1.1",
    "Scrapy/2.11.2 (+https://scrapy.org)",
    "Mozilla",
    "",
)
"""User agents of machines, from well-behaved crawlers to an empty header."""

REFERRERS: Final[tuple[tuple[float, str, str], ...]] = (
    (24, "", ""),
    (20, "https://www.google.com/", ""),
    (4, "https://www.bing.com/search?q=gift", ""),
    (3, "https://duckduckgo.com/", ""),
    (6, "https://l.instagram.com/", ""),
    (5, "https://m.facebook.com/", "fbclid=IwAR0demo{n}"),
    (3, "https://t.co/Ab12Cd34", ""),
    (3, "https://www.reddit.com/r/BuyItForLife/", ""),
    (3, "https://www.youtube.com/", ""),
    (2, "https://www.pinterest.com/pin/99/", ""),
    (2, "android-app://com.google.android.gm/", ""),
    (4, "https://chatgpt.com/", "utm_source=chatgpt.com"),
    (2, "https://www.perplexity.ai/", ""),
    (1, "https://claude.ai/", ""),
    (1, "https://gemini.google.com/app", ""),
    (5, "https://www.google.com/", "gclid=Cj0KCQdemo{n}&utm_source=google&utm_medium=cpc&utm_campaign=brand-search"),
    (3, "https://www.google.com/", "gclid=EAIaIQdemo{n}"),
    (2, "https://www.bing.com/", "msclkid=demo{n}"),
    (2, "https://www.tiktok.com/", ""),
    (3, "", "utm_source=newsletter&utm_medium=email&utm_campaign=welcome"),
    (3, "https://www.instagram.com/", ""),
    (2, "https://blog.slow-living.example/best-gifts", "utm_source=slow-living&utm_medium=affiliate"),
    (1, "https://news.ycombinator.com/item?id=1", ""),
    (1, "", "utm_source=flyer&utm_medium=qr&utm_campaign=street-market"),
)
"""Weight, referrer and query string of usual visits; ``{n}`` is a random number. Campaigns are in ``season``."""

PROBES: Final[tuple[str, ...]] = ("/wp-login.php", "/.env", "/.git/config", "/vendor/phpunit/phpunit", "/phpmyadmin/")
"""Paths that vulnerability scanners request of every host."""
