"""One process of the click flow: ``python -m flows.clicks``; see ``flows.delivery.process``."""

from flows.clicks.flow import FLOW
from flows.delivery.process import run_and_exit

if __name__ == "__main__":
    run_and_exit(FLOW)
