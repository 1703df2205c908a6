"""Pictures of products that have no photograph, drawn of their names: one name always gives the same picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

_FRAME: Final = (
    '<svg viewBox="0 0 200 150" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">{body}</svg>'
)


@dataclass(frozen=True)
class _Paint:
    """Colours of one picture, and pseudo-random bytes (`own`) that vary its shape."""

    ground: str
    main: str
    dark: str
    light: str
    accent: str
    own: bytes


def picture(motif: str, name: str, hue: int, label: str) -> str:
    """An SVG of a product.

    Args:
        motif: What the shop sells, one of ``MOTIFS``.
        name: The product's id.
        hue: The shop's, in degrees.
        label: What it shows, for screen readers, already escaped.
    """
    own = blake2b(name.encode(), digest_size=8).digest()
    turned = (hue + own[0] % 70 - 35) % 360
    paint = _Paint(
        ground=_color(turned, 45, 88),
        main=_color(turned, 52, 30 + own[1] % 26),
        dark=_color(turned, 45, 20),
        light=_color((turned + 20) % 360, 60, 94),
        accent=_color((turned + 150 + own[2] % 60) % 360, 62, 56),
        own=own,
    )
    draw = MOTIFS[motif]
    return _FRAME.format(label=label, body=f'<rect width="200" height="150" fill="{paint.ground}"/>{draw(paint)}')


def _color(hue: int, saturation: int, lightness: int) -> str:
    return f"hsl({hue} {saturation}% {lightness}%)"


def _bag(paint: _Paint) -> str:
    mark = (
        f'<circle cx="100" cy="88" r="13" fill="{paint.accent}"/><path d="M92 94q8-14 16-12" stroke="{paint.light}" '
        'stroke-width="3" fill="none" stroke-linecap="round"/>'
        if paint.own[3] % 2
        else f'<rect x="86" y="76" width="28" height="5" rx="2" fill="{paint.accent}"/>'
        f'<rect x="86" y="86" width="20" height="5" rx="2" fill="{paint.dark}"/>'
        f'<rect x="86" y="96" width="24" height="5" rx="2" fill="{paint.dark}"/>'
    )
    return (
        '<ellipse cx="100" cy="132" rx="52" ry="6" fill="#000" opacity=".12"/>'
        f'<path d="M62 34h76l6 92q0 6-6 6H62q-6 0-6-6z" fill="{paint.main}"/>'
        f'<path d="M62 34h76l-2-14q0-3-4-3H68q-4 0-4 3z" fill="{paint.dark}"/>'
        f'<rect x="74" y="62" width="52" height="48" rx="6" fill="{paint.light}"/>{mark}'
        f'<path d="M64 40l-6 88" stroke="{paint.light}" stroke-width="2" opacity=".25"/>'
    )


def _wheel(paint: _Paint) -> str:
    spokes = "".join(
        f'<path d="M0 0V-33" transform="translate({x} 98) rotate({turn})" stroke="{paint.dark}" opacity=".35"/>'
        for x in (58, 142)
        for turn in range(0, 360, 30)
    )
    rims = "".join(
        f'<circle cx="{x}" cy="98" r="34" fill="none" stroke="{paint.dark}" stroke-width="5"/>'
        f'<circle cx="{x}" cy="98" r="4" fill="{paint.dark}"/>'
        for x in (58, 142)
    )
    bars = "M130 44h14q8 0 8 8" if paint.own[3] % 2 else "M124 46q14-12 24-4"
    return (
        f'{spokes}{rims}<g fill="none" stroke="{paint.main}" stroke-width="6" stroke-linecap="round" '
        'stroke-linejoin="round"><path d="M58 98l28-44h44L98 98zM86 54l12 44M142 98L128 46"/></g>'
        f'<path d="{bars}" fill="none" stroke="{paint.dark}" stroke-width="5" stroke-linecap="round"/>'
        f'<path d="M74 48h24" stroke="{paint.accent}" stroke-width="8" stroke-linecap="round"/>'
        f'<circle cx="98" cy="98" r="7" fill="{paint.accent}"/>'
    )


def _bowl(paint: _Paint) -> str:
    grains = "".join(
        f'<circle cx="{56 + (paint.own[i % 8] * (i + 3)) % 90}" cy="{52 + (paint.own[(i + 3) % 8] * (i + 1)) % 22}" '
        f'r="{2 + i % 3}" fill="{paint.light if i % 3 else paint.dark}" opacity=".55"/>'
        for i in range(16)
    )
    return (
        '<ellipse cx="100" cy="130" rx="50" ry="6" fill="#000" opacity=".12"/>'
        f'<path d="M44 78q56-{46 + paint.own[3] % 26} 112 0z" fill="{paint.accent}"/>{grains}'
        f'<path d="M36 76h128q0 50-64 52-64-2-64-52z" fill="{paint.main}"/>'
        f'<path d="M36 76h128l-2 12H38z" fill="{paint.dark}"/>'
        f'<path d="M60 104q40 16 80 0" stroke="{paint.light}" stroke-width="3" fill="none" opacity=".5"/>'
    )


def _yarn(paint: _Paint) -> str:
    tilt = paint.own[3] % 60
    strands = "".join(
        f'<ellipse cx="98" cy="78" rx="{width}" ry="45" transform="rotate({turn} 98 78)" stroke="{color}"/>'
        for turn, color in ((tilt, paint.light), (tilt + 70, paint.dark))
        for width in (38, 25, 11)
    )
    return (
        '<ellipse cx="100" cy="128" rx="48" ry="6" fill="#000" opacity=".12"/>'
        f'<path d="M120 118q40 14 66-8" stroke="{paint.main}" stroke-width="4" fill="none" stroke-linecap="round"/>'
        f'<path d="M38 26l30 28M56 20l24 34" stroke="{paint.accent}" stroke-width="5" stroke-linecap="round"/>'
        f'<circle cx="98" cy="78" r="47" fill="{paint.main}"/>'
        f'<g fill="none" stroke-width="2.5" opacity=".42">{strands}</g>'
        f'<circle cx="38" cy="26" r="6" fill="{paint.accent}"/><circle cx="56" cy="20" r="6" fill="{paint.accent}"/>'
    )


def _board(paint: _Paint) -> str:
    tilt = -28 + paint.own[3] % 16
    return (
        f'<path d="M0 118q26-14 50 0t50 0 50 0 50 0v32H0z" fill="{paint.main}" opacity=".35"/>'
        f'<g transform="rotate({tilt} 100 76)"><path d="M22 76q30-30 96-27 42 2 60 27-18 25-60 27-66 3-96-27z" '
        f'fill="{paint.light}" stroke="{paint.dark}" stroke-width="3"/>'
        f'<path d="M30 76h146" stroke="{paint.accent}" stroke-width="5"/>'
        f'<path d="M{112 + paint.own[4] % 20} 51v50M{124 + paint.own[4] % 20} 52v48" stroke="{paint.main}" '
        'stroke-width="6"/></g>'
        f'<path d="M0 130q26-12 50 0t50 0 50 0 50 0v20H0z" fill="{paint.main}"/>'
    )


def _pattern(paint: _Paint) -> str:
    return (
        f'<g fill="none" stroke="{paint.main}" stroke-width="4" stroke-linejoin="round" opacity=".35">'
        '<path d="M70 62l30-15 30 15v34l-30 15-30-15zM70 62l30 15 30-15M100 77v34M85 54.5l30 15"/></g>'
    )


MOTIFS: Final[dict[str, Callable[[_Paint], str]]] = {
    "bag": _bag,
    "wheel": _wheel,
    "bowl": _bowl,
    "yarn": _yarn,
    "board": _board,
    "none": _pattern,
}
