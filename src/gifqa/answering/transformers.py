"""Hugging Face models that read several images: SmolVLM, LLaVA, Qwen-VL and their like (extra `hf`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.base import Alternative, Reply, Turn
from gifqa.answering.messages import DESCRIBE, SHORT, Message, clean_reply, question_messages
from gifqa.errors import CheckpointError
from gifqa.extras import require
from gifqa.retrieval.clip_cut import Keyframes

_ADVICE = (
    "Give the id or folder of an image-text-to-text model with safetensors, its processor and chat template."
)


class TransformersAnswerer:
    """Any checkpoint that `AutoModelForImageTextToText` loads and whose processor has a chat template.

    Only safetensors are loaded and no code of the repository is run. Open answers are decoded greedily;
    their confidence is the geometric mean of the token probabilities, not calibrated, and there are no
    alternatives. Of options, each is scored by the log-likelihood of its tokens up to the end of the turn.
    """

    needs_pixels = True

    def __init__(self, model: str | Path, *, device: str | None = None, max_new_tokens: int = 64) -> None:
        """Load the checkpoint.

        Args:
            model: an id such as `HuggingFaceTB/SmolVLM-500M-Instruct`, or a folder.
            device: where torch runs it; None is the first GPU, or the CPU if there is none.
            max_new_tokens: tokens of an answer at most.

        Raises:
            MissingExtra: if torch or transformers are not installed (`gifqa[hf]`).
            CheckpointError: if it cannot be loaded, lacks weights or has no chat template.
        """
        self._torch = require("torch", "hf")
        transformers = require("transformers", "hf")
        self._model, self._processor = _load(transformers, str(model))
        self._device = device or ("cuda" if self._torch.cuda.is_available() else "cpu")
        half = self._device.startswith("cuda") and self._torch.cuda.is_bf16_supported()
        self._model.to(
            device=self._device, dtype=self._torch.bfloat16 if half else self._torch.float32
        ).eval()
        self._max_new_tokens = max_new_tokens
        self.name = f"hf:{model}"

    def answer(
        self,
        keyframes: Keyframes,
        question: str,
        *,
        pixels: NDArray[np.uint8] | None = None,
        options: Sequence[str] | None = None,
        history: Sequence[Turn] = (),
    ) -> Reply:
        """The answer; arguments as those of `Answerer.answer`, `pixels` required.

        Raises:
            CheckpointError: if the model writes nothing, or fails on these frames.
        """
        return self._ask(keyframes, question, pixels, options, history)

    def answer_from_text(
        self, text: str, question: str, *, options: Sequence[str] | None = None, history: Sequence[Turn] = ()
    ) -> Reply:
        """The answer without frames; arguments as those of `gifqa.answering.captions.TextAnswerer`.

        Raises:
            CheckpointError: if the model writes nothing, or fails on this text.
        """
        return self._ask(text, question, None, options, history)

    def _ask(
        self,
        shown: Keyframes | str,
        question: str,
        pixels: NDArray[np.uint8] | None,
        options: Sequence[str] | None,
        history: Sequence[Turn],
    ) -> Reply:
        if options is None:
            return self._generate(question_messages(shown, f"{question} {SHORT}", history), pixels)
        request = f"{question} Choose one of these answers: {'; '.join(options)}."
        return self._choose(question_messages(shown, request, history), pixels, options)

    def describe(self, keyframes: Keyframes, *, pixels: NDArray[np.uint8] | None = None) -> Reply:
        """A sentence about the frames; `pixels` required.

        Raises:
            CheckpointError: if the model writes nothing, or fails on these frames.
        """
        return self._generate(question_messages(keyframes, DESCRIBE), pixels)

    def _generate(self, messages: list[Message], pixels: NDArray[np.uint8] | None) -> Reply:
        inputs = self._inputs(messages, pixels, add_generation_prompt=True)
        output = self._run(
            self._model.generate,
            inputs,
            max_new_tokens=self._max_new_tokens,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
        tokens = output.sequences[0, -len(output.logits) :]
        log_probabilities = self._torch.stack([step[0] for step in output.logits]).float().log_softmax(dim=-1)
        chosen = log_probabilities.gather(1, tokens[:, None].to(log_probabilities.device))
        text = clean_reply(self._processor.decode(tokens, skip_special_tokens=True))
        if not text:
            raise CheckpointError(
                f"{self.name} answered without a word; an answer is text. Use another model."
            )
        return Reply(text=text, confidence=float(chosen.mean().exp()))

    def _choose(
        self, messages: list[Message], pixels: NDArray[np.uint8] | None, options: Sequence[str]
    ) -> Reply:
        """The likeliest option; its confidence is its share among the options."""
        prompt = self._inputs(messages, pixels, add_generation_prompt=True)["input_ids"][0]
        scores = []
        for option in options:
            told = [*messages, Message("assistant", (option,))]
            inputs = self._inputs(told, pixels, add_generation_prompt=False)
            scores.append(self._log_likelihood(inputs, prompt))
        shares = self._torch.tensor(scores, dtype=self._torch.float64).softmax(dim=0).tolist()
        ranked = sorted(zip(shares, options, strict=True), key=lambda pair: -pair[0])
        return Reply(
            text=ranked[0][1],
            confidence=ranked[0][0],
            alternatives=tuple(Alternative(option, share) for share, option in ranked[1:]),
        )

    def _log_likelihood(self, inputs: Any, prompt: Any) -> float:
        """Log-probability of what follows `prompt` in `inputs`, a sum over its tokens.

        The template itself writes the answer down, so spaces and the end of the turn are where it wants
        them; the answer begins where the two token sequences part.
        """
        tokens = inputs["input_ids"][0]
        length = min(len(tokens), len(prompt))
        differs = (tokens[:length] != prompt[:length]).nonzero()
        start = int(differs[0]) if len(differs) else length
        logits = self._run(self._model, inputs).logits[0, start - 1 : -1].float()
        chosen = logits.log_softmax(dim=-1).gather(1, tokens[start:, None])
        return float(chosen.sum())

    def _inputs(
        self, messages: list[Message], pixels: NDArray[np.uint8] | None, *, add_generation_prompt: bool
    ) -> Any:
        """The tensors of a dialogue, on the device of the model."""
        from PIL import Image

        if pixels is None and any(message.has_frames for message in messages):
            raise ValueError("pixels is None; this answerer reads the frames' pixels. Give them.")
        images = [] if pixels is None else [Image.fromarray(frame) for frame in pixels]
        conversation = [
            {
                "role": message.role,
                "content": [
                    {"type": "text", "text": part}
                    if isinstance(part, str)
                    else {"type": "image", "image": images[part]}
                    for part in message.parts
                ],
            }
            for message in messages
        ]
        try:
            inputs = self._processor.apply_chat_template(
                conversation,
                add_generation_prompt=add_generation_prompt,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.name} cannot read these frames: {_reason(error)}. {_ADVICE}"
            ) from error
        return inputs.to(self._device, dtype=self._model.dtype)

    def _run(self, method: Any, inputs: Any, **settings: Any) -> Any:
        with self._torch.inference_mode():
            try:
                return method(**inputs, **settings)
            except (ValueError, IndexError, RuntimeError) as error:
                raise CheckpointError(
                    f"{self.name} fails on these frames: {_reason(error)}. {_ADVICE}"
                ) from error


def _load(transformers: Any, model: str) -> tuple[Any, Any]:
    """The model and its processor, complete, or a CheckpointError."""
    try:
        processor = transformers.AutoProcessor.from_pretrained(model, trust_remote_code=False)
        loaded, report = transformers.AutoModelForImageTextToText.from_pretrained(
            model, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise CheckpointError(
            f"the model hf:{model} cannot be loaded: {_reason(error)}. {_ADVICE}"
        ) from error
    if getattr(processor, "chat_template", None) is None:
        raise CheckpointError(
            f"the model hf:{model} has no chat template; questions are put in one. {_ADVICE}"
        )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise CheckpointError(
            f"the model hf:{model} lacks {len(missing)} weights, {missing[0]} first; all must be in the "
            f"checkpoint. {_ADVICE}"
        )
    image_processor: Any = getattr(processor, "image_processor", None)
    if hasattr(image_processor, "do_image_splitting"):
        image_processor.do_image_splitting = (
            False  # tiles of frames this small cost time and show nothing new
        )
    return loaded, processor


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
