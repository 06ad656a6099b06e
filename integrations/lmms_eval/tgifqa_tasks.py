"""TGIF-QA for lmms-eval: questions, frames and metrics, by gifqa's own rules.

    pip install lmms-eval "gifqa[eval]"
    lmms_eval --model qwen2_5_vl --include_path integrations/lmms_eval --tasks tgifqa_frameqa,tgifqa_count ...

The model gets `num_frames` frames of the GIF, evenly spread and decoded with their true disposal, as images:
most readers of the harness see only the first frame of a GIF. The scores are those of `gifqa evaluate`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from gifqa.evaluation.answers import choose_option, count_matches, exact_match, squared_errors
from gifqa.evaluation.questions import MediaFolder
from gifqa.frames import decode_frames
from gifqa.media import load_media

Doc = Mapping[str, Any]
_LETTERS = "ABCDE"
_OPTIONS = ("a1", "a2", "a3", "a4", "a5")
_FOLDERS: dict[str, MediaFolder] = {}


def doc_to_visual(doc: Doc, lmms_eval_specific_kwargs: Mapping[str, Any]) -> list[Image.Image]:
    """Frames of the GIF, evenly spread, in time order.

    Raises:
        FileNotFoundError: if the GIF is not in `gif_folder`; many of TGIF's are gone from the web.
    """
    root = str(lmms_eval_specific_kwargs["gif_folder"])
    folder = _FOLDERS.setdefault(root, MediaFolder(Path(root)))
    path = folder.find((str(doc["gif_name"]), str(doc["key"])))
    if path is None:
        raise FileNotFoundError(
            f"{doc['gif_name']}.gif is not in {root}; every GIF of the task is needed. Download it, or take "
            "its rows out of the annotations."
        )
    media = load_media(path)
    num_frames = decode_frames(media, indices=[0]).num_frames
    wanted = min(int(lmms_eval_specific_kwargs["num_frames"]), num_frames)
    indices = sorted({round((place + 0.5) * num_frames / wanted - 0.5) for place in range(wanted)})
    return [Image.fromarray(pixels) for pixels in decode_frames(media, indices=indices).pixels]


def _prompt(text: str, lmms_eval_specific_kwargs: Mapping[str, Any]) -> str:
    return f"{lmms_eval_specific_kwargs['pre_prompt']}{text}{lmms_eval_specific_kwargs['post_prompt']}"


def frameqa_to_text(doc: Doc, lmms_eval_specific_kwargs: Mapping[str, Any]) -> str:
    """The question with the request for one word, as all answers are one."""
    text = f"{str(doc['question']).strip()}\nAnswer the question using a single word."
    return _prompt(text, lmms_eval_specific_kwargs)


def frameqa_to_target(doc: Doc) -> str:
    """The right word."""
    return str(doc["answer"])


def frameqa_results(doc: Doc, results: list[str]) -> dict[str, float]:
    """1 where the answer is the right word after lower-casing, without a full stop at its end."""
    return {"accuracy": float(exact_match([results[0].strip().rstrip(".")], [str(doc["answer"])])[0])}


def choice_to_text(doc: Doc, lmms_eval_specific_kwargs: Mapping[str, Any]) -> str:
    """The question with five lettered options."""
    options = "\n".join(f"{letter}. {doc[name]}" for letter, name in zip(_LETTERS, _OPTIONS, strict=True))
    ending = "Answer with the option's letter from the given choices directly."
    return _prompt(f"{str(doc['question']).strip()}\n{options}\n{ending}", lmms_eval_specific_kwargs)


def choice_to_target(doc: Doc) -> str:
    """The letter of the right option."""
    return _LETTERS[int(doc["answer"])]


def choice_results(doc: Doc, results: list[str]) -> dict[str, float]:
    """1 where the answer names the right option, by letter or by its words."""
    options = [str(doc[name]) for name in _OPTIONS]
    chosen = choose_option(results[0], options)
    return {"accuracy": float(chosen is not None and options[chosen] == options[int(doc["answer"])])}


def count_to_text(doc: Doc, lmms_eval_specific_kwargs: Mapping[str, Any]) -> str:
    """The question with the request for a number."""
    text = f"{str(doc['question']).strip()}\nAnswer with a whole number from 0 to 10."
    return _prompt(text, lmms_eval_specific_kwargs)


def count_to_target(doc: Doc) -> str:
    """The right number."""
    return str(doc["answer"])


def count_results(doc: Doc, results: list[str]) -> dict[str, float]:
    """Squared error, an answer without a number counting as 0, and whether the number is right."""
    given, wanted = [results[0]], [str(doc["answer"])]
    return {
        "mse": float(squared_errors(given, wanted)[0]),
        "accuracy": float(count_matches(given, wanted)[0]),
    }
