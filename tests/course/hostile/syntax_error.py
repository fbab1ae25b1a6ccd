import torch

class SGD(torch.optim.Optimizer)
    def step(self):
        pass
