"""Making diffusers and transformers importable: only training with the prior needs them."""

import functools
import logging
import sys

WITHOUT_PRIOR = "or train without the prior with --guidance=none"
_LOGGER = logging.getLogger(__name__)


@functools.cache
def require_packages() -> None:
    """To be called before diffusers or transformers is imported.

    Both import torchvision wherever it is installed and fail where it does not fit the installed PyTorch. Nothing here
    needs it, so then this process does without.

    Raises:
        ImportError: They are not installed; the sentence says what to do.
    """
    try:
        import torchvision  # noqa: F401
    except Exception as error:  # a build for another PyTorch fails in many ways
        _LOGGER.debug("doing without torchvision: %s", error)
        sys.modules["torchvision"] = None  # how Python marks what is not to be had
    try:
        import diffusers
        import transformers
    except ImportError as error:
        raise ImportError(
            f"the diffusion prior needs diffusers and transformers ({error}); install them with"
            f" pip install 'polyview[diffusion]', {WITHOUT_PRIOR}"
        ) from error
    diffusers.logging.set_verbosity_error()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
