"""A training program as people write them with Hydra: composed from groups, overridden on the command line."""

import os

import hydra
from omegaconf import DictConfig, OmegaConf

OmegaConf.register_new_resolver("double", lambda value: 2 * value)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    print(cfg.optim.name, cfg.optim.lr, cfg.model.depth, cfg.run_name)
    if "CHANGES" in os.environ:
        cfg.optim.lr = cfg.optim.lr / 10


if __name__ == "__main__":
    main()
