"""svg - grouped bars and lines as an SVG, for the bench commands; plain text that a browser or a README can show"""
import html
import math

COLOURS = ("#2a6f97", "#c1666b", "#8a9b68", "#d4a373", "#6d597a", "#5c677d")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 360, 70, 20, 60, 70


def nice_top(value):
    """The next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def short(value):
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def text(x, y, words, anchor="middle", size=12, turn=0):
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{turned}>'
            f"{html.escape(str(words))}</text>")


def frame(title, unit, names, top):
    """Title, legend and the horizontal lines; what both kinds share."""
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', text(LEFT, 22, title, "start", 15),
           text(16, (TOP + HEIGHT - BOTTOM) / 2, unit, turn=-90)]
    for step in range(6):
        value = top * step / 5
        y = height_of(value, top)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(text(LEFT - 6, y + 4, short(value), "end", 11))
    for number, name in enumerate(names):
        x = LEFT + number * 150
        out.append(f'<rect x="{x}" y="34" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>')
        out.append(text(x + 17, 44, name, "start"))
    return out


def height_of(value, top):
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top


def label(x, words, is_tight):
    y = HEIGHT - BOTTOM + 16
    return text(x, y, words, "end", 11, -25) if is_tight else text(x, y, words, size=11)


def bars(title, unit, labels, series):
    """@series: name -> a number for each of @labels, or None where there is none."""
    top = nice_top(max((v for values in series.values() for v in values if v), default=1))
    out = frame(title, unit, series, top)
    group = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    width = group * 0.8 / max(1, len(series))
    for at, words in enumerate(labels):
        out.append(label(LEFT + group * (at + 0.5), words, len(labels) > 8))
        for number, values in enumerate(series.values()):
            if values[at] is None:
                continue
            x, y = LEFT + group * (at + 0.1) + number * width, height_of(values[at], top)
            out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{HEIGHT - BOTTOM - y:.1f}" '
                       f'fill="{COLOURS[number % len(COLOURS)]}"/>')
            if len(labels) * len(series) <= 30:
                out.append(text(x + width / 2, y - 3, short(values[at]), size=9))
    return "\n".join([*out, "</svg>\n"])


def stacks(title, unit, labels, series):
    """As bars(), one on the other: what a total is made of."""
    sums = [sum(values[at] or 0 for values in series.values()) for at in range(len(labels))]
    top = nice_top(max(sums, default=1))
    out = frame(title, unit, series, top)
    group = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    for at, words in enumerate(labels):
        base = 0
        out.append(label(LEFT + group * (at + 0.5), words, len(labels) > 8))
        for number, values in enumerate(series.values()):
            x, y = LEFT + group * (at + 0.25), height_of(base + (values[at] or 0), top)
            out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{group / 2:.1f}" height="{height_of(base, top) - y:.1f}" '
                       f'fill="{COLOURS[number % len(COLOURS)]}"/>')
            base += values[at] or 0
        out.append(text(LEFT + group * (at + 0.5), height_of(base, top) - 4, short(base), size=11))
    return "\n".join([*out, "</svg>\n"])


def lines(title, unit, series, x_unit=""):
    """@series: name -> [(x, y)...]."""
    points = [point for values in series.values() for point in values]
    left, right = min((x for x, _ in points), default=0), max((x for x, _ in points), default=1)
    top = nice_top(max((y for _, y in points), default=1))
    out = frame(title, unit, series, top)

    def across(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - left) / ((right - left) or 1)

    for step in range(6):
        x = left + (right - left) * step / 5
        out.append(label(across(x), short(x), False))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 20, x_unit))
    for number, values in enumerate(series.values()):
        path = " ".join(f"{across(x):.1f},{height_of(y, top):.1f}" for x, y in values)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="1.5"/>')
    return "\n".join([*out, "</svg>\n"])


def write(path, drawing):
    with open(path, "w", encoding="utf-8") as file:
        file.write(drawing)
