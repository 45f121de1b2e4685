"""``python -m keypoints``."""

from keypoints.cli import main

if __name__ == "__main__":
    main()
