"""python run_evaluate.py --help"""

from runners.launch import main

if __name__ == "__main__":
    main("evaluate")
