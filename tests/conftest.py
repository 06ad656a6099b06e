"""Fixtures for every room: drawn GIFs whose right answer is known, and stand-ins for the models.

    make_gif("red green blue".split(), 100)   a GIF file of one plain colour a frame, exact delays
    raw_gif([RawFrame(...)], ...)             the bytes of a GIF written block by block, hostile ones included
    colour_embedder                           a DualEncoder that sees mean colours and reads colour words
    fake_answerer                             an Answerer that names the colour of the best keyframe
    tiny_backbone, make_language_model,       random models of a few thousand weights, and tokenizers, for the
    make_word_tokenizer, make_bpe_tokenizer   torch side

The GIFs are written here byte by byte, not with the library that reads them: frames of equal colour stay
separate frames, delays are what the test says, and anything a damaged file can hold can be written.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
Colour = str | tuple[int, int, int]


def as_rgb(colour: Colour) -> tuple[int, int, int]:
    return COLOURS[colour] if isinstance(colour, str) else colour


@dataclass
class RawFrame:
    """One image of a GIF: palette indices (H, W) at (left, top), and its graphic control block."""

    indices: np.ndarray
    left: int = 0
    top: int = 0
    delay_cs: int | None = 10  # None: no graphic control block at all
    disposal: int = 0
    transparent: int | None = None
    palette: Sequence[Colour] | None = None
    interlaced: bool = False
    image_data: bytes | None = None  # replaces the compressed indices: minimum code size, blocks, terminator


def sub_blocks(data: bytes) -> bytes:
    pieces = (data[start : start + 255] for start in range(0, len(data), 255))
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\x00"


def compress_indices(indices: np.ndarray) -> bytes:
    """Valid LZW data that never grows its code size: a clear code before the table is full."""
    min_code_size, clear, end, width, run = 8, 256, 257, 9, 250
    values = np.asarray(indices, np.int64).ravel()
    runs = [values[start : start + run] for start in range(0, len(values), run)]
    codes = np.concatenate([np.concatenate([[clear], run_values]) for run_values in runs] + [[end]])
    bits = ((codes[:, None] >> np.arange(width)) & 1).astype(np.uint8).ravel()
    return bytes([min_code_size]) + sub_blocks(np.packbits(bits, bitorder="little").tobytes())


def palette_block(palette: Sequence[Colour]) -> tuple[int, bytes]:
    """The size field and the bytes of a colour table, padded with black to a power of two."""
    size = max(1, (len(palette) - 1).bit_length())
    colours = [as_rgb(colour) for colour in palette] + [(0, 0, 0)] * (2**size - len(palette))
    return size - 1, bytes(value for colour in colours for value in colour)


def frame_block(frame: RawFrame) -> bytes:
    height, width = frame.indices.shape
    out = b""
    if frame.delay_cs is not None:
        packed = frame.disposal << 2 | (frame.transparent is not None)
        out += b"!\xf9\x04" + struct.pack("<BHB", packed, frame.delay_cs, frame.transparent or 0) + b"\x00"
    flags, table = 0x40 * frame.interlaced, b""
    if frame.palette is not None:
        size_field, table = palette_block(frame.palette)
        flags |= 0x80 | size_field
    out += b"," + struct.pack("<HHHHB", frame.left, frame.top, width, height, flags) + table
    rows = frame.indices
    if frame.interlaced:
        rows = np.concatenate([rows[0::8], rows[4::8], rows[2::4], rows[1::2]])
    return out + (frame.image_data if frame.image_data is not None else compress_indices(rows))


def write_raw_gif(
    frames: Sequence[RawFrame],
    *,
    screen: tuple[int, int] | None = None,
    palette: Sequence[Colour] | None = tuple(COLOURS),
    background: int = 0,
    extra: bytes = b"",
    trailer: bytes = b";",
) -> bytes:
    """The bytes of a GIF; `screen` is (width, height), by default the first frame's; `extra` stands first."""
    width, height = screen or (frames[0].indices.shape[1], frames[0].indices.shape[0])
    size_field, table = palette_block(palette) if palette is not None else (0, b"")
    flags = 0x80 | size_field if palette is not None else 0
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, flags, background, 0) + table
    return head + extra + b"".join(map(frame_block, frames)) + trailer


def plain_frame(index: int | np.ndarray, size: tuple[int, int] = (8, 6), **fields: Any) -> RawFrame:
    """A frame of one palette index and of `size` (width, height), or of the given indices (H, W)."""
    indices = index if isinstance(index, np.ndarray) else np.full((size[1], size[0]), index, np.uint8)
    return RawFrame(indices, **fields)


@pytest.fixture
def raw_gif() -> Callable[..., bytes]:
    """`raw_gif(frames, screen=, palette=, extra=, trailer=) -> bytes`; frames are `RawFrame`s."""
    return write_raw_gif


@pytest.fixture
def raw_frame() -> Callable[..., RawFrame]:
    """`raw_frame(index, (width, height), left=, top=, delay_cs=, ...)`: a frame of one palette index.

    The indices of the default palette are those of `COLOURS`: 0 red, 1 green, 2 blue, 3 yellow, ...
    """
    return plain_frame


@pytest.fixture
def make_gif(tmp_path: Path) -> Callable[..., Path]:
    """`make_gif(colours, durations_ms=100, size=(32, 24), name="clip.gif") -> Path`: one colour a frame.

    `colours` are names of `COLOURS` or RGB triples (at most 256 different ones), `durations_ms` one number or
    one for each frame (multiples of ten: GIF counts in centiseconds).
    """

    def make(
        colours: Sequence[Colour],
        durations_ms: float | Sequence[float] = 100,
        *,
        size: tuple[int, int] = (32, 24),
        name: str = "clip.gif",
    ) -> Path:
        rgb = [as_rgb(colour) for colour in colours]
        durations = durations_ms if isinstance(durations_ms, Sequence) else [durations_ms] * len(rgb)
        palette = sorted(set(rgb))
        frames = [
            plain_frame(palette.index(colour), size, delay_cs=round(duration / 10))
            for colour, duration in zip(rgb, durations, strict=True)
        ]
        path = tmp_path / name
        path.write_bytes(write_raw_gif(frames, palette=palette))
        return path

    return make


def unit_rows(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class ColourEmbedder:
    """A `DualEncoder` whose space is colour: retrieval can be tested with the right keyframe known.

    A frame becomes its mean colour, a text the sum of the colour words in it; a fourth, constant component
    keeps black and texts without a colour word away from the zero vector. The grid of a frame is the mean
    colour of its four quadrants, (N, 4, 3).
    """

    name: str = "colour-embedder 1"
    num_frames_encoded: int = 0  # so that a test can see what a cache saved
    num_texts_encoded: int = 0
    with_grid: bool = True

    def encode_frames(self, pixels: np.ndarray) -> Any:
        from gifqa.retrieval.embedder import FrameFeatures

        assert pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.shape[-1] == 3
        self.num_frames_encoded += len(pixels)
        scaled = pixels.astype(np.float32) / 255
        mean = scaled.mean(axis=(1, 2))
        middle_row, middle_column = max(1, pixels.shape[1] // 2), max(1, pixels.shape[2] // 2)
        quadrants = [
            scaled[:, rows, columns].mean(axis=(1, 2)) if scaled[:, rows, columns].size else mean
            for rows in (slice(None, middle_row), slice(middle_row, None))
            for columns in (slice(None, middle_column), slice(middle_column, None))
        ]
        grid = np.stack(quadrants, axis=1).astype(np.float16) if self.with_grid else None
        constant = np.full((len(mean), 1), 0.1, np.float32)
        return FrameFeatures(embeddings=unit_rows(np.concatenate([mean, constant], axis=1)), grid=grid)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.num_texts_encoded += len(texts)
        rows = np.zeros((len(texts), 4), np.float32)
        rows[:, 3] = 0.1
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"[a-z]+", text.lower()):
                if word in COLOURS:
                    row[:3] += np.array(COLOURS[word], np.float32) / 255
        return unit_rows(rows)


@pytest.fixture
def colour_embedder() -> ColourEmbedder:
    return ColourEmbedder()


@dataclass
class FakeAnswerer:
    """An `Answerer` that names the colour of the best-scoring keyframe, or the option that does.

    It reads `pixels` when it is given them, else the grid; `calls` keeps what it was asked.
    """

    name: str = "fake 1.0"
    needs_pixels: bool = False
    calls: list[dict[str, Any]] = field(default_factory=list)

    def answer(
        self,
        keyframes: Any,
        question: str,
        *,
        pixels: np.ndarray | None = None,
        options: Sequence[str] | None = None,
        history: Sequence[Any] = (),
    ) -> Any:
        from gifqa.answering.base import Alternative, Reply

        self.calls.append(
            {"question": question, "options": options, "history": tuple(history), "pixels": pixels}
        )
        colour = self.colour_of(keyframes, pixels)
        choices = list(options) if options else list(COLOURS)
        ranked = sorted(choices, key=lambda choice: choice != colour)
        shares = [0.75] + [0.25 / max(1, len(ranked) - 1)] * (len(ranked) - 1)
        alternatives = tuple(Alternative(*pair) for pair in zip(ranked, shares, strict=True))
        return Reply(text=ranked[0], confidence=0.75, alternatives=alternatives)

    def answer_from_text(
        self, text: str, question: str, *, options: Sequence[str] | None = None, history: Sequence[Any] = ()
    ) -> Any:
        """Names the colour that is named first in the text."""
        from gifqa.answering.base import Reply

        self.calls.append({"text": text, "question": question, "options": options, "history": tuple(history)})
        named = [word for word in re.findall(r"[a-z]+", text.lower()) if word in COLOURS]
        return Reply(text=(named or ["nothing"])[0], confidence=0.5)

    def describe(self, keyframes: Any, *, pixels: np.ndarray | None = None) -> Any:
        from gifqa.answering.base import Reply

        self.calls.append({"describe": True, "pixels": pixels})
        return Reply(text=f"a {self.colour_of(keyframes, pixels)} screen", confidence=None, alternatives=())

    def colour_of(self, keyframes: Any, pixels: np.ndarray | None) -> str:
        best = int(np.argmax(keyframes.scores))
        if pixels is not None:
            mean = np.asarray(pixels[best], np.float32).mean(axis=(0, 1))
        else:
            mean = np.asarray(keyframes.grid[best], np.float32).mean(axis=0) * 255
        return min(COLOURS, key=lambda name: float(np.abs(np.array(COLOURS[name]) - mean).sum()))


@pytest.fixture
def fake_answerer() -> FakeAnswerer:
    return FakeAnswerer()


@pytest.fixture(autouse=True)
def private_cache_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or fills the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("gifqa-cache")
        patch.setenv("GIFQA_CACHE_DIR", str(directory))
        yield directory


@pytest.fixture
def tiny_backbone() -> Callable[[int], Any]:
    """`tiny_backbone(head_channels)`: random layers with the parts and sizes that the vision tower reads."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Backbone(nn.Module):
        def __init__(self, head_channels: int) -> None:
            super().__init__()
            self._conv_stem = nn.Conv2d(3, 8, 3, stride=8)  # 260 -> 33
            self._bn0, self._bn1, self._swish = nn.Identity(), nn.Identity(), nn.ReLU6()
            blocks = [nn.Conv2d(8, 48, 1), *(nn.Identity() for _ in range(6))]
            blocks += [nn.Conv2d(48, 120, 1, stride=4), *(nn.Identity() for _ in range(7))]  # 33 -> 9
            self._blocks = nn.ModuleList(blocks)
            self._conv_head = nn.Conv2d(120, head_channels, 1)

    def make(head_channels: int) -> Any:
        torch.manual_seed(5)
        return Backbone(head_channels)

    return make


@pytest.fixture
def make_language_model() -> Callable[[int], Any]:
    """`make_language_model(vocabulary_size)`: a random Llama of width 32 with two layers; 2 ends a text."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(vocabulary_size: int) -> Any:
        torch.manual_seed(3)
        config = transformers.LlamaConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=vocabulary_size, tie_word_embeddings=True, eos_token_id=2,
            bos_token_id=1, pad_token_id=0, initializer_range=0.3,
        )  # fmt: skip
        return transformers.LlamaForCausalLM(config).eval()

    return make


@pytest.fixture
def make_word_tokenizer() -> Callable[[Sequence[str]], Any]:
    """`make_word_tokenizer(texts)`: a tokenizer that knows every word of the texts; 2 ends a text."""
    tokenizers = pytest.importorskip("tokenizers")

    def make(texts: Sequence[str]) -> Any:
        words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text)})
        vocabulary = {word: index for index, word in enumerate(["<pad>", "<unk>", "<eos>", *words])}
        tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        return tokenizer

    return make


@pytest.fixture
def make_bpe_tokenizer() -> Callable[[Sequence[str], int], Any]:
    """`make_bpe_tokenizer(texts, size)`: a byte-level BPE of the texts; its first tokens are special."""
    tokenizers = pytest.importorskip("tokenizers")

    def make(texts: Sequence[str], size: int) -> Any:
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=["<pad>", "<start>", "<end>"],
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer

    return make
