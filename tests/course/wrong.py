# ruff: noqa: E501
"""Wrong submissions: for each right one in `submissions/`, what a student got wrong in it.

Written by hand in each file's own style and vocabulary, without the catalogue's edits: the mistake,
then pairs of text in the file and what the student wrote instead.
"""

from pathlib import Path

FOLDER = Path(__file__).with_name("submissions")

OPTIMIZERS = {
    "adam_inplace": "Adam",
    "adam_numpy": "Adam",
    "adam_numpy_state": "Adam",
    "adam_floats": "Adam",
    "adamw_functional": "AdamW",
    "adamw_data": "AdamW",
    "sgd_inplace": "SGD",
    "momentum_plain": "Momentum",
    "nesterov_floats": "Nesterov",
    "adagrad_inplace": "Adagrad",
    "adagrad_numpy": "Adagrad",
    "rmsprop_inplace": "RMSprop",
    "rmsprop_functional": "RMSprop",
}
"""What each right submission is."""

MISTAKES: dict[str, list[tuple[str, list[tuple[str, str]]]]] = {
    "adam_inplace": [
        (
            "buffer-reset",
            [
                ("if len(state) == 0:", "if True:"),
            ],
        ),
        (
            "ascends",
            [
                ("value=-step_size", "value=step_size"),
            ],
        ),
        (
            "maximize-ignored",
            [
                ("p.grad if not group['maximize'] else -p.grad", "p.grad"),
            ],
        ),
        (
            "wd-before-maximize",
            [
                ("grad = p.grad if not group['maximize'] else -p.grad", "grad = p.grad"),
                (
                    "grad = grad.add(p, alpha=group['weight_decay'])\n",
                    "grad = grad.add(p, alpha=group['weight_decay'])\n                    if group['maximize']:\n                        grad = -grad\n",
                ),
            ],
        ),
        (
            "wd-ignored",
            [
                (
                    "                    if group['weight_decay'] != 0:\n                        grad = grad.add(p, alpha=group['weight_decay'])\n",
                    "",
                ),
            ],
        ),
        (
            "wd-wrong-sign",
            [
                ("alpha=group['weight_decay'])", "alpha=-group['weight_decay'])"),
            ],
        ),
        (
            "decoupled-instead-of-l2",
            [
                (
                    "grad = grad.add(p, alpha=group['weight_decay'])",
                    "p.mul_(1 - group['lr'] * group['weight_decay'])",
                ),
            ],
        ),
        (
            "no-bias-correction",
            [
                ("1 - beta1 ** state['step']", "1.0"),
                ("1 - beta2 ** state['step']", "1.0"),
            ],
        ),
        (
            "bc-first-only",
            [
                ("(second.sqrt() / math.sqrt(bias_correction2))", "second.sqrt()"),
            ],
        ),
        (
            "t-global",
            [
                (
                    "        with torch.no_grad():\n",
                    "        self.steps = getattr(self, 'steps', 0) + 1\n        with torch.no_grad():\n",
                ),
                ("state['step'] += 1", "state['step'] = self.steps"),
            ],
        ),
        (
            "t-from-0",
            [
                ("                    state['step'] += 1\n", ""),
                (
                    "value=-step_size)\n",
                    "value=-step_size)\n                    state['step'] += 1\n",
                ),
                (
                    "second.sqrt() / math.sqrt(bias_correction2)",
                    "second.sqrt() / torch.tensor(bias_correction2).sqrt()",
                ),
                (
                    "group['lr'] / bias_correction1",
                    "group['lr'] / max(bias_correction1, 0.0) if bias_correction1 else float('inf')",
                ),
            ],
        ),
        (
            "t-one-ahead",
            [
                ("state['step'] = 0", "state['step'] = 1"),
            ],
        ),
        (
            "bc2-unrooted",
            [
                ("math.sqrt(bias_correction2)", "bias_correction2"),
            ],
        ),
        (
            "lr-compounds",
            [
                (
                    "step_size = group['lr'] / bias_correction1",
                    "group['lr'] = group['lr'] / bias_correction1\n                    step_size = group['lr']",
                ),
            ],
        ),
        (
            "betas-swapped",
            [
                ("beta1, beta2 = group['betas']", "beta2, beta1 = group['betas']"),
            ],
        ),
        (
            "missing-1-beta1",
            [
                ("add_(grad, alpha=1 - beta1)", "add_(grad)"),
            ],
        ),
        (
            "missing-1-beta2",
            [
                ("addcmul_(grad, grad, value=1 - beta2)", "addcmul_(grad, grad)"),
            ],
        ),
        (
            "no-sqrt",
            [
                ("(second.sqrt() / math.sqrt(bias_correction2))", "(second / bias_correction2)"),
            ],
        ),
        (
            "eps-hat",
            [
                (
                    "(second.sqrt() / math.sqrt(bias_correction2)).add_(group['eps'])",
                    "second.sqrt().add_(group['eps'])",
                ),
                (
                    "group['lr'] / bias_correction1",
                    "group['lr'] * math.sqrt(bias_correction2) / bias_correction1",
                ),
            ],
        ),
        (
            "eps-inside-sqrt",
            [
                (
                    "(second.sqrt() / math.sqrt(bias_correction2)).add_(group['eps'])",
                    "(second / bias_correction2 + group['eps']).sqrt()",
                ),
            ],
        ),
        (
            "no-eps",
            [
                (".add_(group['eps'])", ""),
            ],
        ),
        (
            "grad-instead-of-m",
            [
                ("p.addcdiv_(exp_avg,", "p.addcdiv_(grad,"),
            ],
        ),
        (
            "amsgrad-ignored",
            [
                ("second = state['max_exp_avg_sq']", "pass"),
            ],
        ),
        (
            "amsgrad-fed-back",
            [
                (
                    "second = state['max_exp_avg_sq']",
                    "second = state['exp_avg_sq'] = state['max_exp_avg_sq'].clone()",
                ),
            ],
        ),
        (
            "amsgrad-max-of-corrected",
            [
                (
                    "                    if group['amsgrad']:\n                        torch.maximum(state['max_exp_avg_sq'], exp_avg_sq,\n                                      out=state['max_exp_avg_sq'])\n                        second = state['max_exp_avg_sq']\n",
                    "                    second = second / bias_correction2\n                    if group['amsgrad']:\n                        second = state['max_exp_avg_sq'] = torch.max(state['max_exp_avg_sq'], second)\n",
                ),
                ("(second.sqrt() / math.sqrt(bias_correction2)).add_", "second.sqrt().add_"),
            ],
        ),
        (
            "stale-state",
            [
                (
                    "                    exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)\n                    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)\n                    second = exp_avg_sq\n",
                    "                    second = exp_avg_sq\n",
                ),
                (
                    "value=-step_size)\n",
                    "value=-step_size)\n                    exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)\n                    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)\n",
                ),
            ],
        ),
        (
            "reads-defaults",
            [
                ("step_size = group['lr']", "step_size = self.defaults['lr']"),
            ],
        ),
        (
            "state-attribute",
            [
                (
                    "state = self.state[p]",
                    "if not hasattr(self, 'buffers'):\n                        self.buffers = {}\n                    state = self.buffers.setdefault(p, {})",
                ),
            ],
        ),
        (
            "state-by-shape",
            [
                (
                    "state = self.state[p]",
                    "state = self.__dict__.setdefault('by_shape', {}).setdefault(tuple(p.shape), {})",
                ),
            ],
        ),
        (
            "state-by-shape",
            [
                ("self.state[p]", "self.state[tuple(p.shape)]"),
            ],
        ),
        (
            "state-by-id",
            [
                ("self.state[p]", "self.state[id(p)]"),
            ],
        ),
        (
            "mutates-grad",
            [
                ("grad = grad.add(p, alpha", "grad = grad.add_(p, alpha"),
            ],
        ),
        (
            "clears-grad",
            [
                ("value=-step_size)", "value=-step_size)\n                    p.grad.zero_()"),
            ],
        ),
        (
            "rebinds-param",
            [
                ("p.addcdiv_(", "p = p.addcdiv("),
            ],
        ),
        (
            "replaces-data",
            [
                ("p.addcdiv_(", "p.data = p.data.addcdiv("),
            ],
        ),
        (
            "no-no-grad",
            [
                ("with torch.no_grad():", "if True:"),
            ],
        ),
        (
            "no-none-guard",
            [
                ("                    if p.grad is None:\n                        continue\n", ""),
            ],
        ),
        (
            "none-as-zero",
            [
                (
                    "                    if p.grad is None:\n                        continue\n",
                    "                    if p.grad is None:\n                        p.grad = torch.zeros_like(p)\n",
                ),
            ],
        ),
        (
            "closure-ignored",
            [
                (
                    "        if closure is not None:\n            with torch.enable_grad():\n                loss = closure()\n",
                    "",
                ),
            ],
        ),
        (
            "closure-no-return",
            [
                ("        return loss\n", ""),
            ],
        ),
        (
            "closure-no-grad",
            [
                (
                    "            with torch.enable_grad():\n                loss = closure()\n        with torch.no_grad():\n",
                    "            with torch.no_grad():\n                loss = closure()\n        with torch.no_grad():\n",
                ),
            ],
        ),
        (
            "step-dtype",
            [
                ("state['step'] = 0", "state['step'] = p.new_zeros(())"),
                ("math.sqrt(bias_correction2)", "bias_correction2.sqrt()"),
                (
                    "p.addcdiv_(exp_avg, denom, value=-step_size)",
                    "p.sub_(step_size * exp_avg / denom)",
                ),
            ],
        ),
        (
            "eager-state",
            [
                (
                    "        super().__init__(params, defaults)\n",
                    "        super().__init__(params, defaults)\n        for group in self.param_groups:\n            for p in group['params']:\n                self.state[p] = {'step': 0, 'exp_avg': torch.zeros_like(p),\n                                 'exp_avg_sq': torch.zeros_like(p),\n                                 'max_exp_avg_sq': torch.zeros_like(p)}\n",
                ),
                (
                    "                    if len(state) == 0:\n                        state['step'] = 0\n                        state['exp_avg'] = torch.zeros_like(p)\n                        state['exp_avg_sq'] = torch.zeros_like(p)\n                        state['max_exp_avg_sq'] = torch.zeros_like(p)\n",
                    "",
                ),
            ],
        ),
    ],
    "adam_numpy": [
        (
            "bc-second-only",
            [
                ("self.m[i] / (1 - self.beta1 ** t)", "self.m[i]"),
            ],
        ),
        (
            "t-frozen",
            [
                ("(1 - self.beta1 ** t)", "(1 - self.beta1)"),
                ("(1 - self.beta2 ** t)", "(1 - self.beta2)"),
            ],
        ),
        (
            "bc-linear",
            [
                ("self.beta1 ** t", "self.beta1 * t"),
                ("self.beta2 ** t", "self.beta2 * t"),
            ],
        ),
        (
            "bc-multiplied",
            [
                ("self.m[i] / (1", "self.m[i] * (1"),
                ("self.v[i] / (1", "self.v[i] * (1"),
            ],
        ),
        (
            "bc-in-place",
            [
                ("m_hat = self.m[i] / (1", "m_hat = self.m[i] = self.m[i] / (1"),
                ("v_hat = self.v[i] / (1", "v_hat = self.v[i] = self.v[i] / (1"),
            ],
        ),
        (
            "not-squared",
            [
                ("np.square(g)", "np.abs(g)"),
            ],
        ),
        (
            "eps-outside-quotient",
            [
                (
                    "m_hat / (np.sqrt(v_hat) + self.epsilon)",
                    "(m_hat / np.sqrt(v_hat) + self.epsilon)",
                ),
            ],
        ),
        (
            "eps-minus",
            [
                ("+ self.epsilon", "- self.epsilon"),
            ],
        ),
        (
            "eps-squared-inside",
            [
                ("(np.sqrt(v_hat) + self.epsilon)", "np.sqrt(v_hat + self.epsilon ** 2)"),
            ],
        ),
        (
            "eps-as-max",
            [
                ("(np.sqrt(v_hat) + self.epsilon)", "np.maximum(np.sqrt(v_hat), self.epsilon)"),
            ],
        ),
        (
            "eps-twice",
            [
                ("np.sqrt(v_hat) + self", "np.sqrt(v_hat + self.epsilon) + self"),
            ],
        ),
        (
            "v-from-m",
            [
                ("np.square(g)", "np.square(self.m[i])"),
            ],
        ),
        (
            "scalar-v",
            [
                ("np.square(g)", "np.mean(np.square(g))"),
            ],
        ),
        (
            "nadam",
            [
                (
                    "m_hat = self.m[i] / (1 - self.beta1 ** t)",
                    "m_hat = (self.beta1 * self.m[i] + (1 - self.beta1) * g) / (1 - self.beta1 ** t)",
                ),
            ],
        ),
        (
            "beta-complement-swapped",
            [
                (
                    "self.beta1 * self.m[i] + (1 - self.beta1) * g",
                    "(1 - self.beta1) * self.m[i] + self.beta1 * g",
                ),
                (
                    "self.beta2 * self.v[i] + (1 - self.beta2) * np",
                    "(1 - self.beta2) * self.v[i] + self.beta2 * np",
                ),
            ],
        ),
        (
            "t-per-parameter",
            [
                ("self.t = [0 for _ in self.parameters]", "self.t = 0"),
                ("self.t[i] += 1", "self.t += 1"),
                ("t = self.t[i]", "t = self.t"),
            ],
        ),
        (
            "params-generator-kept",
            [
                ("self.parameters = list(parameters)", "self.parameters = parameters"),
                (
                    "        self.t = [0 for _ in self.parameters]\n        self.m = [np.zeros(p.shape) for p in self.parameters]\n        self.v = [np.zeros(p.shape) for p in self.parameters]\n",
                    "        self.t, self.m, self.v = {}, {}, {}\n",
                ),
                ("            self.t[i] += 1\n", "            self.t[i] = self.t.get(i, 0) + 1\n"),
                ("self.beta1 * self.m[i]", "self.beta1 * self.m.get(i, 0)"),
                ("self.beta2 * self.v[i]", "self.beta2 * self.v.get(i, 0)"),
            ],
        ),
    ],
    "adam_numpy_state": [
        (
            "bc-first-only",
            [
                ('memory["square"] / (1 - b2 ** memory["n"])', 'memory["square"]'),
            ],
        ),
        (
            "eps-inside-sqrt",
            [
                ('(np.sqrt(square) + group["eps"])', 'np.sqrt(square + group["eps"])'),
            ],
        ),
        (
            "state-by-id",
            [
                ("self.state[p]", "self.state[id(p)]"),
            ],
        ),
        (
            "state-attribute",
            [
                ("self.state[p]", "vars(self).setdefault('memory', {}).setdefault(p, {})"),
            ],
        ),
    ],
    "adam_floats": [
        (
            "no-eps",
            [
                (" + self.eps)", ")"),
            ],
        ),
        (
            "wd-ignored",
            [
                ("g = g + self.wd * x", "pass"),
            ],
        ),
        (
            "bc2-sqrt-one-minus",
            [
                ("(1.0 - self.b2 ** t)", "(self.b2 ** t)"),
            ],
        ),
        (
            "missing-1-beta2",
            [
                ("(1.0 - self.b2) * g ** 2", "g ** 2"),
            ],
        ),
        (
            "t-from-0",
            [
                (
                    'mem["t"] += 1\n            t = mem["t"]',
                    't = mem["t"]\n            mem["t"] += 1',
                ),
            ],
        ),
        (
            "not-squared",
            [
                ("* g ** 2", "* g"),
            ],
        ),
    ],
    "adamw_functional": [
        (
            "l2-instead-of-decoupled",
            [
                (
                    '    step = state["step"] + 1\n',
                    '    step = state["step"] + 1\n    grad = grad + lam * theta\n',
                ),
                ("theta - lr * lam * theta", "theta"),
            ],
        ),
        (
            "wd-both",
            [
                (
                    '    step = state["step"] + 1\n',
                    '    step = state["step"] + 1\n    grad = grad + lam * theta\n',
                ),
            ],
        ),
        (
            "wd-not-scaled-by-lr",
            [
                ("lr * lam * theta", "lam * theta"),
            ],
        ),
        (
            "wd-after-step",
            [
                (
                    "decayed = theta - lr * lam * theta\n    new = decayed - lr * mhat / (torch.sqrt(vhat) + eps)",
                    "moved = theta - lr * mhat / (torch.sqrt(vhat) + eps)\n    new = moved - lr * lam * moved",
                ),
            ],
        ),
        (
            "wd-corrected-lr",
            [
                (
                    "    decayed = theta - lr * lam * theta",
                    "    rate = lr * (1 - b2 ** step) ** 0.5 / (1 - b1 ** step)\n    decayed = theta - rate * lam * theta",
                ),
            ],
        ),
        (
            "wd-lr-squared",
            [
                ("lr * lam * theta", "lr * lr * lam * theta"),
            ],
        ),
        (
            "wd-ignored",
            [
                ("theta - lr * lam * theta", "theta"),
            ],
        ),
        (
            "wd-wrong-sign",
            [
                ("theta - lr * lam", "theta + lr * lam"),
            ],
        ),
        (
            "ascends",
            [
                ("decayed - lr * mhat", "decayed + lr * mhat"),
            ],
        ),
        (
            "bc-first-only",
            [
                ("v / (1 - b2 ** step)", "v"),
            ],
        ),
        (
            "state-shared",
            [
                ("self.state[theta]", "self.state['all']"),
            ],
        ),
    ],
    "adamw_data": [
        (
            "no-bias-correction",
            [
                ("scale = (1 - b2 ** n) ** 0.5", "scale = 1"),
                ("-lr / (1 - b1 ** n)", "-lr"),
            ],
        ),
        (
            "eps-inside-sqrt",
            [
                ('sq.sqrt() / scale + group["eps"]', '(sq / scale ** 2 + group["eps"]).sqrt()'),
            ],
        ),
        (
            "maximize-ignored",
            [
                ("g.neg_()", "pass"),
            ],
        ),
        (
            "amsgrad-ignored",
            [
                ('                    sq = s["top"]\n', ""),
            ],
        ),
    ],
    "sgd_inplace": [
        (
            "ema-momentum",
            [
                (
                    "buf = state['velocity'] = torch.clone(d_p).detach()",
                    "buf = state['velocity'] = (1 - mu) * d_p",
                ),
                ("alpha=1 - group['dampening']", "alpha=1 - mu"),
            ],
        ),
        (
            "ema-first-raw",
            [
                ("alpha=1 - group['dampening']", "alpha=1 - mu"),
            ],
        ),
        (
            "dampening-on-first-step",
            [
                ("torch.clone(d_p).detach()", "d_p * (1 - group['dampening'])"),
            ],
        ),
        (
            "dampening-ignored",
            [
                ("add_(d_p, alpha=1 - group['dampening'])", "add_(d_p)"),
            ],
        ),
        (
            "dampening-uncomplemented",
            [
                ("alpha=1 - group['dampening']", "alpha=group['dampening']"),
            ],
        ),
        (
            "lr-in-velocity",
            [
                ("torch.clone(d_p).detach()", "d_p * group['lr']"),
                (
                    "buf.mul_(mu).add_(d_p, alpha=1 - group['dampening'])",
                    "buf.mul_(mu).add_(d_p, alpha=group['lr'] * (1 - group['dampening']))",
                ),
                ("d_p = d_p.add(buf, alpha=mu)", "d_p = (group['lr'] * d_p).add(buf, alpha=mu)"),
                (
                    "p.add_(d_p, alpha=-group['lr'])",
                    "p.sub_(d_p if mu != 0 else group['lr'] * d_p)",
                ),
            ],
        ),
        (
            "nesterov-ignored",
            [
                ("d_p = d_p.add(buf, alpha=mu)", "d_p = buf"),
            ],
        ),
        (
            "nesterov-no-grad",
            [
                ("d_p = d_p.add(buf, alpha=mu)", "d_p = buf * mu"),
            ],
        ),
        (
            "nesterov-double",
            [
                ("d_p = d_p.add(buf, alpha=mu)", "d_p = buf.add(buf, alpha=mu)"),
            ],
        ),
        (
            "buffer-reset",
            [
                (
                    "if 'velocity' not in state:",
                    "state = {}\n                    if 'velocity' not in state:",
                ),
            ],
        ),
        (
            "ascends",
            [
                ("alpha=-group['lr'])", "alpha=group['lr'])"),
            ],
        ),
        (
            "wd-before-maximize",
            [
                ("d_p = -p.grad if group['maximize'] else p.grad", "d_p = p.grad"),
                (
                    "                if mu != 0:\n",
                    "                if group['maximize']:\n                    d_p = -d_p\n                if mu != 0:\n",
                ),
            ],
        ),
        (
            "decoupled-instead-of-l2",
            [
                (
                    "d_p = d_p.add(p, alpha=group['weight_decay'])",
                    "p.mul_(1 - group['lr'] * group['weight_decay'])",
                ),
            ],
        ),
        (
            "aliases-grad",
            [
                ("torch.clone(d_p).detach()", "d_p"),
            ],
        ),
        (
            "aliases-grad",
            [
                ("torch.clone(d_p).detach()", "d_p.detach()"),
            ],
        ),
        (
            "aliases-grad",
            [
                ("torch.clone(d_p).detach()", "d_p"),
                (
                    "buf.mul_(mu).add_(d_p, alpha=1 - group['dampening'])",
                    "buf = state['velocity'] = buf * mu + (1 - group['dampening']) * d_p",
                ),
            ],
        ),
        (
            "none-as-zero",
            [
                (
                    "                    continue\n                d_p",
                    "                    p.grad = torch.zeros_like(p)\n                d_p",
                ),
            ],
        ),
        (
            "clears-grad",
            [
                ("alpha=-group['lr'])\n", "alpha=-group['lr'])\n                p.grad = None\n"),
            ],
        ),
        (
            "rebinds-param",
            [
                ("p.add_(d_p,", "p = p.add(d_p,"),
            ],
        ),
        (
            "state-attribute",
            [
                (
                    "state = self.state[p]",
                    "state = vars(self).setdefault('velocities', {}).setdefault(p, {})",
                ),
            ],
        ),
        (
            "stale-state",
            [
                (
                    "                    if 'velocity' not in state:\n                        buf = state['velocity'] = torch.clone(d_p).detach()\n                    else:\n                        buf = state['velocity']\n                        buf.mul_(mu).add_(d_p, alpha=1 - group['dampening'])\n",
                    "                    old = state.get('velocity')\n                    if old is None:\n                        buf = torch.zeros_like(p)\n                        state['velocity'] = d_p.clone()\n                    else:\n                        buf = old\n                        state['velocity'] = mu * old + (1 - group['dampening']) * d_p\n",
                ),
            ],
        ),
    ],
    "momentum_plain": [
        (
            "ema-momentum",
            [
                ("v.add_(p.grad)", "v.add_(p.grad, alpha=1 - self.momentum)"),
            ],
        ),
        (
            "lr-in-velocity",
            [
                ("v.add_(p.grad)", "v.add_(self.lr * p.grad)"),
                ("p.sub_(self.lr * v)", "p.sub_(v)"),
            ],
        ),
        (
            "no-none-guard",
            [
                (
                    "            if p.grad is not None:\n                v.mul_(self.momentum)\n                v.add_(p.grad)\n                p.sub_(self.lr * v)\n",
                    "            v.mul_(self.momentum)\n            v.add_(p.grad)\n            p.sub_(self.lr * v)\n",
                ),
            ],
        ),
        (
            "no-no-grad",
            [
                ("    @torch.no_grad()\n", ""),
            ],
        ),
    ],
    "nesterov_floats": [
        (
            "nesterov-ignored",
            [
                ("(g + mu * float(v[i]))", "float(v[i])"),
            ],
        ),
        (
            "nesterov-no-grad",
            [
                ("(g + mu * float(v[i]))", "mu * float(v[i])"),
            ],
        ),
        (
            "nesterov-double",
            [
                ("(g + mu", "(float(v[i]) + mu"),
            ],
        ),
        (
            "wd-ignored",
            [
                (" + lam * x", ""),
            ],
        ),
    ],
    "adagrad_inplace": [
        (
            "lr-decay-off-by-one",
            [
                ("(state['step'] - 1) *", "state['step'] *"),
            ],
        ),
        (
            "lr-decay-ignored",
            [
                ("group['lr'] / (1 + (state['step'] - 1) * group['lr_decay'])", "group['lr']"),
            ],
        ),
        (
            "accumulator-init-nonzero",
            [
                ("torch.full_like(p, init)", "torch.full_like(p, init or 0.1)"),
            ],
        ),
        (
            "accumulator-overwritten",
            [
                ("state['acc'].addcmul_(grad, grad, value=1)", "state['acc'] = grad ** 2"),
            ],
        ),
        (
            "accumulator-ema",
            [
                (
                    "state['acc'].addcmul_(grad, grad, value=1)",
                    "state['acc'].mul_(0.9).addcmul_(grad, grad, value=0.1)",
                ),
            ],
        ),
        (
            "decoupled-instead-of-l2",
            [
                (
                    "grad = grad + group['weight_decay'] * p",
                    "p.sub_(group['lr'] * group['weight_decay'] * p)",
                ),
            ],
        ),
        (
            "eps-minus",
            [
                ("add_(group['eps'])", "sub_(group['eps'])"),
            ],
        ),
        (
            "stale-state",
            [
                ("                state['acc'].addcmul_(grad, grad, value=1)\n", ""),
                (
                    "value=-clr)\n",
                    "value=-clr)\n                state['acc'].addcmul_(grad, grad, value=1)\n",
                ),
            ],
        ),
    ],
    "adagrad_numpy": [
        (
            "no-sqrt",
            [
                ("np.sqrt(cache)", "cache"),
            ],
        ),
        (
            "no-eps",
            [
                (" + self.eps", ""),
            ],
        ),
        (
            "not-squared",
            [
                ("dx ** 2", "np.abs(dx)"),
            ],
        ),
        (
            "eps-inside-sqrt",
            [
                ("(np.sqrt(cache) + self.eps)", "np.sqrt(cache + self.eps)"),
            ],
        ),
    ],
    "rmsprop_inplace": [
        (
            "sum-not-average",
            [
                (
                    "square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)",
                    "square_avg.addcmul_(grad, grad)",
                ),
            ],
        ),
        (
            "missing-1-alpha",
            [
                ("addcmul_(grad, grad, value=1 - alpha)", "addcmul_(grad, grad)"),
            ],
        ),
        (
            "alpha-default-0.9",
            [
                ("alpha=0.99", "alpha=0.9"),
            ],
        ),
        (
            "centered-ignored",
            [
                ("square_avg.addcmul(grad_avg, grad_avg, value=-1).sqrt_()", "square_avg.sqrt()"),
            ],
        ),
        (
            "centered-unsquared",
            [
                (
                    "square_avg.addcmul(grad_avg, grad_avg, value=-1).sqrt_()",
                    "(square_avg - grad_avg).sqrt()",
                ),
            ],
        ),
        (
            "centered-unsquared",
            [
                (
                    "square_avg.addcmul(grad_avg, grad_avg, value=-1).sqrt_()",
                    "torch.relu(square_avg - grad_avg).sqrt()",
                ),
            ],
        ),
        (
            "centered-unsquared",
            [
                (
                    "square_avg.addcmul(grad_avg, grad_avg, value=-1).sqrt_()",
                    "(square_avg - grad_avg).abs().sqrt()",
                ),
            ],
        ),
        (
            "momentum-before-scaling",
            [
                (
                    "buf.mul_(group['momentum']).addcdiv_(grad, avg)",
                    "buf.mul_(group['momentum']).add_(grad)",
                ),
                ("p.add_(buf, alpha=-group['lr'])", "p.addcdiv_(buf, avg, value=-group['lr'])"),
            ],
        ),
        (
            "ema-momentum",
            [
                (".addcdiv_(grad, avg)\n", ".add_(grad / avg, alpha=1 - group['momentum'])\n"),
            ],
        ),
        (
            "lr-in-velocity",
            [
                (".addcdiv_(grad, avg)\n", ".addcdiv_(grad, avg, value=group['lr'])\n"),
                ("p.add_(buf, alpha=-group['lr'])", "p.sub_(buf)"),
            ],
        ),
        (
            "accumulator-init-nonzero",
            [
                (
                    "state['square_avg'] = torch.zeros_like(p)",
                    "state['square_avg'] = torch.ones_like(p)",
                ),
            ],
        ),
        (
            "eps-inside-sqrt",
            [
                (
                    "avg = square_avg.addcmul(grad_avg, grad_avg, value=-1).sqrt_()",
                    "avg = square_avg.addcmul(grad_avg, grad_avg, value=-1)",
                ),
                ("avg = square_avg.sqrt()", "avg = square_avg.clone()"),
                ("avg.add_(group['eps'])", "avg.add_(group['eps']).sqrt_()"),
            ],
        ),
    ],
    "rmsprop_functional": [
        (
            "bias-corrected-rmsprop",
            [
                ("self.v = [", "self.t = [0] * len(self.params)\n        self.v = ["),
                (
                    "                p -= self.lr * direction(p.grad, self.v[i], self.eps)",
                    "                self.t[i] += 1\n                corrected = self.v[i] / (1 - self.rho ** self.t[i])\n                p -= self.lr * direction(p.grad, corrected, self.eps)",
                ),
            ],
        ),
        (
            "no-sqrt",
            [
                ("v ** 0.5", "v"),
            ],
        ),
        (
            "beta-complement-swapped",
            [
                ("alpha * v + (1 - alpha) * g", "(1 - alpha) * v + alpha * g"),
            ],
        ),
        (
            "ascends",
            [
                ("p -= self", "p += self"),
            ],
        ),
        (
            "stale-state",
            [
                (
                    "                self.v[i] = rms_update(p.grad, self.v[i], self.rho)\n                p -= self.lr * direction(p.grad, self.v[i], self.eps)\n",
                    "                p -= self.lr * direction(p.grad, self.v[i], self.eps)\n                self.v[i] = rms_update(p.grad, self.v[i], self.rho)\n",
                ),
            ],
        ),
    ],
}


def right(name: str) -> str:
    """The text of a right submission."""
    return (FOLDER / f"{name}.py").read_text()


def wrong(name: str, edits: list[tuple[str, str]]) -> str:
    """Its text with a mistake made."""
    text = right(name)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text
