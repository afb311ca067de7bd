"""The labels of the CMP facades: which colour, red, green and blue of 255, stands for which part of a house.

From blue over cyan, yellow and red to dark red. Measured in the files of the pix2pix release, whose JPEG blurs them.

References: Tylecek & Sara 2013 (CMP Facade Database).
"""

FACADE_COLOURS = {
    "background": (0, 0, 223),
    "facade": (0, 48, 255),
    "window": (0, 128, 255),
    "door": (0, 208, 255),
    "cornice": (32, 255, 223),
    "sill": (112, 255, 143),
    "balcony": (192, 255, 63),
    "blind": (255, 239, 0),
    "decoration": (255, 159, 0),
    "moulding": (255, 79, 0),
    "pillar": (252, 0, 0),
    "shop": (172, 0, 0),
}
