"""Optional imports: asked for where they are used, with an error that says how to install them."""

import importlib
from types import ModuleType

from gifqa.errors import MissingExtra


def require(module: str, extra: str) -> ModuleType:
    """The imported module, or an error that names the extra which brings it.

    Args:
        module: dotted name, for example `"transformers"`.
        extra: the extra of gifqa that installs it, for example `"hf"`.

    Returns:
        The module.

    Raises:
        MissingExtra: if it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} cannot be imported ({error}); it comes with the extra {extra!r}. "
            f'Install it: pip install "gifqa[{extra}]"'
        ) from error
