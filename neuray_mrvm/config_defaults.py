"""Every setting of NeuRay + MRVM and its value where no file gives one. Keys are spelt as in the paper's files.

The kind of a setting is that of its default; a default of None is listed in `KIND_WITHOUT_DEFAULT`.
"""

from typing import Any

# Defaults that are None: an example of what may be given instead.
KIND_WITHOUT_DEFAULT: dict[str, Any] = {"ft_load_path": "", "gen_cfg": "", "database_name": ""}

TRAINER: dict[str, Any] = {
    "name": "",
    "network": "",
    "loss": [],
    "val_metric": [],
    "key_metric_name": "psnr_nr_fine",
    "optimizer_type": "adam",
    "multi_gpus": False,
    "lr_type": "exp_decay",
    "total_step": 300000,
    "train_log_step": 20,
    "val_interval": 10000,
    "save_interval": 500,
    "extra_save_interval": 50000,
    "worker_num": 4,
    "eval_margin_ratio": 1.0,
    "train_dataset_type": "gen",
    # Written by the program from its flags.
    "stage": "ft",
    "ft_load_path": None,
    "mask_ratio": 0.0,
    "stage_two_begin": 1,
    "stage_two_warmup": 3,
    # Ours: from which everything random follows, and minutes between two savings besides `save_interval` (0: none).
    "seed": 0,
    "save_minutes": 10.0,
}

LOSSES: dict[str, Any] = {
    "lambda_rgb": 1.0,
    "lambda_consist": 1.0,
    "lambda_depth": 1.0,
    "lambda_feat": 0.0,
    "use_ray_mask": True,
    "use_nr_fine_loss": False,
    "use_dr_loss": False,
    "use_dr_fine_loss": False,
    "depth_correct_thresh": 0.02,
    "depth_loss_type": "l2",
    "depth_loss_l1_beta": 0.05,
    "depth_correct_ratio": 1.0,  # in a shipped file, read by nobody
}

NETWORK: dict[str, Any] = {
    "vis_encoder_type": "default",
    "dist_decoder_type": "mixture_logistics",
    "agg_net_type": "default",
    "use_hierarchical_sampling": False,
    "depth_sample_num": 64,
    "fine_depth_sample_num": 32,
    "fine_depth_use_all": True,
    "ray_batch_num": 4096,
    "alpha_value_ground_state": -15.0,
    "use_dr_prediction": False,
    "use_nr_color_for_dr": False,
    "use_self_hit_prob": False,
    "ray_mask_view_num": 2,
    "ray_mask_point_num": 8,
    "render_depth": False,
    "projection_size": 16,
    "predictor_hidden_size": 16,
    "gamma": 0.99,
}

GENERALIZATION: dict[str, Any] = {
    "init_net_type": "depth",
    "use_depth_loss": False,
    "depth_loss_coords_num": 8192,
}

FINE_TUNING: dict[str, Any] = {
    "database_name": None,
    "database_split": "val_all",
    "ref_pad_interval": 16,
    "use_consistent_depth_range": True,
    "gen_cfg": None,
    "use_validation": True,
    "validate_initialization": True,
    "init_view_num": 8,
    "init_src_view_num": 3,
    "include_self_prob": 0.01,
    "neighbor_view_num": 8,
    "neighbor_pool_ratio": 2,
    "train_ray_num": 512,
    "foreground_ratio": 0.5,
    "ray_feats_res": [200, 200],
    "ray_feats_dim": 32,
}

_DIST_DECODER = {"feats_dim": 32, "bias_val": 0.05, "use_vis": False}
_AGG_NET = {"sample_num": 64, "neuray_dim": 32, "use_img_feats": False}

# Sections whose missing entries are filled in one by one.
SECTIONS: dict[str, dict[str, Any]] = {
    "vis_encoder_cfg": {},
    "dist_decoder_cfg": _DIST_DECODER,
    "fine_dist_decoder_cfg": _DIST_DECODER,
    "agg_net_cfg": _AGG_NET,
    "fine_agg_net_cfg": _AGG_NET,
    "init_net_cfg": {"cost_volume_sn": 64},
}

# Replaced as a whole: what the file leaves out of it is absent.
LR_CFG: dict[str, Any] = {"lr_init": 1e-4, "decay_step": 100000, "decay_rate": 0.5}
LR_CFG_KEYS: dict[str, Any] = {**LR_CFG, "lr_warm": 1e-5, "warm_step": 1000}

# `train_dataset_cfg` and the `cfg` of validation sets of type gen.
GEN_DATASET: dict[str, Any] = {
    "train_database_types": ["dtu_train", "space", "real_iconic", "real_estate", "gso"],
    "type2sample_weights": {"gso": 20, "dtu_train": 20, "real_iconic": 20, "space": 10, "real_estate": 10},
    "val_database_name": "nerf_synthetic/lego/black_800",
    "val_database_split_type": "val",
    "min_wn": 8,
    "max_wn": 9,
    "ref_pad_interval": 16,
    "train_ray_num": 512,
    "foreground_ratio": 0.5,
    "resolution_type": "hr",
    "use_consistent_depth_range": True,
    "use_depth_loss_for_all": False,
    "use_depth": True,
    "use_src_imgs": False,
    "cost_volume_nn_num": 3,
    "aug_gso_shrink_range_prob": 0.5,
    "aug_depth_range_prob": 0.05,
    "aug_depth_range_min": 0.95,
    "aug_depth_range_max": 1.05,
    "aug_use_depth_offset": True,
    "aug_depth_offset_prob": 0.25,
    "aug_depth_offset_region_min": 0.05,
    "aug_depth_offset_region_max": 0.1,
    "aug_depth_offset_min": 0.5,
    "aug_depth_offset_max": 1.0,
    "aug_depth_offset_local": 0.1,
    "aug_use_depth_small_offset": True,
    "aug_depth_small_offset_prob": 0.5,
    "aug_use_global_noise": True,
    "aug_global_noise_prob": 0.5,
    "aug_forward_crop_size": [400, 600],
    "aug_pixel_center_sample": False,
    "aug_view_select_type": "easy",
    "use_consistent_min_max": False,
    "revise_depth_range": False,  # read by nobody
}

# The same of type ft.
FT_DATASET: dict[str, Any] = {"database_name": "", "database_split": "val_all"}

# What rendering takes from `train_dataset_cfg` where the file gives it.
RENDERING: dict[str, Any] = {
    "min_wn": 8,
    "ref_pad_interval": 16,
    "use_src_imgs": False,
    "cost_volume_nn_num": 3,
    "use_depth": False,
}

CHOICES: dict[str, tuple[str, ...]] = {
    "network": ("neuray_gen", "neuray_ft"),
    "train_dataset_type": ("gen", "ft"),
    "optimizer_type": ("adam", "sgd"),
    "lr_type": ("exp_decay", "exp_decay_ray_feats", "warm_up_exp_decay"),
    "init_net_type": ("depth", "cost_volume"),
    "depth_loss_type": ("l2", "smooth_l1"),
    "resolution_type": ("hr", "lr"),
    "aug_view_select_type": ("easy", "default"),
    "stage": ("pretrain", "ft", "eval"),
    "loss": ("render", "depth", "feat", "consist"),
    "val_metric": ("psnr_ssim", "vis_img", "render", "depth", "feat", "consist"),
    "database_split": ("val", "val_all", "test", "test_all"),
    "val_database_split_type": ("val", "val_all", "test", "test_all"),
}
