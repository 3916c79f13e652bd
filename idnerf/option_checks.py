"""Values that would fail later, far from the option they come from: one sentence each."""

from collections.abc import Sequence

from common.settings import Config, nearest_name
from idnerf.networks.requirements import check_options as check_network

_CHOICES = {
    "model": ("idnerf",),
    "guidance": ("diffusion", "none"),
    "parity.base": ("ours", "released"),
}
_DATA_CHOICES = {
    "test_views_method": ("nearest", "fixed"),
    "nf_mode": ("avg", "minmax"),
    "eval_mode": ("mvsnerf", "gpnr"),
    "render_path_mode": (None, "interpolate", "spiral"),
    "view_lists": ("paper", "folder"),
}
_AT_LEAST = {
    "max_epoch": 1,
    "decoder.net_depth": 1,
    "nerf.sample_intvs": 2,  # depths divide the range by their number less one
    "nerf.rand_rays_train": 1,
    "encoder.num_transformer_layers": 1,
    "encoder.feature_sample_local_dilation": 1,
    "encoder.feature_sample_local_radius": 0,
    "freq.scalar": 1,
    "freq.log_ep": 1,
    "freq.ckpt_ep": 1,
}


def check_options(opt: Config) -> None:
    """Refuse what ID-NeRF cannot work with.

    Raises:
        ValueError: One option is out of its range; the sentence says which, what it may be and why.
    """
    for name, choices in _CHOICES.items():
        _check_choice(name, _value(opt, name), choices)
    if opt.batch_size != 1:
        raise ValueError(
            f"batch_size must be 1, got {opt.batch_size}: an item is a whole set of views; start several processes with"
            " torchrun for larger batches"
        )
    for name, least in _AT_LEAST.items():
        if _value(opt, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {_value(opt, name)}")
    check_network(opt)
    if len(opt.t_range) != 2 or not 0 <= opt.t_range[0] <= opt.t_range[1] <= 1:
        raise ValueError(f"t_range must be two fractions of the time steps, first the smaller, got {opt.t_range}")
    if opt.loss_weight.render is None:
        raise ValueError("loss_weight.render is null, so there is no loss; give it a weight such as 1")
    for name, section in [("data_train", opt.data_train), ("data_val", opt.data_val)]:
        if section is not None:
            _check_choice(f"{name}.dataset_name", section.dataset_name, ("dtu",))
            _check_data(name, section, opt.encoder.attn_splits_list[0])
    for name, section in opt.data_test.items():
        if section is not None:
            _check_choice(f"data_test.{name}.dataset_name", section.dataset_name, (name,))
            _check_data(f"data_test.{name}", section, opt.encoder.attn_splits_list[0])


def _check_data(name: str, section: Config, splits: int) -> None:
    if not section.root_dir:
        raise ValueError(f"{name}.root_dir is not given; name the folder of the data with --{name}.root_dir=FOLDER")
    for key, choices in _DATA_CHOICES.items():
        _check_choice(f"{name}.{key}", section[key], choices)
    multiple = 32 if section.dataset_name == "dtu" else 8 * splits
    for key in ("img_wh", "camera_wh"):
        size = section[key]
        if (size is not None or key == "img_wh") and (size is None or len(size) != 2 or min(size) < 1):
            got = "is not given" if size is None else f"is {size}"
            raise ValueError(f"{name}.{key} {got}; give width and height, such as --{name}.{key}=640,512")
    # The encoder brings pictures of exactly 1008 x 756 to a size that it can divide (spec 4.2).
    if any(number % multiple for number in section.img_wh) and section.img_wh != [1008, 756]:
        raise ValueError(f"{name}.img_wh must be multiples of {multiple}, got {section.img_wh}")
    if section.n_add_train_views < 0:
        raise ValueError(f"{name}.n_add_train_views must be at least 0, got {section.n_add_train_views}")
    if any(not 0 <= light <= 6 for light in section.lights or ()):
        raise ValueError(f"{name}.lights must be DTU's lights, 0 to 6, got {section.lights}")


def _check_choice(name: str, value: str | None, choices: Sequence[str | None]) -> None:
    if value not in choices:
        known = [choice for choice in choices if choice is not None]
        near = nearest_name(str(value), known)
        hint = f"; did you mean {near!r}?" if near and len(known) > 1 else ""
        raise ValueError(f"{name.removesuffix('.base')} must be {' or '.join(known)}, got {value!r}{hint}")


def _value(opt: Config, name: str) -> object:
    for key in name.split("."):
        opt = opt[key]
    return opt
