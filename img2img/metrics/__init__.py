"""How good an image is: PSNR, SSIM and MS-SSIM, each computed in this one place."""

from img2img.metrics.ms_ssim import ms_ssim
from img2img.metrics.psnr import psnr, psnr8, to_8bit
from img2img.metrics.ssim import ssim

__all__ = ["ms_ssim", "psnr", "psnr8", "ssim", "to_8bit"]
