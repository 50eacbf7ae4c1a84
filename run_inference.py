"""python run_inference.py --help"""

from runners.launch import main

if __name__ == "__main__":
    main("inference")
