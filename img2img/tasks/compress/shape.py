"""What the networks of a codec look like where their weight file does not say otherwise. Imports nothing."""

# What a weight file's header calls its network.
FACTORIZED, HYPERPRIOR, DETAIL, RESTORATION, TUNING = "factorized", "hyperprior", "detail", "restoration", "tuning"
FACTORS = (4, 2, 2)  # by which each stage divides the size
SLICES = (16, 16, 32, 64, 128)  # channels of the latents that are coded together
HYPER_STRIDE = 4  # latents per hyper-latent, each way
FADES = (0.35, 0.75)  # rates between which made-up detail fades to nothing: 0.35 to 0.85 bits per pixel on average
SCALE = 4.0  # pixels in [0, 1] are centred and multiplied by it, so that the first features are of order one
TUNING_REACH = 2  # latents around one that what it is tuned to depends on
