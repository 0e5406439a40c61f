"""Files of other programs, read safely and turned into models: the released weights of SRFlow, SRFlow-DA and ESRGAN."""
