"""What is recorded of links says the same of a visit as the links themselves, and nothing else."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from flows.clicks.encoding.enrichment_encoder import page_of
from marketplace.clicks.split import replace_lone_surrogates
from marketplace.enrichments.kept_links import kept_referrer, kept_target, kept_url
from marketplace.enrichments.referral import arrival
from marketplace.enrichments.referral_links import host_of

SECRET = "s3cr3t"
NAMES = (
    "utm_source",
    "UTM_Medium",
    "amp;utm_campaign",
    "mtm_term",
    "gclid",
    "fbclid",
    "ref",
    "token",
    "q",
    "utm%5Fcontent",
)
PARTS = st.builds(
    "{}={}".format, st.sampled_from(NAMES), st.sampled_from(("", "news", "a%26b", "ann%40mail.example", "%F0%9F%90%90"))
)
QUERIES = st.lists(PARTS | st.sampled_from(("", "flag", "a=b=c", "?x=1")), max_size=6).map("&".join)
PATHS = st.sampled_from(("", "/", "/p/mug", "/%23/cart", "/a@b", "/a//b"))
HOSTS = st.sampled_from(
    ("https://shop.example", "http://ann:pw@shop.example:8080", "//shop.example", "", "android-app://a.b")
)
URLS = st.builds(
    "{}{}{}{}".format,
    HOSTS,
    PATHS,
    QUERIES.map("?{}".format) | st.just(""),
    QUERIES.map("#/r?{}".format) | QUERIES.map("#{}".format) | st.just(""),
)


@given(URLS | st.text(max_size=80))
def test_what_is_kept_of_a_page_says_the_same_of_it_and_of_where_its_visitor_came_from(url: str) -> None:
    kept = kept_url(url)
    assert (arrival(kept), page_of(kept)) == (arrival(url), page_of(url))
    assert kept_url(kept) == kept
    assert len(kept) <= max(len(url), 1)


@given(URLS)
def test_what_is_kept_of_a_referrer_and_a_target_has_the_same_host_and_no_query(url: str) -> None:
    assert host_of(kept_referrer(url)) == host_of(url)
    assert not set("?#") & set(kept_referrer(url))
    assert kept_target(kept_target(url)) == kept_target(url)


@given(st.sampled_from(("token", "email", "q", "session", "gclid", "utm_id")), URLS.filter(lambda url: "#" not in url))
def test_no_value_of_a_parameter_that_is_no_label_is_kept(name: str, url: str) -> None:
    more = f"{url}{'&' if '?' in url else '?'}{name}={SECRET}"
    assert SECRET not in kept_url(more) + kept_referrer(more)
    assert SECRET not in kept_url(f"{url}#{SECRET}") + kept_target(f"/p?{name}={SECRET}")


ESCAPES = st.lists(
    st.sampled_from(("\\ud83d", "\\ude00", "\\uD83D", "\\\\", "\\n", "a", "\\u00e9", "\\\\ud83d")), max_size=12
)


@given(ESCAPES.map("".join))
def test_each_half_of_a_pair_that_stands_alone_becomes_one_character_and_the_rest_stays(text: str) -> None:
    body = json.dumps([]).encode()
    quoted = f'["{text}"]'.encode()
    assert replace_lone_surrogates(body) == body
    (before,), (after,) = json.loads(quoted), json.loads(replace_lone_surrogates(quoted))
    whole = ("\ufffd" if 0xD800 <= ord(each) <= 0xDFFF else each for each in before)
    assert after == "".join(whole)
