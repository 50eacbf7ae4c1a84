"""TIMESTEP_RESPACING: which steps of a diffusion process are kept, as "" (all), "10", "3,4" or "ddim5"."""

from __future__ import annotations

import re


def kept_steps(num_steps: int, respacing: str) -> list[int]:
    """Which of `num_steps` steps a text keeps, ascending.

    A plain number or list gives counts per equal section, evenly spaced with both ends of the section. "1" keeps the
    last step, the only one at which the network has seen pure noise. "ddimN" keeps N steps from 0 with one stride.
    Raises ValueError when the text means nothing or asks for more steps than there are.
    """
    counts, strided = _parse(respacing)
    if not counts:
        return list(range(num_steps))
    if strided:
        kept = list(range(0, num_steps, -(-num_steps // counts[0])))
        if len(kept) != counts[0]:
            raise ValueError(f"no fixed stride keeps exactly {counts[0]} of {num_steps} steps")
        return kept
    if counts == [1]:
        return [num_steps - 1]
    size, extra = divmod(num_steps, len(counts))
    kept, first = [], 0
    for section, count in enumerate(counts):
        length = size + (section < extra)
        if count > length:
            raise ValueError(f"{count} steps wanted from section {section + 1} of {len(counts)}, which has {length}")
        spacing = (length - 1) / (count - 1) if count > 1 else 1.0
        kept += [first + round(i * spacing) for i in range(count)]
        first += length
    return kept


def num_kept(respacing: str) -> int | None:
    """How many steps a text keeps, None for all of them. Raises ValueError when it means nothing."""
    return sum(_parse(respacing)[0]) or None


def _parse(text: str) -> tuple[list[int], bool]:
    """Steps of each section, and whether one stride makes them."""
    text = text.replace(" ", "")
    if text and not re.fullmatch(r"ddim[1-9]\d*|[1-9]\d*(,[1-9]\d*)*", text, re.ASCII):
        raise ValueError(f'{text!r} is not a respacing; write "", "10", "ddim5" or "3,4"')
    return [int(count) for count in re.findall(r"\d+", text)], text.startswith("ddim")
