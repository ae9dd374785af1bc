"""Makes NotoSansCJKsc-Bold-subset.otf, the same bytes each time.

    pip install fonttools==4.68.0
    python subset.py NotoSansCJK-Bold.ttc

The collection is that of Noto Sans CJK 2.004, as in Debian's fonts-noto-cjk 1:20220127+repack1-1.
"""

import sys
import unicodedata
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

HERE = Path(__file__).parent

# The font of the collection whose Chinese characters look as in mainland China.
SIMPLIFIED_CHINESE = 2

# The character sets that computers in China, Taiwan, Japan and Korea came with: GB 2312, Big5,
# JIS X 0208 and KS X 1001.
CHARACTER_SETS = ["gb2312", "big5", "euc_jp", "euc_kr"]


def of_two_bytes(encoding):
    """The characters that take two bytes."""
    for first in range(0x81, 0xFF):
        for second in range(0x40, 0xFF):
            try:
                text = bytes([first, second]).decode(encoding)
            except UnicodeDecodeError:
                continue
            if len(text) == 1:
                yield ord(text)


def characters():
    """What labels may have and the other font lacks."""
    wanted = {character for encoding in CHARACTER_SETS for character in of_two_bytes(encoding)}
    wanted |= set(range(0x3000, 0x3400))  # Punctuation, kana, Bopomofo, units.
    wanted |= set(range(0xAC00, 0xD7A4))  # All of Hangul.
    wanted |= set(range(0xFF00, 0xFFF0))  # Letters of half and full width.
    wanted -= {0x3164, 0xFFA0}  # Letters of Hangul that are not to be seen.
    other = TTFont(HERE / "DejaVuSansCondensed-Bold.ttf").getBestCmap()
    # Marks would have to be placed, and controls are not drawn.
    return [c for c in wanted - set(other) if unicodedata.category(chr(c))[0] not in "MC"]


def main():
    font = TTFont(sys.argv[1], fontNumber=SIMPLIFIED_CHINESE, recalcTimestamp=False)
    options = Options(hinting=False, layout_features=[], name_IDs=[0, 1, 2, 3, 4, 5, 6, 7, 13, 14])
    # Letters are set side by side from left to right, without any of these.
    options.drop_tables += ["BASE", "GDEF", "GPOS", "GSUB", "VORG", "vhea", "vmtx"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=characters())
    subsetter.subset(font)
    font.save(HERE / "NotoSansCJKsc-Bold-subset.otf")


main()
