"""How bright each colour is."""

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue as they are stored: ITU-R BT.601
