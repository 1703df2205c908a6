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


def _cup(paint: _Paint) -> str:
    wide = 8 * (paint.own[3] % 3)
    return (
        '<ellipse cx="96" cy="130" rx="50" ry="6" fill="#000" opacity=".12"/>'
        f'<path d="M138 62q32-2 30 20t-36 24" fill="none" stroke="{paint.main}" stroke-width="9"/>'
        f'<path d="M{52 - wide // 2} 48h{88 + wide}l-8 64q-2 16-18 16H78q-16 0-18-16z" fill="{paint.main}"/>'
        f'<ellipse cx="96" cy="48" rx="{44 + wide // 2}" ry="9" fill="{paint.dark}"/>'
        f'<path d="M60 78h72" stroke="{paint.accent}" stroke-width="8" opacity=".85"/>'
        '<path d="M82 34q-6-10 2-18M104 34q-6-10 2-18" stroke-width="3" fill="none" opacity=".4" '
        f'stroke="{paint.dark}"/>'
    )


def _bottle(paint: _Paint) -> str:
    label = 70 + paint.own[3] % 8
    return (
        '<ellipse cx="100" cy="136" rx="34" ry="5" fill="#000" opacity=".12"/>'
        f'<path d="M90 14h20v26q20 8 20 30v52q0 12-12 12H82q-12 0-12-12V70q0-22 20-30z" fill="{paint.main}"/>'
        f'<rect x="87" y="8" width="26" height="14" rx="4" fill="{paint.dark}"/>'
        f'<rect x="70" y="{label}" width="60" height="38" fill="{paint.light}"/>'
        f'<rect x="80" y="{label + 9}" width="40" height="6" rx="3" fill="{paint.accent}"/>'
        f'<rect x="80" y="{label + 21}" width="26" height="5" rx="2" fill="{paint.dark}"/>'
        f'<path d="M78 62v64" stroke="{paint.light}" stroke-width="3" opacity=".3"/>'
    )


def _box(paint: _Paint) -> str:
    return (
        '<ellipse cx="100" cy="132" rx="62" ry="6" fill="#000" opacity=".12"/>'
        f'<path d="M40 54l60-22 60 22v58l-60 22-60-22z" fill="{paint.main}"/>'
        f'<path d="M40 54l60 22v58l-60-22z" fill="{paint.dark}" opacity=".35"/>'
        f'<path d="M40 54l60-22 60 22-60 22z" fill="{paint.light}" opacity=".35"/>'
        f'<path d="M70 43l60 22v20l-14 5V70L56 48z" fill="{paint.accent}"/>'
    )


def _garment(paint: _Paint) -> str:
    stripes = "".join(
        f'<path d="M72 {y}h56" stroke="{paint.accent}" stroke-width="6"/>'
        for y in range(72, 72 + 16 * (paint.own[3] % 3), 16)
    )
    return (
        '<ellipse cx="100" cy="136" rx="46" ry="5" fill="#000" opacity=".12"/>'
        f'<path d="M78 22q22 16 44 0l34 16-12 34-16-6v62q0 6-6 6H78q-6 0-6-6V66l-16 6-12-34z" fill="{paint.main}"/>'
        f'<path d="M78 22q22 16 44 0l-4-3q-18 10-36 0z" fill="{paint.dark}"/>{stripes}'
        f'<path d="M72 66v56M128 66v56" stroke="{paint.dark}" stroke-width="2" opacity=".4"/>'
    )


def _tool(paint: _Paint) -> str:
    tilt = paint.own[3] % 24 - 12
    return (
        '<ellipse cx="100" cy="134" rx="52" ry="5" fill="#000" opacity=".12"/>'
        f'<g transform="rotate({tilt} 100 76)"><rect x="92" y="44" width="16" height="88" rx="8" fill="{paint.main}"/>'
        f'<rect x="92" y="84" width="16" height="12" fill="{paint.accent}"/>'
        f'<path d="M100 10q26 2 26 26 0 12-12 18h-28q-12-6-12-18 0-24 26-26z" fill="{paint.dark}"/>'
        f'<circle cx="100" cy="32" r="10" fill="{paint.light}"/></g>'
    )


MOTIFS: Final[dict[str, Callable[[_Paint], str]]] = {
    "bag": _bag,
    "wheel": _wheel,
    "bowl": _bowl,
    "yarn": _yarn,
    "board": _board,
    "cup": _cup,
    "bottle": _bottle,
    "box": _box,
    "garment": _garment,
    "tool": _tool,
    "none": _pattern,
}
