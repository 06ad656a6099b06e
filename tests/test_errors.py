import pytest

from gifqa import errors


def error_classes():
    return [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_every_error_is_a_gifqa_error_with_a_docstring(error):
    assert issubclass(error, errors.GifQAError)
    assert error.__doc__


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_the_tree_in_the_module_docstring_names_every_error(error):
    assert error.__name__ in errors.__doc__


@pytest.mark.parametrize("name", ["UnsupportedMedia", "MediaTooLarge", "UnreadableMedia"])
def test_media_errors_can_be_caught_together(name):
    assert issubclass(getattr(errors, name), errors.MediaError)


def test_missing_extra_is_an_import_error():
    """Code that guards an optional import with `except ImportError` must keep working."""
    assert issubclass(errors.MissingExtra, ImportError)


def test_the_message_is_all_that_is_printed():
    assert str(errors.MediaTooLarge("cat.gif is too large.")) == "cat.gif is too large."
