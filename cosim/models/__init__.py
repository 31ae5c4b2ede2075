"""The models of the paper at their true architectures, with widths and depths for any machine.

They are plain PyTorch and know nothing of the array. Whatever multiplies matrices is written with
functions that the bridge offloads.
"""
