"""All settings of XScale-NVS, in the paper's groups and names. Edit this file, or name another with `--params FILE`.

Groups run in the order of `__init__`; a derived value is computed from what stands before it. `KEY VALUE` words after a
command replace the assignment of KEY, so that values derived from it follow. Keys marked (unused) are part of the
paper's file and change nothing.
"""

import os

import torch


class Params:
    """The settings of one scene and one run."""

    def __init__(self):
        self.exp_id = "0328/SCENE_NAME"  # name of the run; may be a sub-path
        self.root_params()
        self.network_params()
        self.train_params()
        self.load_params()
        self.cluster_params()
        self.render_params()
        self.polyview_params()

    def root_params(self):
        """Where results go."""
        self.root_file = "/Your/path/to/record"  # logs, checkpoints, caches and pictures lie below it
        self._debug_data_rootFld = os.path.join(self.root_file, "debug", self.exp_id)  # (unused)
        self.summary_dir = os.path.join(self.root_file, "experiment/train/log/", self.exp_id)  # TensorBoard
        self.checkpoint_dir = os.path.join(self.root_file, "experiment/train/state", self.exp_id)
        self.load_checkpoint_dir = None  # path of a checkpoint FILE to start from or to render; None: from scratch
        self.mode = "train"  # anything else: agents/base.py builds everything and stops

    def network_params(self):
        """Sizes of the network."""
        self.ss_ratio = 1  # supersampling per axis: 1, 2 or 4
        self.progressive_epoch = 0  # (unused)
        self.use_lit_emb = True  # a code per lighting condition; False: every view takes row 0
        self.use_exp_emb = True  # a code per photograph's exposure
        self.hash_base_resol = 16
        self.hash_n_levels = 16
        # Growth from level to level, 2^((T - 4) / 16) for a finest level of 2^T cells:
        #   T=21 2.0885475648548275   20 2.0                  19 1.9152065613971474   18 1.8340080864093424
        #   17   1.7562521603732995   16 1.681792830507429    15 1.6104903319492543   14 1.5422108254079407
        #   13   1.4768261459394993   12 1.4142135623730951   11 1.3542555469368927   10 1.2968395546510096
        #   9    1.241857812073484
        self.hash_per_level_scale = 1.4768261459394993
        self.z_length_s = 8  # features per level: 1, 2, 4 or 8
        self.log2_hashmap_size = 22  # of the largest level's table, in entries
        self.descriptor_dim = 64  # hidden width
        self.z_length_l = 8  # light code
        self.z_length_x = 4  # exposure code
        self.image_compress_stage = 1  # (unused)
        self.image_compress_multiple = int(2 ** (self.image_compress_stage - 1))  # (unused)

    def train_params(self):
        """Optimisation, logs, checkpoints."""
        self.use_cuda = True
        self.device = torch.device("cuda" if self.use_cuda and torch.cuda.is_available() else "cpu")
        self.max_epoch = 10000000000  # the paper trains until it is stopped
        self.lr_net_2d = 2e-4  # shading network
        self.lr_embeddings = 2e-4  # hash grid, light and exposure codes
        self.draw_cubic_iter = 100  # TensorBoard every so many ITERATIONS
        self.save_checkpoint_iter = 200  # checkpoint every so many EPOCHS
        self.loss_rgb_weight = 1.0
        self.loss_nrm_weight = 0.0  # of a term that is identically zero
        self.validate_iter = 100000000  # (unused)
        self.use_sparse_embedding = False  # must stay False: Adam takes no sparse gradients of code tables

    def load_params(self):
        """The scene and its views."""
        self.dsp_factor = 4  # down-sampling factor in the folders' names
        self.datasetFolder = "/Your/path/to/dataset"
        self.modelName = "SCENE_NAME"  # the scene's folder
        self.meshName = "YourMeshName.MeshEXT"  # any format that trimesh reads; left as it is, 1.obj is taken
        self.splitName = None  # optional sub-folder of outputs
        self.imgNamePattern = os.path.join(self.datasetFolder, self.modelName, f"images_{self.dsp_factor}", "*.JPG")
        self.poseFolder = os.path.join(self.datasetFolder, self.modelName, f"cams_{self.dsp_factor}")
        self.atlas_load_path = os.path.join(self.datasetFolder, self.modelName, self.meshName)
        self.attribute_cache_path = os.path.join(
            self.root_file, "experiment/caches", self.modelName, f"ss_{self.ss_ratio}"
        )
        self.num_lit = 1  # lighting conditions; more than 1: litsFolder/lit.npz names each view's
        self.litsFolder = os.path.join(self.datasetFolder, self.modelName)

        # Views are numbered along the sorted list of photographs.
        self.all_view_list = list(range(675))
        self.hold_out_list = []  # neither trained nor tested
        self.test_view_list = self.all_view_list[::7]
        unseen = {*self.test_view_list, *self.hold_out_list}
        self.training_view_list = [view for view in self.all_view_list if view not in unseen]

        self.rasterize_batch_size = 1  # only 1
        self.undistort_crop_rate_h = 0  # fraction cut off the top and the bottom; works if both rates are positive
        self.undistort_crop_rate_w = 0  # fraction cut off the left and the right
        self.undistort_crop_iter = 9999  # cut training views from this position on; None: never
        self.trajectory_lit_id = 0  # light row of rendered views
        self.trajectory_wb_id = None  # exposure row of rendered views; None: the mean of all
        self.navigation_path = os.path.join(self.datasetFolder, self.modelName, "syt.npy")  # camera path
        self.navigation_H, self.navigation_W = 1080, 1920
        self.navigation_focal = 2700.0  # pixels
        self.render_image_size = (self.navigation_H, self.navigation_W)  # (unused)
        self.image_size_single = torch.tensor([[[self.navigation_W, self.navigation_H]]]).float()  # (unused)

    def cluster_params(self):
        """Batches, and how training streams from the cache."""
        self.batch_shuffle_iter = 1  # redraw the epoch's rays every so many epochs
        self.change_nrm_coef_iter = 100000000  # halve loss_nrm_weight at iterations divisible by it, 0 included
        self.training_batch_size = 16384 * 3  # rays per view and epoch
        self.infer_batch_size = 540 * 1920  # rays rendered at once
        self.random_view_batch_size = 32  # views per step
        self.ultra_cache_batch_size = 4  # blocks that a view's rays are cut into
        self.change_batches_iter = 16  # next block every so many epochs
        self.shuffle_batches_iter = 8  # new order within the block every so many epochs; less than rays / batch size

    def render_params(self):
        """Rasterisation and camera paths."""
        self.interpolate_novel_view_num = 20  # (unused)
        self.interpolate_direction = -1  # (unused)
        self.inter_zoomin = False  # (unused)
        self.inter_choose = [0, 1, 0, 1]  # (unused)
        self.zoomin_rate = [0, 400, 0, -100]  # (unused)
        self.faces_per_pixel = 1  # (unused)
        self.z_near = 0.001  # scene units
        self.z_far = 1000.0  # surface farther away is not drawn

    def polyview_params(self):
        """Settings that the paper's file does not have; their defaults change nothing."""
        self.seed = None  # of every random choice; None draws one and prints it
        self.resume = True  # continue the run in checkpoint_dir where it stopped; False starts it anew
        self.full_intrinsics = False  # True honours fx and the principal point; False: fy only, principal point centred
        self.num_workers = 0  # views that are cached at once; 0: one per CPU core, at most 8
