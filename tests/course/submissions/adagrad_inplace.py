import torch
from torch.optim import Optimizer


class Adagrad(Optimizer):
    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0,
                 eps=1e-10):
        defaults = dict(lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
                        initial_accumulator_value=initial_accumulator_value)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            init = group['initial_accumulator_value']
            for p in group['params']:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state['step'] = 0
                    state['acc'] = torch.full_like(p, init)
                state['step'] += 1
                grad = p.grad
                if group['weight_decay']:
                    grad = grad + group['weight_decay'] * p
                clr = group['lr'] / (1 + (state['step'] - 1) * group['lr_decay'])
                state['acc'].addcmul_(grad, grad, value=1)
                std = state['acc'].sqrt().add_(group['eps'])
                p.addcdiv_(grad, std, value=-clr)
        return loss
