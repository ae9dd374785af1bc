"""Writes one small image of every kind that the program reads, and what Pillow makes of it.

Usage: tests/reference/make.sh, or this script in the environment that it makes.

Every `tests/fixtures/images/NAME.EXT` has a `NAME.EXT.expected.png` beside it: the pixels, upright, as 8-bit RGB, transparency
over white. Pillow reads every one of them; `expected` mends what it makes of 16-bit grey. pypng and tifffile only write what
Pillow cannot. The picture is neither square nor symmetric, so that no swap or flip goes unseen.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import png
import tifffile
from PIL import Image, ImageCms, ImageOps

OUT = Path(__file__).parents[1] / "fixtures" / "images"
PROFILE = Path(__file__).parents[1] / "fixtures" / "icc" / "rgb.icc"
WIDTH, HEIGHT = 46, 29


def picture():
    """Smooth colours, so that lossy formats stay close, with one bright block off centre."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    rgb = np.stack([x / (WIDTH - 1) * 255, y / (HEIGHT - 1) * 230, 40 + 90 * np.sin(x / 9) ** 2 + 2 * y], axis=-1)
    rgb[4:12, 6:20] = (250, 60, 20)
    return rgb.clip(0, 255)


RGB = picture()
RGB8 = RGB.round().astype(np.uint8)
# The low byte differs from the high one: a decoder that swaps them, or truncates where it should round, is seen.
RGB16 = (RGB * 257 * 0.97 + 300).clip(0, 65535).round().astype(np.uint16)
GREY8 = np.array(Image.fromarray(RGB8).convert("L"))
GREY16 = RGB16[..., 1]
ALPHA8 = np.tile(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, 1))
ALPHA8[20:, :10] = 128
IMAGE = Image.fromarray(RGB8)


def write(name, data):
    (OUT / name).write_bytes(data)


def save(name, image, **options):
    image.save(OUT / name, **options)


def encoded(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def expected(path):
    """The pixels that a viewer shows."""
    image = ImageOps.exif_transpose(Image.open(path))
    image.info.pop("icc_profile", None)  # pixels are compared, not what they stand for
    if image.mode == "I;16":
        # Pillow cuts the low byte off where it does not clip: 16 bits are 0 to 65535, so divide by 257 and round.
        grey = ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def jpeg():
    save("jpeg-444.jpg", IMAGE, quality=92, subsampling="4:4:4")
    save("jpeg-420.jpg", IMAGE, quality=92, subsampling="4:2:0")
    save("jpeg-422.jpg", IMAGE, quality=92, subsampling="4:2:2")
    save("jpeg-progressive.jpg", IMAGE, quality=92, progressive=True)
    save("jpeg-restart.jpg", IMAGE, quality=92, restart_marker_blocks=1)
    save("jpeg-grey.jpg", Image.fromarray(GREY8), quality=92)
    save("jpeg-rgb.jpg", IMAGE, quality=92, keep_rgb=True)
    cmyk = cmyk_picture()
    save("jpeg-cmyk.jpg", cmyk, quality=95)
    # Pillow does not write YCCK, so the conversion is done here and the marker's colour transform set to 2. YCCK is the
    # YCbCr of 255 minus the stored ink, and Adobe stores 255 minus the ink: the YCbCr of the ink itself. Pillow inverts
    # all four channels on the way into the file, which K needs and YCbCr must be spared.
    *cmy, k = cmyk.split()
    ycc = Image.merge("RGB", cmy).convert("YCbCr").split()
    ycck = Image.merge("CMYK", [*map(ImageOps.invert, ycc), k])
    data = encoded(ycck, "JPEG", quality=95)
    marker = data.index(b"Adobe")
    write("jpeg-ycck.jpg", data[: marker + 11] + b"\x02" + data[marker + 12 :])
    frames()
    # The same stored pixels under each of the eight orientations: the pictures that viewers show differ.
    for orientation in range(1, 9):
        save(f"jpeg-orientation-{orientation}.jpg", IMAGE, quality=92, subsampling="4:4:4", exif=exif(orientation))


def frames():
    """Frames of webcams and of Motion JPEG: Pillow writes the standard Huffman tables, and those are what they leave out."""
    frame = encoded(IMAGE, "JPEG", quality=92, subsampling="4:2:2")
    write("jpeg-webcam.jpg", without_tables(frame, {0x00, 0x10, 0x01, 0x11}))
    # The tables of brightness are there, those of colour are not.
    write("jpeg-webcam-some-tables.jpg", without_tables(frame, {0x01, 0x11}))
    # Interlaced video: two fields of half the height, one behind the other, each marked. Pillow shows the first.
    fields = [encoded(Image.fromarray(RGB8[parity::2]), "JPEG", quality=92, subsampling="4:2:2") for parity in (0, 1)]
    mark = lambda field: b"\xff\xe0\0\x10AVI1" + bytes([field]) + bytes(9)
    field = lambda number, data: data[:2] + mark(number) + without_tables(data, {0x00, 0x10, 0x01, 0x11})[20:]
    write("jpeg-avi1-fields.jpg", b"".join(field(number, data) for number, data in enumerate(fields, 1)))


def without_tables(data, names):
    """A JPEG without the Huffman tables of these names, which Pillow writes in a segment each."""
    kept, at = data[:2], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if data[at + 1] != 0xC4 or data[at + 4] not in names:
            kept += data[at:end]
        at = end
    return kept + data[at:]


def profiles():
    """Files with a profile that fits RGB pixels, and with ones that do not."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    struct.pack_into(">6H", profile, 24, 2026, 1, 1, 0, 0, 0)  # when it was made, or it would differ each time
    profile = bytes(profile)
    PROFILE.parent.mkdir(exist_ok=True)
    PROFILE.write_bytes(profile)
    of = lambda space: profile[:16] + space + profile[20:]
    save("png-icc.png", IMAGE, icc_profile=profile)
    save("png-palette-icc.png", IMAGE.quantize(16), icc_profile=profile)
    save("jpeg-icc.jpg", IMAGE, quality=92, icc_profile=profile)
    save("webp-icc.webp", IMAGE, lossless=True, icc_profile=profile)
    save("tiff-icc.tif", IMAGE, icc_profile=profile)
    save("tiff-palette-icc.tif", IMAGE.quantize(60), icc_profile=profile)
    save("png-grey-icc.png", Image.fromarray(GREY8), icc_profile=of(b"GRAY"))
    save("tiff-grey-icc.tif", Image.fromarray(GREY8), icc_profile=of(b"GRAY"))
    # Of ink, as it should be, and of RGB, as it should not.
    save("jpeg-cmyk-icc.jpg", cmyk_picture(), quality=95, icc_profile=of(b"CMYK"))
    save("jpeg-cmyk-icc-rgb.jpg", cmyk_picture(), quality=95, icc_profile=profile)
    save("tiff-cmyk-icc-rgb.tif", cmyk_picture(), icc_profile=profile)


def cmyk_picture():
    """CMYK with a black plate that is not simply the minimum of the others."""
    rgb = RGB8.astype(int)
    k = (255 - rgb.max(axis=-1)) // 2
    return Image.fromarray(np.dstack([255 - rgb - k[..., None] // 3, k]).clip(0, 255).astype(np.uint8), mode="CMYK")


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def pypng(name, rows, **options):
    with open(OUT / name, "wb") as file:
        png.Writer(WIDTH, HEIGHT, **options).write(file, [row.reshape(-1).tolist() for row in rows])


def png_files():
    for bits in (1, 2, 4, 8):
        pypng(f"png-grey-{bits}.png", GREY8 >> (8 - bits), greyscale=True, bitdepth=bits)
    pypng("png-grey-16.png", GREY16, greyscale=True, bitdepth=16)
    pypng("png-grey-transparent.png", GREY8 >> 4, greyscale=True, bitdepth=4, transparent=int(GREY8[0, 0] >> 4))
    pypng("png-rgb-16.png", RGB16, greyscale=False, bitdepth=16)
    pypng("png-rgb-transparent.png", RGB8, greyscale=False, transparent=(250, 60, 20))
    pypng("png-interlaced.png", RGB8, greyscale=False, interlace=True)
    pypng("png-interlaced-grey-2.png", GREY8 >> 6, greyscale=True, bitdepth=2, interlace=True)
    pypng("png-rgba-16.png", np.dstack([RGB16, ALPHA8.astype(np.uint16) * 257]), greyscale=False, alpha=True, bitdepth=16)
    save("png-rgb.png", IMAGE)
    save("png-rgba.png", rgba())
    save("png-grey-alpha.png", Image.merge("LA", [Image.fromarray(GREY8), Image.fromarray(ALPHA8)]))
    palette = IMAGE.quantize(16)
    for bits, colours in ((1, 2), (2, 4), (4, 16), (8, 60)):
        save(f"png-palette-{bits}.png", IMAGE.quantize(colours), bits=bits)
    save("png-palette-transparent.png", palette, transparency=bytes(range(0, 256, 16)))
    save("png-orientation-6.png", IMAGE, exif=exif(6))
    save("png-animated.png", IMAGE, save_all=True, append_images=[ImageOps.invert(IMAGE)])


def rgba():
    return Image.fromarray(np.dstack([RGB8, ALPHA8]))


def gif_files():
    palette = IMAGE.quantize(60)
    save("gif-interlaced.gif", palette, interlace=True)
    save("gif-transparent.gif", palette, transparency=palette.getpixel((8, 6)))
    save("gif-animated.gif", palette, save_all=True, append_images=[ImageOps.invert(IMAGE).quantize(60)])
    # The first frame covers a part of the canvas only; the rest is empty.
    data = bytearray(encoded(palette, "GIF", interlace=False, transparency=palette.getpixel((8, 6))))
    struct.pack_into("<HH", data, 6, WIDTH + 9, HEIGHT + 12)
    descriptor = data.index(b"," + struct.pack("<HHHH", 0, 0, WIDTH, HEIGHT))
    struct.pack_into("<HH", data, descriptor + 1, 7, 2)
    write("gif-offset.gif", bytes(data))


def bmp_files():
    save("bmp-24.bmp", IMAGE)
    save("bmp-palette-8.bmp", IMAGE.quantize(60))
    save("bmp-grey-1.bmp", Image.fromarray(GREY8).convert("1"))
    save("bmp-32.bmp", rgba())
    # Rows from the top down: the height is negative.
    data = bytearray(encoded(IMAGE, "BMP"))
    struct.pack_into("<i", data, 22, -HEIGHT)
    write("bmp-top-down.bmp", bytes(data))


def webp_files():
    save("webp-lossy.webp", IMAGE, quality=90)
    save("webp-lossless.webp", IMAGE, lossless=True)
    save("webp-alpha-lossy.webp", rgba(), quality=90)
    save("webp-alpha-lossless.webp", rgba(), lossless=True, exact=True)
    save("webp-orientation-6.webp", IMAGE, lossless=True, exif=exif(6))
    save("webp-animated.webp", IMAGE, lossless=True, save_all=True, append_images=[ImageOps.invert(IMAGE)])
    # The first frame covers a part of the canvas only; the rest is empty, whatever the background colour says.
    still = encoded(rgba(), "WEBP", lossless=True, exact=True)
    start = still.index(b"VP8L")
    bitstream = still[start : start + 8 + struct.unpack_from("<I", still, start + 4)[0] + 1 & ~1]
    size = lambda value: struct.pack("<I", value - 1)[:3]
    frame = struct.pack("<I", 4)[:3] + struct.pack("<I", 1)[:3] + size(WIDTH) + size(HEIGHT) + b"\x64\0\0\x02" + bitstream
    chunk = lambda name, body: name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    body = b"WEBP" + chunk(b"VP8X", b"\x12\0\0\0" + size(WIDTH + 11) + size(HEIGHT + 5))
    body += chunk(b"ANIM", b"\x30\xc0\x20\xff\0\0") + chunk(b"ANMF", frame) + chunk(b"ANMF", frame)
    write("webp-offset.webp", b"RIFF" + struct.pack("<I", len(body)) + body)


def tiff_files():
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        save(f"tiff-{compression.removeprefix('tiff_').replace('_', '-')}.tif", IMAGE, compression=compression)
    save("tiff-predictor.tif", IMAGE, compression="tiff_lzw", tiffinfo={317: 2})
    save("tiff-jpeg.tif", IMAGE, compression="jpeg", quality=92)
    save("tiff-grey.tif", Image.fromarray(GREY8))
    save("tiff-grey-1.tif", Image.fromarray(GREY8).convert("1"))
    save("tiff-grey-1-group4.tif", Image.fromarray(GREY8).convert("1"), compression="group4")
    save("tiff-palette.tif", IMAGE.quantize(60))
    save("tiff-rgba.tif", rgba())
    save("tiff-cmyk.tif", cmyk_picture())
    save("tiff-orientation-6.tif", IMAGE, tiffinfo={274: 6})
    colours = np.array(IMAGE.quantize(60).getpalette()).reshape(-1, 3)
    colormap = np.zeros((3, 256), np.uint16)
    colormap[:, : len(colours)] = colours.T * 257
    indices = np.asarray(IMAGE.quantize(60))
    options = dict(photometric="palette", colormap=colormap, byteorder=">", compression="zlib", metadata=None)
    tifffile.imwrite(OUT / "tiff-palette-big-endian.tif", indices, **options)
    tifffile.imwrite(OUT / "tiff-palette-big.tif", indices, **(options | {"byteorder": "<"}), bigtiff=True)
    options = dict(photometric="minisblack", metadata=None)
    tifffile.imwrite(OUT / "tiff-grey-16.tif", GREY16, **options)
    tifffile.imwrite(OUT / "tiff-white-is-zero.tif", GREY8, photometric="miniswhite", metadata=None)
    tifffile.imwrite(OUT / "tiff-rgb-16-big-endian.tif", RGB16, photometric="rgb", metadata=None, byteorder=">")
    tifffile.imwrite(OUT / "tiff-tiled.tif", RGB8, photometric="rgb", metadata=None, tile=(16, 32))
    planes = np.moveaxis(RGB8, -1, 0)
    small_tiffs()
    save("tiff-jpeg-ycbcr.tif", IMAGE.convert("YCbCr"), compression="jpeg", quality=92)
    tifffile.imwrite(OUT / "tiff-planar.tif", planes, photometric="rgb", planarconfig="separate", metadata=None)


def small_tiffs():
    """Pixels of less than a byte, which neither Pillow nor tifffile writes; the width is no whole number of bytes."""
    black_is_zero, white_is_zero, palette = 1, 0, 3
    for bits in (1, 2, 4):
        indexed = IMAGE.quantize(1 << bits)
        colours = np.array(indexed.getpalette()[: 3 << bits]).reshape(-1, 3)
        colormap = np.zeros((3, 1 << bits), np.uint16)
        colormap[:, : len(colours)] = colours.T * 257
        small_tiff(f"tiff-palette-{bits}.tif", np.asarray(indexed), bits, palette, colormap)
    for bits in (2, 4):
        small_tiff(f"tiff-grey-{bits}.tif", GREY8 >> (8 - bits), bits, black_is_zero)
    small_tiff("tiff-white-is-zero-4.tif", GREY8 >> 4, 4, white_is_zero)
    # The bits of each byte from the lowest to the highest, in pixels and in the codes of a fax.
    small_tiff("tiff-fill-order-2.tif", GREY8, 8, black_is_zero, fill_order=2)
    bilevel = Image.fromarray(GREY8).convert("1")
    save("tiff-fill-order-2-group4.tif", bilevel, compression="group4", tiffinfo={266: 2})


def small_tiff(name, samples, bits, photometric, colormap=None, fill_order=1):
    shifts = np.arange(bits)[::-1]
    packed = np.packbits((samples[..., None] >> shifts & 1).reshape(HEIGHT, -1), axis=1).tobytes()
    if fill_order == 2:
        packed = bytes(int(f"{byte:08b}"[::-1], 2) for byte in packed)
    tags = {256: WIDTH, 257: HEIGHT, 258: bits, 259: 1, 262: photometric, 266: fill_order, 273: 8, 277: 1, 278: HEIGHT}
    tags[279] = len(packed)
    packed += b"\0" * (len(packed) % 2)
    if colormap is not None:
        tags[320] = 8 + len(packed)
        packed += colormap.astype("<u2").tobytes()
    directory = struct.pack("<H", len(tags))
    for tag, value in sorted(tags.items()):
        short, long = 3, 4
        count = colormap.size if tag == 320 else 1
        directory += struct.pack("<HHII", tag, long if tag in (273, 279) else short, count, value)
    write(name, b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory + bytes(4))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    for make in (jpeg, png_files, gif_files, bmp_files, webp_files, tiff_files, profiles):
        make()
    for path in sorted(OUT.iterdir()):
        expected(path).save(OUT / f"{path.name}.expected.png", optimize=True)


main()
