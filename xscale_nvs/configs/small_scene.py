"""Some tens of photographs of about a megapixel, trained on a CPU in minutes; all else is as in `parameter.py`.

Name the scene behind the file:

    bash agents/adap.sh --params configs/small_scene.py root_file record datasetFolder datasets/xscale modelName town1
"""


class Params:
    """Settings that differ from the paper's."""

    def __init__(self):
        self.dsp_factor = 1
        self.all_view_list = list(range(60))

        # The finest level has 1200 cells along each side of the scene's box, as many as a photograph has pixels there;
        # finer ones would only be filled with noise. A table of 2^18 entries holds most of the surface that is seen.
        self.hash_n_levels = 9
        self.hash_per_level_scale = 1.715
        self.z_length_s = 4
        self.log2_hashmap_size = 18
        self.descriptor_dim = 32

        # Short runs need large steps, and many of them: 4096 rays, 1024 of each of four views.
        self.lr_net_2d = 2e-3
        self.lr_embeddings = 1e-2
        self.training_batch_size = 1024
        self.random_view_batch_size = 4
        self.max_epoch = 300
        self.save_checkpoint_iter = 100
