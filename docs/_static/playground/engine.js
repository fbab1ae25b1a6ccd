// Runs the translated rules: the operators over arrays, and an optimizer on a problem.
// A tensor is a Float64Array, a number a number; data.js brings everything else.
"use strict";

(() => {
  const isTensor = (value) => value instanceof Float64Array;
  const at = (value, place) => (isTensor(value) ? value[value.length === 1 ? 0 : place] : value);

  // Lift a function of scalars to tensors of equal length, or of one element, and numbers.
  const lifted = (scalar, inPlace) => (x, ...rest) => {
    const tensors = [x, ...rest].filter(isTensor);
    if (!tensors.length) return scalar(x, ...rest);
    const out = inPlace ? x : new Float64Array(Math.max(...tensors.map((t) => t.length)));
    for (let place = 0; place < out.length; place += 1) {
      out[place] = scalar(at(x, place), ...rest.map((value) => at(value, place)));
    }
    return out;
  };

  for (const [name, scalar] of Object.entries(MYOPTIM.scalars)) {
    op[name] = lifted(scalar, false);
    op[`${name}_`] = lifted(scalar, true);
  }
  for (const [name, reduce] of Object.entries(MYOPTIM.reductions)) {
    op[name] = (x) => (name === "item" ? reduce(x) : Float64Array.of(reduce(x)));
  }
  // Python's `x += y` works in place on tensors.
  op.into = (name, x, y) => (isTensor(x) ? op[`${name}_`](x, y) : op[name](x, y));
  op.truth = (value) => Boolean(isTensor(value) ? value[0] : value);

  const silent = (line, value) => value;

  // The buffers of a parameter before its first step, or why the settings are refused.
  function buffersOf(optimizer, settings) {
    const { switches, buffers } = MYOPTIM.optimizers[optimizer];
    return buffers[switches.map((name) => (settings[name] ? "1" : "0")).join("")];
  }

  function refusal(optimizer, settings) {
    const found = buffersOf(optimizer, settings);
    return typeof found === "string" ? found : "";
  }

  function firstValue(start, param, grad, settings) {
    if (start === null) return null;
    if (start === "param") return param.slice();
    if (start === "grad") return grad.slice();
    const value = typeof start === "string" ? settings[start] : start;
    return new Float64Array(param.length).fill(value);
  }

  // Something with a method that updates one parameter: the rule of an optimizer.
  function ruled(optimizer, settings) {
    const { rule: ruleName, decay } = MYOPTIM.optimizers[optimizer];
    const rule = MYOPTIM.rules[ruleName];
    const before = decay && settings.weight_decay !== 0 ? MYOPTIM.before[decay] : null;
    const starts = buffersOf(optimizer, settings);
    return (memory, param, given, step, note) => {
      const numbers = { ...settings, step, first: step === 1 };
      let grad = given;
      if (before) grad = before.run(param, grad, numbers, (line, value) => note("before", line, value));
      memory.buffers ??= rule.tensors.map((name) => firstValue(starts[name], param, grad, settings));
      rule.run(param, grad, ...memory.buffers, numbers, (line, value) => note("rule", line, value));
    };
  }

  // The same for a wrong solution, which keeps a dictionary of state as a student's would.
  function mistaken(mistake, settings) {
    const [start, decay, update] = ["start", "decay", "update"].map((m) => MYOPTIM.methods[mistake[m]]);
    const group = { ...settings, maximize: false };
    return (memory, param, given) => {
      if (!memory.state) {
        memory.state = {};
        start(group, memory.state, param, {}, silent);
      }
      const grad = decay(group, param, given, {}, silent) ?? given;
      update(group, memory.state, param, grad, {}, silent);
    };
  }

  function cut(flat, sizes) {
    let from = 0;
    return sizes.map((size) => Float64Array.from(flat.slice(from, (from += size))));
  }

  // Settings of an optimizer on a problem: the defaults, with the problem's learning rate.
  function defaults(optimizer, problem) {
    const found = {};
    for (const control of MYOPTIM.optimizers[optimizer].controls) {
      if (control.index === null || control.index === undefined) found[control.name] = control.default;
      else (found[control.name] ??= [])[control.index] = control.default;
    }
    const rate = MYOPTIM.problems[problem].rates[optimizer];
    return rate === undefined ? found : { ...found, lr: rate };
  }

  // Run an optimizer, or a mistake in it. Returns the points and losses before every step and
  // after the last; with `watched`, what each line of that step computed, by parameter.
  function run({ optimizer, problem: name, settings, start, steps, mistake = null, watched = 0 }) {
    const problem = MYOPTIM.problems[name];
    const params = cut(start ?? problem.start, problem.sizes);
    if (mistake?.replays) return replayed(mistake.replays[name] ?? [], problem);
    const update = mistake ? mistaken(mistake, settings) : ruled(optimizer, settings);
    const memories = params.map(() => ({}));
    const points = [];
    const notes = [];
    for (let step = 1; step <= steps + 1; step += 1) {
      const point = params.flatMap((param) => [...param]);
      points.push(point);
      if (step > steps) break;
      const grads = cut(problem.gradient(...point), problem.sizes);
      params.forEach((param, place) => {
        const seen = { before: new Map(), rule: new Map(), grad: grads[place].slice() };
        const note = (part, line, value) => {
          if (step === watched) seen[part].set(line, isTensor(value) ? value.slice() : value);
          return value;
        };
        update(memories[place], param, grads[place], step, note);
        if (step === watched) notes.push({ ...seen, param: param.slice() });
      });
    }
    return { points, losses: points.map((point) => problem.loss(...point)), notes };
  }

  function replayed(path, problem) {
    const points = path.map((point) => point.map((number) => number ?? NaN));
    return { points, losses: points.map((point) => problem.loss(...point)), notes: [] };
  }

  window.myoptim = { run, defaults, refusal, data: MYOPTIM };
})();
