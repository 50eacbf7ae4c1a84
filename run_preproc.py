"""python run_preproc.py --help"""

from runners.launch import main

if __name__ == "__main__":
    main("preproc")
