"""`python -m rowlock` is `rowlock`."""

from rowlock.cli import main

if __name__ == "__main__":  # worker processes import this file under another name
    main()
