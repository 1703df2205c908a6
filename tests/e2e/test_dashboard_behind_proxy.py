"""The dashboard in a real browser, through the proxy and TLS."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Shown
from tests.kits.dashboard import PAGES, tab
from tests.kits.depth import LONG
from tests.kits.proxy import running_proxy, wait_until


@LONG
def test_every_page_is_drawn_through_the_proxy_without_an_error(browser: Browser, shown: Shown, tmp_path: Path) -> None:
    port = urlsplit(shown.url).port
    assert port is not None
    with running_proxy(tmp_path / "proxy", upstreams={"dashboard": port}) as proxy:
        # The certificate is self-signed: a person accepts it once.
        url = f"https://localhost:{proxy.port}"
        with tab(browser, url, ignore_https_errors=True) as opened:
            opened.open()
            expect(opened.metric("Page views")).to_be_visible()
            for path in PAGES.values():
                opened.open(path)
            opened.assert_sound()

        def streams() -> list[int]:
            return [line["status"] for line in proxy.lines() if line["path"] == "/_stcore/stream"]

        wait_until(lambda: bool(streams()), "the page's stream has ended")
        assert set(streams()) == {101}
        # 499: the browser itself ended it, because it went to another page.
        refused = [line for line in proxy.lines() if line["status"] >= 400 and line["status"] != 499]
        # Streamlit looks for its server in two places.
        assert [line for line in refused if "/_stcore/" not in line["path"]] == []
