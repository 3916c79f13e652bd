"""Every setting of GenS: its kind, and its value where no file gives one (spec 2). Keys are spelt as in the paper.

Kinds: text, texts, whole, wholes, number, numbers, switch. Where a list is meant, a single value is a list of one. None
stands for "not given". A default that the paper's program does not have is that of `confs/gens.conf`.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Kind and default of one setting."""

    kind: str
    default: Any = None


_DATASET = {
    "dataset_name": Setting("text"),
    "data_dir": Setting("text"),
    "split": Setting("text"),
    "scene": Setting("texts"),
    "ref_view": Setting("wholes"),
    "src_views": Setting("wholes"),
    "num_src_view": Setting("whole", 4),
    "num_views": Setting("whole", 3),
    "light_idx": Setting("wholes"),
    "factor": Setting("number", 1.0),
    "interval_scale": Setting("number", 1.0),
    "num_interval": Setting("number", 192.0),
    "img_hw": Setting("wholes", [480, 640]),
    "n_rays": Setting("whole", 512),
    "val_res_level": Setting("whole", 1),
}

# A block that the file leaves out is None.
DATASETS = ("train_dataset", "val_dataset", "finetune_dataset")

SETTINGS: dict[str, Any] = {
    "general": {
        "base_exp_dir": Setting("text", "./outputs/gens"),
        # Ours: move an earlier run of the same folder aside instead of continuing it.
        "restart": Setting("switch", False),
    },
    **dict.fromkeys(DATASETS, _DATASET),
    "train": {
        "lr_confs": {
            "mlp_lr": Setting("number", 5e-4),
            "feat_lr": Setting("number", 1e-3),
            "vol_lr": Setting("numbers", [1e-4, 1e-3, 1e-3, 1e-2, 1e-2]),
        },
        "epochs": Setting("whole", 50),
        "anneal_end": Setting("number", 0.0),
        "warmup": Setting("number", 1.0),
        "alpha": Setting("number", 0.02),
        "save_freq": Setting("number", 1.0),
        "log_freq": Setting("number", 0.2),
        "val_freq": Setting("number", 2.0),
        "loss": {
            "color_weight": Setting("number", 1.0),
            "sparse_weight": Setting("number", 0.0),
            "sparse_scale_factor": Setting("number", 100.0),
            "igr_weight": Setting("number", 0.1),
            "mfc_weight": Setting("number", 1.0),
            "smooth_weight": Setting("number", 0.0),
            "tv_weight": Setting("number", 0.0),
            "pseudo_sdf_weight": Setting("number", 0.0),
            "pseudo_depth_weight": Setting("number", 0.0),
            "depth_weight": Setting("number", 0.0),
            "normal_weight": Setting("number", 0.0),
        },
        # Ours: the seed of everything random, processes that load data, when the state is saved besides, in minutes and
        # in steps (0: not), and where the ImageNet weights of the encoder lie.
        "seed": Setting("whole", 0),
        "num_workers": Setting("whole", 8),
        "save_minutes": Setting("number", 10.0),
        "save_iter": Setting("whole", 0),
        "imagenet_weights": Setting("text"),
    },
    "model": {
        "has_vol": Setting("switch", False),
        "feature_network": {"d_out": Setting("wholes", [4, 4, 4, 4, 4])},
        "volume": {
            "volume_dims": Setting("wholes", [256, 128, 64, 32, 16]),
            # Ours: regularise occupied voxels only.
            "sparse": Setting("switch", False),
        },
        "reg_network": {
            "d_voluem": Setting("wholes", [8, 8, 8, 8, 8]),
            "d_out": Setting("wholes", [4, 4, 4, 4, 4]),
            "d_base": Setting("whole", 8),
        },
        "implicit_surface": {
            "sdf_network": {
                "d_out": Setting("whole", 129),
                "d_in": Setting("whole", 3),
                "d_hidden": Setting("whole", 128),
                "n_layers": Setting("whole", 6),
                "skip_in": Setting("wholes", [3]),
                "multires": Setting("whole", 4),
                "bias": Setting("number", 0.5),
                "scale": Setting("number", 1.0),
                "geometric_init": Setting("switch", True),
                "weight_norm": Setting("switch", True),
                "feat_channels": Setting("whole", 20),
                "inside_outside": Setting("switch", False),
                "feat_multires": Setting("whole", 2),
            },
            "color_network": {"d_feature": Setting("whole", 20), "anti_alias_pooling": Setting("switch", True)},
            "variance_network": {"init_val": Setting("number", 0.3)},
            "render": {
                "n_samples": Setting("whole", 64),
                "n_importance": Setting("whole", 64),
                "up_sample_steps": Setting("whole", 4),
                "perturb": Setting("number", 1.0),
            },
        },
    },
}
