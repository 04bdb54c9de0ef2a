"""Names of data sets: those that `xmc synth` makes are called `PRESET` or `PRESET@SCALE`, all others come from elsewhere."""

PRESETS = ("eurlex-4k", "wiki10-31k", "amazoncat-13k", "amazon-670k", "wiki-500k", "amazon-3m")


def synth_preset(name):
    """Preset and scale of a set's name; `None` for data from elsewhere."""
    preset, _, scale = name.partition("@")
    return (preset, scale or "1") if preset in PRESETS else None
