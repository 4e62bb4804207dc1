"""The instructions of IFEval: what each checks.

Where the official code draws a setting at random because it is missing, or because it is
no letter, there is nothing to agree with: a missing setting is `Unreadable`, and a letter
is counted whatever it is.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Check = Callable[[str], bool]
CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


class Unreadable(ValueError):
    """An instruction, or a setting of one, that is not as IFEval documents it."""


class _Kind(NamedTuple):
    """names: of its settings, all needed; follows(response, *settings)."""

    name: str
    names: tuple[str, ...]
    follows: Callable[..., bool]

    def __call__(self, given: Mapping[str, Any]) -> Check:
        for name in given:
            if name not in self.names:
                raise Unreadable(f"{self.name} has no setting {name!r}")
        for name in self.names:
            if name not in given:
                raise Unreadable(f"{self.name} has no {name}")
        settings = [given[name] for name in self.names]
        return lambda response: bool(self.follows(response, *settings))


CHECKS: dict[str, _Kind] = {}


def _check(name: str, *names: str) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    def add(follows: Callable[..., bool]) -> Callable[..., bool]:
        CHECKS[name] = _Kind(name, names, follows)
        return follows

    return add


def _holds(count: int, relation: str, bound: int) -> bool:
    if relation == "less than":
        return count < bound
    if relation == "at least":
        return count >= bound
    raise Unreadable(f"no relation {relation!r}")


def _found(pattern: str, text: str, flags: int = re.IGNORECASE) -> list[str]:
    try:
        return re.findall(pattern, text, flags)
    except re.error as error:
        raise Unreadable(f"{pattern!r} is no pattern ({error})") from None


# Words and letters. Keywords are patterns: the official code does not escape them.


@_check("keywords:existence", "keywords")
def _existence(text: str, keywords: list[str]) -> bool:
    return all(_found(keyword, text) for keyword in keywords)


@_check("keywords:frequency", "keyword", "frequency", "relation")
def _frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    return _holds(len(_found(keyword.strip(), text)), relation, frequency)


@_check("keywords:forbidden_words", "forbidden_words")
def _forbidden(text: str, words: list[str]) -> bool:
    return not any(_found(rf"\b{word}\b", text) for word in words)


@_check("keywords:letter_frequency", "letter", "let_frequency", "let_relation")
def _letters(text: str, letter: str, frequency: int, relation: str) -> bool:
    return _holds(text.lower().count(letter.strip().lower()), relation, frequency)


# Language and case.


def _language(text: str) -> str | None:
    """ISO 639-1; None for text without a language, such as digits."""
    import langdetect

    langdetect.DetectorFactory.seed = 0  # it draws; the same text, the same language
    try:
        return langdetect.detect(text)
    except langdetect.LangDetectException:
        return None


@_check("language:response_language", "language")
def _in_language(text: str, language: str) -> bool:
    return _language(text) in (language, None)


@_check("change_case:english_capital")
def _capital(text: str) -> bool:
    return text.isupper() and _language(text) in ("en", None)


@_check("change_case:english_lowercase")
def _lowercase(text: str) -> bool:
    return text.islower() and _language(text) in ("en", None)


@_check("change_case:capital_word_frequency", "capital_frequency", "capital_relation")
def _capital_words(text: str, frequency: int, relation: str) -> bool:
    return _holds(sum(map(str.isupper, _tokens(text))), relation, frequency)


# Lengths.


@functools.cache
def _punkt() -> Any:
    """English sentences, by the parameters that NLTK ships."""
    import punkt

    return punkt.tokenizer_for("english")


def _sentences(text: str) -> list[str]:
    return _punkt().tokenize(text)


def _tokens(text: str) -> list[str]:
    """Words as NLTK's `word_tokenize` has them: sentence by sentence."""
    from nltk.tokenize.destructive import NLTKWordTokenizer

    split = NLTKWordTokenizer().tokenize
    return [token for sentence in _sentences(text) for token in split(sentence)]


@_check("length_constraints:number_sentences", "num_sentences", "relation")
def _n_sentences(text: str, bound: int, relation: str) -> bool:
    return _holds(len(_sentences(text)), relation, bound)


@_check("length_constraints:number_words", "num_words", "relation")
def _n_words(text: str, bound: int, relation: str) -> bool:
    return _holds(len(re.findall(r"\w+", text)), relation, bound)


@_check("length_constraints:number_paragraphs", "num_paragraphs")
def _n_paragraphs(text: str, wanted: int) -> bool:
    """Between dividers; empty ones may stand at either end alone."""
    parts = [bool(part.strip()) for part in re.split(r"\s?\*\*\*\s?", text)]
    return all(parts[1:-1]) and sum(parts) == wanted


@_check("length_constraints:nth_paragraph_first_word",
        "num_paragraphs", "nth_paragraph", "first_word")  # fmt: skip
def _first_word(text: str, wanted: int, nth: int, word: str) -> bool:
    if nth > wanted:
        raise Unreadable(f"paragraph {nth} of {wanted}")
    parts = [part.strip() for part in text.split("\n\n")]
    full = sum(map(bool, parts))
    if nth > full or not parts[nth - 1]:
        return False
    first = parts[nth - 1].split()[0].lstrip("'").lstrip('"')
    first = re.split(r"[.,?!'\"]", first)[0].lower()
    return full == wanted and first == word.lower()


# What a response must hold, and its form.


@_check("detectable_content:number_placeholders", "num_placeholders")
def _placeholders(text: str, wanted: int) -> bool:
    return len(re.findall(r"\[.*?\]", text)) >= wanted


@_check("detectable_content:postscript", "postscript_marker")
def _postscript(text: str, marker: str) -> bool:
    marker = marker.strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return bool(_found(known.get(marker, marker.lower()), text.lower(), 0))


@_check("detectable_format:number_bullet_lists", "num_bullets")
def _bullets(text: str, wanted: int) -> bool:
    stars = re.findall(r"^\s*\*[^\*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", text, re.MULTILINE)
    return len(stars) + len(dashes) == wanted


@_check("detectable_format:constrained_response")
def _constrained(text: str) -> bool:
    return any(answer in text for answer in CONSTRAINED)


@_check("detectable_format:number_highlighted_sections", "num_highlights")
def _highlights(text: str, wanted: int) -> bool:
    """*So* counts once, **so** twice where both patterns find it."""
    single = [h.strip("*") for h in re.findall(r"\*[^\n\*]*\*", text)]
    double = [h[2:-2] for h in re.findall(r"\*\*[^\n\*]*\*\*", text)]
    return sum(bool(h.strip()) for h in single + double) >= wanted


@_check("detectable_format:multiple_sections", "section_spliter", "num_sections")
def _sections(text: str, splitter: str, wanted: int) -> bool:
    try:
        parts = re.split(rf"\s?{splitter.strip()}\s?\d+\s?", text)
    except re.error as error:
        raise Unreadable(f"{splitter!r} is no pattern ({error})") from None
    return len(parts) - 1 >= wanted


@_check("detectable_format:json_format")
def _json(text: str) -> bool:
    text = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except ValueError:
        return False
    return True


@_check("detectable_format:title")
def _title(text: str) -> bool:
    titles = re.findall(r"<<[^\n]+>>", text)
    return any(title.lstrip("<").rstrip(">").strip() for title in titles)


@_check("combination:two_responses")
def _two_responses(text: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    full = [part for part in parts if part]
    return all(parts[1:-1]) and len(full) == 2 and full[0] != full[1]


@_check("combination:repeat_prompt", "prompt_to_repeat")
def _repeats(text: str, prompt: str) -> bool:
    return text.strip().lower().startswith(prompt.strip().lower())


@_check("startend:end_checker", "end_phrase")
def _ends(text: str, phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(phrase.strip().lower())


@_check("startend:quotation")
def _quoted(text: str) -> bool:
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


@_check("punctuation:no_comma")
def _no_comma(text: str) -> bool:
    return "," not in text
