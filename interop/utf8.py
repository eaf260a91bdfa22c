"""The texts of Autobahn's group 6: (number, bytes, whether they are UTF-8). After Markus Kuhn's stress test."""

# "κόσμε" with the accented letter that takes three bytes.
KOSME = "κ\u1f79σμε".encode()

# 6.7–6.21: groups of byte sequences that are all right, or all wrong.
_GROUPS = [
    ("6.7", True, ["00", "c280", "e0a080", "f0908080"]),
    ("6.8", False, ["f888808080", "fc8480808080"]),
    ("6.9", True, ["7f", "dfbf", "efbfbf", "f48fbfbf"]),
    ("6.10", False, ["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"]),
    ("6.11", True, ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf"]),
    ("6.11.5", False, ["f4908080"]),
    ("6.12", False, ["80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf",
                     bytes(range(0x80, 0xc0)).hex()]),
    ("6.13", False, [bytes(b for start in range(*span) for b in (start, 0x20)).hex()
                     for span in [(0xc0, 0xe0), (0xe0, 0xf0), (0xf0, 0xf8), (0xf8, 0xfc), (0xfc, 0xfe)]]),
    ("6.14", False, ["c0", "e080", "f08080", "f8808080", "fc80808080",
                     "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"]),
    ("6.15", False, ["c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf"]),
    ("6.16", False, ["fe", "ff", "fefeffff"]),
    ("6.17", False, ["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"]),
    ("6.18", False, ["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"]),
    ("6.19", False, ["c080", "e08080", "f0808080", "f880808080", "fc8080808080"]),
    ("6.20", False, ["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"]),
    ("6.21", False, ["eda080edb080", "eda080edbfbf", "edadbfedb080", "edadbfedbfbf",
                     "edae80edb080", "edae80edbfbf", "edafbfedb080", "edafbfedbfbf"]),
]


def texts():
    for group, right, sequences in _GROUPS:
        for at, text in enumerate(sequences, 1):
            name = group if group.count(".") == 2 else f"{group}.{at}"
            yield name, bytes.fromhex(text), right
    # 6.5: letters of one to four bytes; 6.6: every prefix of a text.
    for at, text in enumerate([*(f"hello{letter}world" for letter in "$¢€𤭢"), KOSME.decode()], 1):
        yield f"6.5.{at}", text.encode(), True
    for at in range(1, len(KOSME) + 1):
        yield f"6.6.{at}", KOSME[:at], at in (2, 5, 7, 9, 11)
    # 6.22: the last two code points of each plane, which are no characters, and still UTF-8.
    ends = [plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF)]
    for at, point in enumerate(ends, 1):
        yield f"6.22.{at}", chr(point).encode(), True
    for at, point in enumerate(range(0xFFF9, 0x10000), 1):
        yield f"6.23.{at}", chr(point).encode(), True
