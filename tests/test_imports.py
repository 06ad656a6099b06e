"""What is loaded when: importing gifqa and starting its program stay cheap, and the core needs no extra."""

import ast
import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import gifqa

HEAVY = {
    "torch",
    "transformers",
    "faiss",
    "onnxruntime",
    "spacy",
    "PIL",
    "av",
    "numpy",
    "pyarrow",
    "tokenizers",
}
EXTRAS = {
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "safetensors",
    "gguf",
    "sentencepiece",
    "onnx",
    "onnxscript",
    "onnxruntime_genai",
    "onnx_ir",
    "efficientnet_lite_pytorch",
    "matplotlib",
    "tensorboard",
    "wandb",
    "spacy",
    "pyarrow",
    "ray",
    "sacrebleu",
    "rouge_score",
    "nltk",
}
PACKAGE = Path(gifqa.__file__).parent
MODULES = sorted(module.name for module in pkgutil.walk_packages([str(PACKAGE)], "gifqa."))


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "statement", ["import gifqa", "import gifqa; gifqa.MediaError", "import gifqa.cli.main"]
)
def test_the_package_loads_nothing_heavy(statement):
    loaded = run_python(f"{statement}\nimport sys; print(sorted({HEAVY!r} & set(sys.modules)))")

    assert loaded == "[]\n"


def test_every_public_name_is_there_and_documented():
    for name in gifqa.__all__:
        value = getattr(gifqa, name)
        assert name == "__version__" or value.__doc__
    assert set(gifqa.__all__) <= set(dir(gifqa))


def test_names_of_the_package_are_those_of_their_modules():
    from gifqa.answering.base import Answer
    from gifqa.pipeline import GifQA

    assert gifqa.Answer is Answer and gifqa.GifQA is GifQA


def test_an_unknown_name_is_an_attribute_error_that_lists_the_names():
    with pytest.raises(
        AttributeError, match=r"module 'gifqa' has no attribute 'Gifqa'; its names are .*GifQA"
    ):
        _ = gifqa.Gifqa


def test_every_module_loads_without_the_extras_or_names_its_extra():
    """In one process where importing any package of an extra fails.

    The rooms of the torch model are the exception: they are made of torch, and who comes to them has it.
    """
    code = f"""
import importlib, sys
for name in {sorted(EXTRAS)!r}:
    sys.modules[name] = None
from gifqa.errors import MissingExtra
for name in {[name for name in MODULES if name != "gifqa.__main__"]!r}:
    try:
        importlib.import_module(name)
    except MissingExtra as error:
        if 'pip install "gifqa[' not in str(error):
            print(name, error)
    except ImportError as error:
        if not name.startswith(("gifqa.model.", "gifqa.training.")):
            print(name, error)
"""
    assert run_python(code) == ""


def test_every_module_has_a_docstring():
    for name in MODULES:
        if name == "gifqa.__main__":
            continue
        source = importlib.util.find_spec(name).origin
        assert ast.get_docstring(ast.parse(Path(source).read_text(encoding="utf-8"))), name
