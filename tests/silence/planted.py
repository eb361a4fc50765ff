"""Secrets of many shapes, and every form in which one of them might leak.

Each planted value has a token of its own in it, so that a leak is logged apart from chance, and from the
other values.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import html
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from urllib.parse import quote, quote_plus

SHAPES: tuple[str, ...] = (
    "{t}",
    '{{"user": "app", "note": "{t}"}}',
    "-----BEGIN KEY-----\n{t}\n-----END KEY-----\n",
    "postgres://app:{t}@db.us-east-1.example.org/app?x=1&y=%20",
    "quotes ' and \" and \\ and {t} and $(whoami) and `id`",
    "<b>{t}</b> | **bold** | [link](http://x) @team #1",
    "ünïcødé ✓ {t} \u202e reversed",
    "tab\tand\x1b[31m{t}\x1b[0m\r\n",
    "us-east-1,{t},us-east-1",
    "  {t}  ",
)
LONG = 3917
"""Characters of a long value: a number that is nowhere else, so that a length would be noticed."""
LENGTH = "its length"
"""The name of the forms of a length, which is found only where it stands alone."""
WINDOW = 7
"""Characters of a token that are not shown in a row, wherever in it."""


def token(number: int) -> str:
    """Sixteen characters that nothing else is made of."""
    return base64.b32encode(hashlib.sha256(f"planted {number}".encode()).digest()).decode()[:16]


@dataclass(frozen=True)
class Planted:
    """A value and the token in it."""

    token: str
    value: str

    @cached_property
    def forms(self) -> Mapping[str, tuple[str, ...]]:
        """Return the forms that must not be found, by how they are derived from the value."""
        texts = dict.fromkeys((self.value, self.token, *self.value.split()))
        found = {
            f"{name} of {what}": forms
            for what, text in enumerate(texts)
            if self.token in text
            for name, make in ENCODINGS.items()
            if (forms := tuple(form for form in make(text) if len(form) >= WINDOW))
        }
        windows = {self.token[i : i + WINDOW] for i in range(len(self.token) - WINDOW + 1)}
        found["a part of it"] = tuple(sorted(windows | {one.lower() for one in windows}))
        if len(self.value) > 1000:
            found[LENGTH] = (str(len(self.value)), str(len(self.value.encode())))
        return found

    @cached_property
    def searched(self) -> Sequence[tuple[str, str]]:
        """Return the forms with their names, without those that contain another one: that one is found."""
        found: list[tuple[str, str]] = []
        shortest: dict[bool, list[str]] = {True: [], False: []}
        every = ((form, name) for name, forms in self.forms.items() for form in forms)
        for form, name in sorted(every, key=lambda one: len(one[0])):
            in_hex = _HEX.fullmatch(form) is not None
            text = form.lower() if in_hex else form
            if name == LENGTH or not any(one in text for one in shortest[in_hex]):
                found.append((name, form))
                shortest[in_hex] += [text] if name != LENGTH and "\n" not in form else []
        return found


@cache
def plant(number: int, *, long: bool = False) -> Planted:
    """The nth secret: its shape follows from its number."""
    text = SHAPES[number % len(SHAPES)].format(t=token(number))
    return Planted(token(number), text + "~" * (LONG + number - len(text)) if long else text)


def _base64(text: str) -> Iterable[str]:
    """With any bytes before it: what is the same of all three alignments."""
    for shift in range(3):
        bare = base64.b64encode(b"\0" * shift + text.encode()).decode()
        inner = bare[4 if shift else 0 :].rstrip("=")[: -2 if len(text) > 12 else None]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))


def _digests(text: str) -> Iterable[str]:
    for form in (text, f"{text}\n", json.dumps(text)):
        data = form.encode()
        for kind in (
            hashlib.md5,
            hashlib.sha1,
            hashlib.sha256,
            hashlib.sha512,
            hashlib.blake2b,
            hashlib.sha3_256,
        ):
            digest = kind(data)
            yield digest.hexdigest()
            yield digest.hexdigest()[:12]  # people shorten them
            yield base64.b64encode(digest.digest()).decode()[:16]
        yield f"{zlib.crc32(data):08x}"


ENCODINGS: Mapping[str, Callable[[str], Iterable[str]]] = {
    "itself": lambda text: [text, text.lower(), text.upper()],
    "reversed": lambda text: [text[::-1]],
    "JSON": lambda text: [json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]],
    "JSON in JSON": lambda text: [json.dumps(json.dumps(text))[3:-3]],
    "repr": lambda text: [repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode())[2:-1]],
    "HTML": lambda text: [html.escape(text), "".join(f"&#{ord(c)};" for c in text)],
    "URL": lambda text: [quote(text), quote(text, safe=""), quote_plus(text), quote(quote(text, safe=""))],
    "hex": lambda text: [text.encode().hex(), text.encode().hex().upper(), text.encode().hex(" ")],
    "base64": _base64,
    "base32": lambda text: [base64.b32encode(text.encode()).decode().rstrip("=")[:-2]],
    "base85": lambda text: [base64.b85encode(text.encode()).decode()],
    "rot13": lambda text: [codecs.encode(text, "rot13")],
    "UTF-16": lambda text: [text.encode("utf-16-le").decode("latin-1"), text.encode("utf-16-le").hex()],
    "spaced": lambda text: [" ".join(text)],
    "digest": _digests,
}


def leaks(said: Mapping[str, str], secrets: Iterable[Planted]) -> list[str]:
    """Return the place and form of each secret that was found, never the secret itself."""
    once = "\n".join({line for text in said.values() for line in _LINES.split(text)})
    digits = "\n".join({run.lower() for run in _HEX.findall(once)})
    found = []
    for number, secret in enumerate(secrets):
        for name, form in secret.searched:
            in_hex = _HEX.fullmatch(form) is not None
            if (form.lower() in digits if in_hex else form in once) or (
                "\n" in form and any(form in text for text in said.values())
            ):
                found += [f"secret {number} in {place}: {name}" for place in _places(form, said, name)]
    return found


_LINES = re.compile(r"\n|, (?=[a-z_]+=)")
"""Points at which a text is cut, so that repeated parts are searched once; a repr is cut at its fields."""
_HEX = re.compile(r"[0-9a-fA-F]{8,}")


def _places(form: str, said: Mapping[str, str], name: str) -> list[str]:
    """Return the places of a form; of a length only where it stands alone."""
    edge = r"(?<![0-9a-f]){}(?![0-9a-f])" if name == LENGTH else "{}"
    pattern = re.compile(edge.format(re.escape(form)), re.IGNORECASE if _HEX.fullmatch(form) else 0)
    return [place for place, text in said.items() if pattern.search(text)]
