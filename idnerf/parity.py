"""Where the released ID-NeRF behaves differently from what its paper describes, as switches.

    released_optimizer      the latent network is never optimised, so the prior guides nothing
    released_guidance_sum   the prior's gradient belongs to a sum over the latent's values, so that it is thousands of
                            times the colours' (ours: to their mean, as the loss of the colours is a mean)
    released_ray_pictures   ray pictures are built from world-to-camera OpenCV matrices, with the formula for
                            camera-to-world OpenGL ones, in the world of the data set (ours: in the first source's
                            frame, so that the world does not matter)
    released_tokens         the tokens of the refinement interleave the channels of all views and the latent
    released_window         features are averaged over 3 x 3 positions whose spacing and place are slightly off,
                            whatever `encoder.feature_sample_local_radius` says
    released_video_latent   every frame of a video uses the latent of the target view

Names and shapes of the weights are the same either way; weights suit the behaviour they were trained with.
"""

from typing import Any


def is_released(opt: Any, switch: str) -> bool:
    """Whether the options ask for this released behaviour; a switch that is None follows `parity.base`."""
    value = getattr(opt.parity, switch)
    return opt.parity.base == "released" if value is None else value
