"""A scene of some tens of small photographs, trained on a CPU in minutes; what is not set here is as in `parameter.py`.

    python agents/base.py --params configs/small_scene.py datasetFolder datasets/xscale modelName scene1 root_file record
"""


class Params:
    """Settings that differ from the paper's, each with its reason."""

    def __init__(self):
        self.dsp_factor = 1
        self.all_view_list = list(range(60))
        self.hash_n_levels = 12
        self.hash_per_level_scale = 1.5422108254079407
        self.z_length_s = 4
        self.log2_hashmap_size = 17
        self.max_epoch = 400
        self.lr_net_2d = 2e-3
        self.lr_embeddings = 1e-2
        self.training_batch_size = 1024
        self.random_view_batch_size = 16
