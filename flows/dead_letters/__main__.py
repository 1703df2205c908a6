"""One process of the flow of dead letters: ``python -m flows.dead_letters``; see ``flows.delivery.process``."""

from flows.dead_letters.flow import FLOW
from flows.delivery.process import run_and_exit

if __name__ == "__main__":
    run_and_exit(FLOW)
