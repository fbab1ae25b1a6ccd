"""`python -m myoptim`: the command line."""

from myoptim.cli import main

if __name__ == "__main__":
    main()
