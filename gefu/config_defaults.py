"""The settings there are, with what they are when no file says otherwise; only keys that something reads.

`UNREAD` lists keys that the paper's files carry and that decide nothing; they are accepted without a word.
"""

from typing import Any

_DATASET = {
    "data_root": "",
    "ann_file": "",  # file with one scan per line; empty: every scan of the data set that is on disk
    "split": "train",
    "scene": "",  # this scene only
    "input_h_w": [],  # images are resized to this; empty: as stored
    "cache_megabytes": 0,  # decoded images kept in memory by each data process
}
DEFAULTS: dict[str, Any] = {
    "task": "hello",
    "exp_name": "gitbranch_hello",
    "exp_name_tag": "",
    "save_tag": "default",
    "workspace": ".",
    "trained_model_dir": "./trained_model",
    "record_dir": "./record",
    "result_dir": "./result",
    "gpus": [0, 1, 2, 3],
    "distributed": False,
    "resume": True,
    "pretrain": "",
    "fix_random": False,
    "train_dataset_module": "lib.datasets.dtu.gefu",
    "test_dataset_module": "lib.datasets.dtu.gefu",
    "ep_iter": -1,  # iterations per epoch; -1: once through the data
    "save_ep": 1,
    "save_latest_ep": 1,
    "save_minutes": 5.0,  # latest.pth is also written this often within an epoch; 0: never
    "save_iter": 0,  # and after every so many iterations; 0: never
    "eval_ep": 1,
    "log_interval": 20,
    "skip_eval": False,
    "save_result": False,
    "eval_lpips": True,
    "save_video": False,
    "save_ply": False,
    "gefu": {
        "train_input_views": [2, 3, 4],  # element 1 plus one is the number of candidate sources in training
        "test_input_views": 3,
        "viewdir_agg": True,
        "white_bkgd": False,
        "eval_depth": False,
        "eval_center": False,
        "reweighting": False,
        "perceptual_weight": 0.1,
        "ssim_weight": 0.1,
        "depth_weight": 0.0,
        "cas_config": {
            "num": 2,
            "depth_inv": [True, False],
            "volume_scale": [0.125, 0.5],
            "volume_planes": [64, 8],
            "im_feat_scale": [0.25, 0.5],
            "im_ibr_scale": [0.25, 1.0],
            "render_scale": [0.25, 1.0],
            "render_im_feat_level": [0, 2],
            "nerf_model_feat_ch": [32, 8],
            "render_if": [True, True],
            "num_samples": [8, 2],
            "loss_weight": [0.5, 1.0],
        },
    },
    "train_dataset": _DATASET,
    "test_dataset": {**_DATASET, "split": "test"},
    "train": {
        "batch_size": 4,
        "epoch": 10000,
        "num_workers": 8,
        "shuffle": True,
        "sampler_meta": {"input_views_num": [3], "input_views_prob": [1.0]},
        "optim": "adam",
        "lr": 5e-4,
        "weight_decay": 0.0,
        "eps": 1e-8,
        "scheduler": {"type": "multi_step", "gamma": 0.5, "decay_epochs": 50, "milestones": [80, 120, 200, 240]},
    },
    "test": {"epoch": -1},  # the checkpoint to test; -1: the latest
}
# The network sees whole images, so rays are never chunked or drawn at random; training and test have one sampler each.
UNREAD = {
    *("parent_cfg", "task_arg", "level", "resolution", "fps", "network_module", "loss_module", "evaluator_module"),
    *(f"gefu.{key}" for key in ("train_input_views_prob", "chunk_size")),
    *(f"gefu.cas_config.{key}" for key in ("num_rays", "num_patchs", "patch_size", "train_img")),
    *(f"{name}_dataset.{key}" for name in ("train", "test") for key in ("batch_size", "input_ratio")),
    *(f"{name}.{key}" for name in ("train", "test") for key in ("batch_sampler", "collator")),
    *("test.batch_size", "test.sampler_meta.input_views_num", "test.sampler_meta.input_views_prob"),
}
UNREAD_PREFIXES = ("task_arg.", "render_")
