"""For terminals without Unicode: formulas and signs are spelt out, not lost and not sent anyway.

>>> spelt("θ ← θ − η m̂ / (√v̂ + ε), β₁ᵗ, x⁻²")
'theta <- theta - eta m_hat / (sqrt v_hat + epsilon), beta1^t, x^-2'
"""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TextIO

_NAME = "spelt"
_TABLE = """
    ← <-   → ->   ↑ ^   ↓ v   ≤ <=   ≥ >=   ≠ !=   ≈ ~   − -   – -   — -   · *   × *   ⋅ *   ± +-
    √ sqrt   ∞ inf   … ...   ‖ ||   ′ '   ’ '   ‘ '   “ "   ” "   « "   » "   ✓ yes   ✗ no   ∂ d
    ∇ grad   ⁄ /   • *   \u0302 _hat   \u0304 _bar   \u0303 _tilde   \u0307 _dot
    ─ -   ━ -   ╴ -   ╸ -   ╺ -   ╶ -   │ |   ┃ |
"""
_SIGNS = dict(zip(_TABLE.split()[::2], _TABLE.split()[1::2], strict=True))


def spelt(text: str) -> str:
    """A text in ASCII."""
    return "".join(_spelt(text, place) for place in range(len(text)))


def _spelt(text: str, place: int) -> str:
    sign = text[place]
    kind, _, plain = unicodedata.decomposition(sign).rpartition("> ")
    if sign.isascii():
        return sign
    if sign in _SIGNS:
        return _SIGNS[sign] + _space(_SIGNS[sign], text, place)
    if unicodedata.name(sign, "").startswith("GREEK"):
        return _greek(sign) + _space("letters", text, place)
    if kind == "<super":
        begins = place == 0 or "<super>" not in unicodedata.decomposition(text[place - 1])
        return "^" * begins + spelt(chr(int(plain, 16)))
    if kind == "<sub":
        letter = spelt(chr(int(plain, 16)))
        return letter if letter.isdigit() else f"_{letter}"
    if unicodedata.combining(sign):
        return ""
    parts = unicodedata.normalize("NFKD", sign)
    return "?" if parts == sign else spelt(parts)


def _greek(sign: str) -> str:
    letter = unicodedata.normalize("NFD", sign)[0]
    word = unicodedata.name(letter).rpartition(" ")[2].replace("LAMDA", "LAMBDA")
    return word.title() if letter.isupper() else word.lower()


def _space(word: str, text: str, place: int) -> str:
    """A space between a word and a letter that follows."""
    following = text[place + 1 : place + 2]
    letter = bool(following) and unicodedata.category(following) in ("Ll", "Lu")
    return " " * (letter and word.isalpha())


def _replace(error: UnicodeError) -> tuple[str, int]:
    """What is written for the signs that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    places = range(error.start, error.end)
    return "".join(_spelt(error.object, place) for place in places), error.end


def _find(name: str) -> codecs.CodecInfo | None:
    """ASCII under another name: a stream of that name Typer would take for UTF-8."""
    if name != _NAME:
        return None
    ascii = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii.encode,
        ascii.decode,
        streamreader=ascii.streamreader,
        streamwriter=ascii.streamwriter,
        incrementalencoder=ascii.incrementalencoder,
        incrementaldecoder=ascii.incrementaldecoder,
        name=_NAME,
    )


def spell_out(stream: TextIO) -> None:
    """Let a stream spell what its encoding lacks; one that knows Unicode stays as it is."""
    if not isinstance(stream, io.TextIOWrapper) or stream.encoding.lower().startswith("utf"):
        return
    codecs.register(_find)
    codecs.register_error(_NAME, _replace)
    known = codecs.lookup(stream.encoding).name
    stream.reconfigure(encoding=_NAME if known == "ascii" else known, errors=_NAME)
