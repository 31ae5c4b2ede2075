"""`python -m cosim` is `fp8cosim`, as `torchrun` starts it."""

from cosim.cli import main

if __name__ == "__main__":
    main()
