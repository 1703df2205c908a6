"""Addresses of pictures: what a buyer's browser may be sent to."""

from __future__ import annotations

import pytest

from marketplace.catalog.images import MAX_URL_CHARS, image_fault


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/mug.jpg",
        "https://cdn.shop.example:443/a/b.png?width=300&v=2#x",
        "https://xn--caf-dma.example/mug.jpg",
        "https://10mugs.example/10.0.0.1.jpg",
        "/pictures/mug.svg",
        "/pictures/a%20b/c.svg",
    ],
)
def test_a_host_of_the_internet_by_its_name_and_a_path_of_the_platform_are_kept(url: str) -> None:
    assert image_fault(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://shop.example/mug.jpg",
        "ftp://shop.example/mug.jpg",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "JavaScript://shop.example/%0aalert(1)",
        "data:image/png;base64,AAAA",
        "https:shop.example/mug.jpg",
        "HTTPS://shop.example/mug.jpg",
        "https:///mug.jpg",
        "https://",
        "https://user:secret@shop.example/mug.jpg",
        "https://shop.example@127.0.0.1/mug.jpg",
        "https://shop.example:8443/mug.jpg",
        "https://shop.example:99999/mug.jpg",
        "https://shop.example:x/mug.jpg",
        "https://127.0.0.1/mug.jpg",
        "https://10.0.0.1/mug.jpg",
        "https://192.0.2.1/mug.jpg",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/mug.jpg",
        "https://0x7f000001/mug.jpg",
        "https://0x7f.0.0.0x1/mug.jpg",
        "https://127.1/mug.jpg",
        "https://0177.0.0.1/mug.jpg",
        "https://[::1]/mug.jpg",
        "https://[::ffff:127.0.0.1]/mug.jpg",
        "https://[fe80::1%25eth0]/mug.jpg",
        "https://localhost/mug.jpg",
        "https://LOCALHOST/mug.jpg",
        "https://shop.localhost/mug.jpg",
        "https://metadata.google.internal/mug.jpg",
        "https://printer.local/mug.jpg",
        "https://router.home.arpa/mug.jpg",
        "https://mongo/mug.jpg",
        "https://shop.example./mug.jpg",
        "https://shop..example/mug.jpg",
        "https://-shop.example/mug.jpg",
        "https://caf\N{LATIN SMALL LETTER E WITH ACUTE}.example/mug.jpg",
        "https://shop.example/mug.jpg\n",
        "https://shop.example/a mug.jpg",
        'https://shop.example/mug.jpg"onerror="alert(1)',
        "https://shop.example/<script>",
        "https://shop.example\\@evil.example/mug.jpg",
        "//evil.example/mug.jpg",
        "/\\evil.example/mug.jpg",
        "/pictures/../v1/stores",
        "/pictures/%2e%2E/v1/stores",
        "/pictures/./mug.svg",
        "/pictures/mug.svg?x=1",
        "pictures/mug.svg",
        "https://shop.example/" + "x" * MAX_URL_CHARS,
    ],
)
def test_every_other_address_is_refused(url: str) -> None:
    assert image_fault(url) != ""
