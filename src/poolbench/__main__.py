"""``python -m poolbench``: the command line of an installed package."""

from poolbench.training.launch import main

if __name__ == "__main__":
    main()
