"""Train NeuRay across scenes, with masks first if asked, or fine-tune it on one scene.

    python neuray_mrvm/run_training.py --cfg configs/gen/neuray_gen_depth.yaml --resume
        --pre_stageone --mask_ratio 0.5 --stage_two_begin 20000 --stage_two_warmup 10000 --lambda_feat 0.1
    python neuray_mrvm/run_training.py --cfg configs/gen/neuray_gen_depth.yaml --resume
        --ft_load_path data/model/neuray_gen_depth_train_pre/model.pth
    python neuray_mrvm/run_training.py --cfg configs/ft/depth/dtu/neuray_ft_depth_birds.yaml --resume
        --ft_load_path data/model/neuray_gen_depth_train_ft/model.pth

(each on one line, with --base_data_dir DATA and --save_dir OUT where data and outputs are not in ./data).

With `--resume` a run that was stopped, in whatever way, continues exactly; without it an earlier run of that name is
moved aside.
"""

from collections.abc import Sequence

from common.distributed import distributed_run
from common.entry_point import run_command
from common.memory import keep_freed_memory
from common.reporting import configure_logging
from common.seeding import seed_everything
from neuray_mrvm.config import load_config
from neuray_mrvm.trainer import train
from neuray_mrvm.training_settings import parse_arguments, training_settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    args = parse_arguments(arguments)
    cfg = training_settings(load_config(args.cfg), args)
    with distributed_run(False, use_gpu=not args.no_cuda) as device:
        configure_logging()
        keep_freed_memory()
        seed_everything(cfg.seed)
        train(cfg, args.base_data_dir, args.save_dir, args.resume, device)


if __name__ == "__main__":
    run_command(main)
