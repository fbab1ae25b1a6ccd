import torch
from torch.optim import Optimizer


class SGD(Optimizer):
    def __init__(self, params, lr=0.01, momentum=0, dampening=0, weight_decay=0, nesterov=False,
                 maximize=False):
        defaults = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                        nesterov=nesterov, maximize=maximize)
        super(SGD, self).__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            mu = group['momentum']
            for p in group['params']:
                if p.grad is None:
                    continue
                d_p = -p.grad if group['maximize'] else p.grad
                if group['weight_decay'] != 0:
                    d_p = d_p.add(p, alpha=group['weight_decay'])
                if mu != 0:
                    state = self.state[p]
                    if 'velocity' not in state:
                        buf = state['velocity'] = torch.clone(d_p).detach()
                    else:
                        buf = state['velocity']
                        buf.mul_(mu).add_(d_p, alpha=1 - group['dampening'])
                    if group['nesterov']:
                        d_p = d_p.add(buf, alpha=mu)
                    else:
                        d_p = buf
                p.add_(d_p, alpha=-group['lr'])
        return loss
