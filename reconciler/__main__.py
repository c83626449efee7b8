"""`python -m reconciler` is the command `reconciler`.

Owns: that. Never: anything else.
"""

from reconciler.cli.main import main

if __name__ == "__main__":
    main()
