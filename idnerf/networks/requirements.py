"""What the options must say for the network to exist."""

from typing import Any

from torch import nn


def check_options(opt: Any) -> None:
    """Raise ValueError, naming the option, if the model cannot be built as asked."""
    _same(opt, "decoder.net_width", 128, "the released layers have this width")
    _same(opt, "latent_inference.latent_dim", 4, "diffusion models store pictures in 4 channels")
    _same(opt, "latent_inference.input_channel", 9, "a source is 3 colours and 6 ray numbers")
    _same(opt, "encoder.feature_upsampler", "network", "there is no other up-sampler")
    _same(opt, "nerf.view_dep", True, "the colour always depends on the direction")
    if opt.n_src_views < 2:
        raise ValueError(f"n_src_views is {opt.n_src_views}; ID-NeRF compares source views and needs at least 2")
    if len(opt.encoder.attn_splits_list) != 1 or opt.encoder.attn_splits_list[0] < 1:
        raise ValueError(f"encoder.attn_splits_list is {opt.encoder.attn_splits_list}; give exactly one number from 1")
    factor, depth = opt.encoder.upsample_factor, opt.decoder.net_depth
    if factor < 1 or factor & (factor - 1):
        raise ValueError(f"encoder.upsample_factor is {factor}; give a power of two")
    if any(not 0 <= layer < depth - 1 for layer in opt.decoder.skip):
        raise ValueError(f"decoder.skip is {opt.decoder.skip}; give layers from 0 to {depth - 2}, of {depth}")
    groups = opt.encoder.cos_n_group
    if not isinstance(groups, list | tuple) or len(groups) != 2 or any(count < 1 or 128 % count for count in groups):
        raise ValueError(f"encoder.cos_n_group is {groups}; give two divisors of 128, for the low and the high map")
    if opt.nerf.depth.param not in ("metric", "inverse"):
        raise ValueError(f"nerf.depth.param is {opt.nerf.depth.param!r}; give 'metric' or 'inverse'")
    activation = getattr(nn, opt.decoder.raytrans_act, None)
    if activation is None or "inplace" not in getattr(activation, "__constants__", []):
        raise ValueError(
            f"decoder.raytrans_act is {opt.decoder.raytrans_act!r}; give an activation of torch.nn that works in "
            f"place, such as ReLU, ELU or LeakyReLU"
        )


def _same(opt: Any, name: str, wanted: Any, reason: str) -> None:
    value = opt
    for part in name.split("."):
        value = getattr(value, part)
    if value != wanted:
        raise ValueError(f"{name} is {value!r} and must be {wanted!r}: {reason}")
