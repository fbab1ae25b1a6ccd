// Runs the translated rules: the operators over arrays, and an optimizer on a problem.
// A tensor is a Float64Array, a number a number; data.js brings everything else. The numbers that a
// state keeps are arrays of one element, Float32Arrays where the package keeps them so.
"use strict";

(() => {
  const isTensor = (value) => ArrayBuffer.isView(value);
  const at = (value, place) => (isTensor(value) ? value[value.length === 1 ? 0 : place] : value);

  // Lift a function of scalars to tensors of equal length, or of one element, and numbers.
  const lifted = (scalar, inPlace) => (x, ...rest) => {
    const tensors = [x, ...rest].filter(isTensor);
    if (!tensors.length) return scalar(x, ...rest);
    const out = inPlace ? x : new tensors[0].constructor(Math.max(...tensors.map((t) => t.length)));
    const exact = out instanceof Float32Array ? Math.fround : Number;
    for (let place = 0; place < out.length; place += 1) {
      out[place] = scalar(at(x, place), ...rest.map((value) => exact(at(value, place))));
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
  op.isTensor = isTensor;
  op.truth = (value) => Boolean(isTensor(value) ? value[0] : value);

  const silent = (line, value) => value;

  // What a parameter's state starts with, and how weights decay, or why the settings are refused.
  function startsOf(optimizer, settings) {
    const { switches, starts } = MYOPTIM.optimizers[optimizer];
    return starts[switches.map((name) => (settings[name] ? "1" : "0")).join("")];
  }

  function refusal(optimizer, settings) {
    const found = startsOf(optimizer, settings);
    return typeof found === "string" ? found : "";
  }

  function firstValue(start, param, grad, settings) {
    if (start === undefined) return null;
    if (start === "param") return param.slice();
    if (start === "grad") return grad.slice();
    const value = typeof start === "string" ? settings[start] : start;
    return new Float64Array(param.length).fill(value);
  }

  // Something with a method that updates one parameter: the rule of an optimizer.
  function ruled(optimizer, settings) {
    const { rule: ruleName, numbersBefore, numbersAfter, exact } = MYOPTIM.optimizers[optimizer];
    const rule = MYOPTIM.rules[ruleName];
    const starts = startsOf(optimizer, settings);
    const decay = starts.decay && MYOPTIM.decays[starts.decay];
    return (memory, param, given, step, note) => {
      const kept = (name) => (exact && name !== "step" ? Float64Array : Float32Array);
      memory.numbers ??= Object.fromEntries(Object.entries(starts.numbers).map(([name, start]) =>
        [name, kept(name).of(typeof start === "string" ? settings[start] : start)]));
      memory.buffers ??= rule.tensors.map((name) => firstValue(starts.buffers[name], param, given, settings));
      const { numbers, buffers } = memory;
      const told = () => ({ ...settings, first: step === 1,
        ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, value[0]])) });
      const change = (one) => one && one.run(...one.changes.map((name) => numbers[name]), told(), silent);
      if (numbers.step) numbers.step[0] += 1;
      change(numbersBefore);
      const now = told();
      let grad = given;
      if (decay) grad = decay.run(param, grad, now, (line, value) => note("decay", line, value));
      rule.run(param, grad, ...buffers, now, (line, value) => note("rule", line, value));
      change(numbersAfter);
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
        const seen = { decay: new Map(), rule: new Map(), grad: grads[place].slice() };
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

  window.myoptim = { run, defaults, refusal, startsOf, data: MYOPTIM };
})();
