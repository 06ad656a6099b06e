import json

import pytest

from gifqa.errors import GifQAError, MissingExtra
from gifqa.extras import require


def test_gives_the_module():
    assert require("json", "hf") is json


def test_names_the_module_and_the_command_that_installs_it():
    with pytest.raises(MissingExtra, match=r"not_installed_anywhere .*pip install \"gifqa\[hf\]\""):
        require("not_installed_anywhere", "hf")


def test_is_caught_as_import_error_and_as_gifqa_error():
    for kind in (ImportError, GifQAError):
        with pytest.raises(kind):
            require("not_installed_anywhere", "train")


def test_keeps_the_cause():
    with pytest.raises(MissingExtra) as caught:
        require("json.not_there", "eval")
    assert isinstance(caught.value.__cause__, ImportError)
