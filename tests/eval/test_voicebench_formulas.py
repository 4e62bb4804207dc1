"""VoiceBench's evaluators, response by response."""

from __future__ import annotations

import random

import pytest

from eval.formulas import bbh, ifeval, ratings
from eval.formulas.guess import accuracy
from eval.formulas.ifeval_checks import CHECKS, Unreadable
from eval.formulas.mcq import CHOICES, chosen
from eval.formulas.refusal import refuses, safe
from tests.eval.voicebench_cases import BBH, HARM, IFEVAL, MCQ


@pytest.mark.parametrize("name, settings, response, strict, loose", IFEVAL)
def test_instructions(name, settings, response, strict, loose):
    for loosely, want in ((False, strict), (True, loose)):
        found = ifeval.followed(response, [name], [settings], loosely)
        assert found == [bool(want)]


def test_every_instruction_is_tried_both_ways():
    for name in CHECKS:
        seen = {strict for n, _, _, strict, _ in IFEVAL if n == name}
        assert seen == {0, 1}, name
    assert len(CHECKS) == 25


@pytest.mark.parametrize(
    "name, settings, why",
    [
        ("keywords:rhymes", {}, "no instruction 'keywords:rhymes'"),
        ("punctuation:no_comma", {"colour": "red"}, "no setting 'colour'"),
        ("length_constraints:number_words", {"relation": "at least"}, "has no num_words"),
        ("length_constraints:number_words", {"relation": "around", "num_words": 3},
         "no relation 'around'"),
        ("keywords:existence", {"keywords": ["("]}, "no pattern"),
        ("length_constraints:nth_paragraph_first_word",
         {"num_paragraphs": 1, "nth_paragraph": 2, "first_word": "a"}, "paragraph 2 of 1"),
    ],
)  # fmt: skip
def test_instructions_that_are_not_documented_are_named(name, settings, why):
    with pytest.raises(Unreadable, match=why.replace("(", r"\(")):
        ifeval.followed("a response", [name], [settings])


def test_settings_and_instructions_go_together():
    with pytest.raises(Unreadable, match="1 instructions, 0 settings"):
        ifeval.followed("a", ["punctuation:no_comma"], [])


@pytest.mark.parametrize("response, want", HARM)
def test_refusals(response, want):
    assert safe(response) == bool(want)
    assert refuses(response) == bool(want and response.strip())


@pytest.mark.parametrize("response, want", MCQ)
def test_letters(response, want):
    assert chosen(response) == want


@pytest.mark.parametrize("id_, response, want", BBH)
def test_yes_and_no(id_, response, want):
    task = bbh.task_of(id_)
    assert task is not None and bbh.answered(response, task) == want
    assert bbh.task_of("boolean_expressions_1") is None


@pytest.mark.parametrize("choices, letters", [(4, list(CHOICES)), (2, [0, 1])])
def test_guesses_are_those_of_a_seeded_official_run(choices, letters):
    given = [None, 1, None, 0, None, None, 1, None, None, 0]
    wanted = [0, 1, 1, 1, 0, 1, 0, 0, 1, 0]
    random.seed(0)
    right = sum(
        (random.choice(letters) if g is None else letters[g]) == letters[w]
        for g, w in zip(given, wanted, strict=True)
    )
    rows = [{"given": g, "wanted": w} for g, w in zip(given, wanted, strict=True)]
    assert accuracy(choices)(rows) == 100 * right / len(rows)
    assert accuracy(choices)([]) is None


def test_ratings_are_read_or_not():
    assert [ratings.number(r, 1, 5) for r in ("4", " 3.5\n", "[[2]] so", "6", "four")] == [
        4.0, 3.5, 2.0, None, None
    ]  # fmt: skip
    assert [ratings.yes(r) for r in ("Yes.", "**no**", "Nothing", "I say yes")] == [
        True, False, None, None
    ]  # fmt: skip
    assert ratings.majority(["Yes", "no", "yes"]) is True
    assert ratings.majority(["Yes.", "Yes.", "yes"]) is False  # a plain yes alone counts
    assert ratings.majority(["maybe", "hm"]) is None
    assert ratings.met('So: {"explanation": "{x}", "criteria_met": true} done') is True
    for reply in ('{"criteria_met": "yes"}', '{"met": true}', "true", "{", ""):
        assert ratings.met(reply) is None
