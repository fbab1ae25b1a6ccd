"""Five settings that touch every argument of AdamW."""

SETTINGS = [
    {"lr": 0.05},
    {"lr": 0.01, "betas": (0.5, 0.9)},
    {"lr": 0.01, "eps": 0.1},
    {"lr": 0.01, "weight_decay": 0.3, "maximize": True},
    {"lr": 0.01, "amsgrad": True},
]
