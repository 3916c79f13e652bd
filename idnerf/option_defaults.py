"""Every option of ID-NeRF: its kind, and its value where no file gives one (spec 2). Keys are spelt as in the paper.

Kinds: text, texts, whole, wholes, number, numbers, switch; a single value stands for a list of one. None is allowed
where the default is None or `nullable` says so. Options marked "unread" change nothing, as in the paper's program.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Kind and default of one option."""

    kind: str
    default: Any = None
    nullable: bool = False


_DATASET = {
    "root_dir": Setting("text"),
    "dataset_name": Setting("text"),
    "img_wh": Setting("wholes"),
    "num_workers": Setting("whole", 0),
    "max_len": Setting("whole", -1),
    "scene_list": Setting("texts"),
    "test_views_method": Setting("text", "nearest"),
    "nf_mode": Setting("text", "avg"),
    "eval_mode": Setting("text", "mvsnerf"),
    "n_add_train_views": Setting("whole", 2),
    "report_full_scores": Setting("switch", False),
    "render_path_mode": Setting("text"),
    # Ours, for DTU: targets and sources from the paper's lists ("paper") or from what is in the folder ("folder"); the
    # scans instead of the paper's, as names or as a file with one a line; the lights instead of the split's; and
    # (width, height) of the pictures that the camera files times 4 belong to, where that is not img_wh.
    "view_lists": Setting("text", "paper"),
    "scan_list": Setting("texts"),
    "lights": Setting("wholes"),
    "camera_wh": Setting("wholes"),
}
DATASETS = ("dtu", "llff", "colmap")
# Sections that are None where no file has them.
ABSENT = ("data_train", "data_val", *(f"data_test.{name}" for name in DATASETS))
# Sections that may be null.
NULLABLE = (*ABSENT, "decoder.posenc", "optim.sched")
# Sections that take any further key: they go to a constructor of PyTorch.
OPEN = ("optim.algo", "optim.sched")

SETTINGS: dict[str, Any] = {
    "name": Setting("text"),
    "yaml": Setting("text", "train"),
    "model": Setting("text", "idnerf"),
    "seed": Setting("whole", 0, nullable=True),
    "gpu_ids": Setting("wholes", [0]),
    "cpu": Setting("switch", False),
    "load": Setting("text"),
    "n_src_views": Setting("whole", 3),
    "batch_size": Setting("whole", 1),
    "max_epoch": Setting("whole", 25),
    "resume": Setting("switch", False),
    "output_root": Setting("text", "outputs"),
    "vis_depth": Setting("switch", True),
    "fp16": Setting("switch"),
    "vram_O": Setting("switch"),
    "sd_version": Setting("text", "2.1"),
    "hf_key": Setting("text"),
    "t_range": Setting("numbers", [0.02, 0.98]),
    "guidance_scale": Setting("number", 100),
    "lambda_guidance": Setting("number", 1),
    "tb": Setting("switch"),
    "sanity_check": Setting("switch", False),
    "save_test_image": Setting("switch", False),
    # Ours: whether a diffusion model guides the latent ("diffusion") or nothing does ("none"); where CLIP comes from (a
    # name, a folder, or the original package's ViT-L-14.pt; None: openai's ViT-L/14); the largest norm of the gradient
    # that guidance injects (None: no limit); and the folder that keeps embeddings (None: `embeddings` in output_root).
    "guidance": Setting("text", "diffusion"),
    "clip_key": Setting("text"),
    "guidance_clip": Setting("number"),
    "embedding_cache": Setting("text"),
    # Ours: which of feat_enc, latent_inference and nerf_dec `load` takes from its file; None: all that it has.
    "load_parts": Setting("texts"),
    # Ours: "ours" trains what the paper describes, "released" repeats the released program; each switch may be set by
    # itself and None follows `base`. `--parity=released` is short for `--parity.base=released`.
    "parity": {
        "base": Setting("text", "ours"),
        "released_optimizer": Setting("switch"),
        "released_guidance_sum": Setting("switch"),
        "released_ray_pictures": Setting("switch"),
        "released_tokens": Setting("switch"),
        "released_window": Setting("switch"),
        "released_video_latent": Setting("switch"),
    },
    "encoder": {
        "attn_splits_list": Setting("wholes", [2]),
        "cos_n_group": Setting("wholes", [2, 8]),
        "pretrain_weight": Setting("text", "configs/pretrained_models/gmflow_sintel-0c07dcb3.pth", nullable=True),
        "num_transformer_layers": Setting("whole", 6),
        "feature_upsampler": Setting("text", "network"),
        "upsample_factor": Setting("whole", 2),
        "use_multiview_gmflow": Setting("switch", False),  # unread
        "add_per_view_attn": Setting("switch", False),  # unread
        "wo_self_attn": Setting("switch", False),
        "feature_sample_local_radius": Setting("whole", 0),
        "feature_sample_local_dilation": Setting("whole", 1),
    },
    "latent_inference": {"input_channel": Setting("whole", 9), "latent_dim": Setting("whole", 4)},
    "decoder": {
        "net_width": Setting("whole", 128),
        "net_depth": Setting("whole", 6),
        "skip": Setting("wholes", [4]),
        "posenc": {"L_3D": Setting("whole", 10), "L_view": Setting("whole", 0)},
        "raytrans_posenc": Setting("switch", False),
        "density_maskfill": Setting("switch", False),
        "raytrans_act": Setting("text", "ReLU"),
    },
    "nerf": {
        "legacy_coord": Setting("switch", True),
        "wo_render_interval": Setting("switch", True),
        "view_dep": Setting("switch", True),
        "depth": {"param": Setting("text", "metric")},
        "sample_intvs": Setting("whole", 128),
        "sample_stratified": Setting("switch", True),
        "density_noise_reg": Setting("number"),  # unread
        "render_video": Setting("switch", False),
        "rand_rays_train": Setting("whole", 1024),
        "rand_rays_val": Setting("whole", 4096, nullable=True),
        "rand_rays_test": Setting("whole"),
        "video_n_frames": Setting("whole"),
        "video_rads_scale": Setting("number", 0.1),
        "video_pts_rates": Setting("number", 2.0),
        "save_frames": Setting("switch", False),
        "save_gif": Setting("switch", False),
    },
    "data_train": _DATASET,
    "data_val": _DATASET,
    "data_test": dict.fromkeys(DATASETS, _DATASET),
    "loss_weight": {"render": Setting("number", 1, nullable=True), "render_fine": Setting("number")},
    "optim": {
        "lr_enc": Setting("number", 5e-5),
        "lr_dec": Setting("number", 5e-5),
        "lr_other": Setting("number", 1e-3),
        "clip_enc": Setting("number", 1.0, nullable=True),
        "algo": {"type": Setting("text", "AdamW"), "weight_decay": Setting("number", 1e-4)},
        "sched": {"type": Setting("text", "OneCycleLR")},
    },
    "freq": {
        "scalar": Setting("whole", 20),
        "log_ep": Setting("whole", 1),
        "ckpt_ep": Setting("whole", 1),
        "ckpt_it": Setting("number", 0.1),
        "val_ep": Setting("whole", -1),
        "val_it": Setting("number", 0.5),
        "test_ep": Setting("whole", 1),
        "test_ep_start": Setting("whole", 0),
        "test_it": Setting("number", -1),
    },
}
