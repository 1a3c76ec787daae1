"""Train one run, or with -m every run of a grid.

python train.py pooler=mean
python train.py -m pooler=cls,mean,max,conv seed=0,1,2,3,4 study=first
python train.py --help
"""

import sys

from poolbench.training.command import main

if __name__ == "__main__":
    sys.exit(main())
