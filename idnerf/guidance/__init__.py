"""The diffusion prior: what a frozen text-to-image model would change about the imaginative latent (spec 5.2, 5.3).

| module | |
| --- | --- |
| `distillation.py` | the formula: noise, prediction, gradient |
| `image_embedding.py` | pictures and ray pictures become the model's prompt |
| `prior.py` | both together, as the trainer uses them |
| `diffusion.py` | a Stable-Diffusion-family model as a noise predictor |
| `clip_weights.py` | the image tower of CLIP, from either of its two formats |
| `pretrained.py` | where the weights come from |

Only training needs it; rendering and testing never import `diffusers` or `transformers`.
"""
