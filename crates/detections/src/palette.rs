//! Colours: the n-th detection has the n-th colour, in every run.

use image::Rgb;

/// Chosen by greedy farthest-point search in OKLab, started from six hand-picked colours: each next
/// one is the candidate whose smallest distance to all before it, as seen with normal, protanopic,
/// deuteranopic and tritanopic vision (Machado et al. 2009), is largest. So every prefix is spread
/// out, and the first eight most of all. Chroma is kept above 0.12 and lightness between 0.5 and
/// 0.93, which tells them from the greys of a photo and from black.
const PALETTE: [[u8; 3]; 24] = [
    [0x1e, 0x90, 0xff], // azure
    [0xff, 0x91, 0x00], // orange
    [0x5a, 0xf0, 0xff], // sky
    [0xf0, 0x32, 0x7d], // raspberry
    [0xf5, 0xf0, 0x50], // lemon
    [0x82, 0x46, 0xdc], // violet
    [0x00, 0xd2, 0x96], // mint
    [0xa5, 0x4b, 0x0f], // chestnut
    [0xc3, 0xa5, 0xff], // lilac
    [0xb4, 0x69, 0xc3], // orchid
    [0x87, 0x87, 0x00], // olive
    [0xa5, 0xe1, 0x78], // pistachio
    [0xff, 0x1e, 0xff], // magenta
    [0x96, 0x4b, 0xa5], // plum
    [0xff, 0xc3, 0x0f], // amber
    [0xa5, 0xff, 0xb4], // pale green
    [0xc3, 0x1e, 0x78], // cerise
    [0xf0, 0x69, 0x69], // coral
    [0xe1, 0x87, 0xd2], // pink
    [0x2d, 0xc3, 0x00], // green
    [0x2d, 0xe1, 0xd2], // turquoise
    [0xd2, 0x69, 0xa5], // rose
    [0x96, 0xc3, 0x69], // moss
    [0xd2, 0x0f, 0x4b], // crimson
];

/// The colour of the detection at `index`: from the palette first, from `continuation` when that
/// is used up.
pub fn color(index: usize) -> Rgb<u8> {
    Rgb(PALETTE
        .get(index)
        .copied()
        .unwrap_or_else(|| continuation(index)))
}

/// A colour for any index: the hue advances by the golden ratio of the circle, which keeps
/// neighbours far apart and comes near an earlier hue only after many steps, and the tone changes
/// with every step.
///
/// Integers throughout: a rounding that differs between two machines would change the picture.
fn continuation(index: usize) -> [u8; 3] {
    // 2³² divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4).
    const GOLDEN: u32 = 0x9e37_79b9;
    // The darkest and the brightest channel of each tone: vivid, pale, deep. Empirical: all read on
    // black and on white.
    const TONES: [(u32, u32); 3] = [(40, 255), (150, 255), (30, 190)];
    // The sextant in the high half, the position in the low one.
    let hue = u64::from((index as u32).wrapping_mul(GOLDEN)) * 6;
    let (low, high) = TONES[index % TONES.len()];
    let rising = low + ((u64::from(high - low) * (hue & 0xffff_ffff)) >> 32) as u32;
    let falling = low + high - rising;
    let channels = match hue >> 32 {
        0 => [high, rising, low],
        1 => [falling, high, low],
        2 => [low, high, rising],
        3 => [low, falling, high],
        4 => [rising, low, high],
        _ => [high, low, falling],
    };
    channels.map(|channel| channel as u8)
}

/// Black or white, whichever has the higher contrast on `plate`.
pub fn ink(plate: Rgb<u8>) -> Rgb<u8> {
    // WCAG 2 relative luminance, with a gamma of 2 for its piecewise curve so that integers do.
    let [r, g, b] = plate.0.map(|channel| u64::from(channel).pow(2));
    let luminance = 2126 * r + 7152 * g + 722 * b; // of 10,000 · 255²
    // Black and white are equally legible at L = 0.179, from (L + 0.05) / 0.05 = 1.05 / (L + 0.05).
    // The grey that has it is 0.461, and 0.213 with a gamma of 2.
    if luminance * 1000 > 213 * 10_000 * 255 * 255 {
        Rgb([0, 0, 0])
    } else {
        Rgb([255, 255, 255])
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what tests compute goes nowhere")]
mod tests {
    use super::*;

    /// sRGB to linear light.
    fn linear(color: [u8; 3]) -> [f64; 3] {
        color.map(|channel| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        })
    }

    fn apply(matrix: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
    }

    /// Linear light to OKLab (Ottosson 2020).
    fn oklab(linear: [f64; 3]) -> [f64; 3] {
        let lms = apply(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ],
            linear,
        );
        apply(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ],
            lms.map(f64::cbrt),
        )
    }

    /// A colour in OKLab as seen with normal, protanopic, deuteranopic and tritanopic vision
    /// (Machado et al. 2009, severity 1).
    fn views(color: [u8; 3]) -> [[f64; 3]; 4] {
        const NORMAL: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        const PROTAN: [[f64; 3]; 3] = [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ];
        const DEUTAN: [[f64; 3]; 3] = [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ];
        const TRITAN: [[f64; 3]; 3] = [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ];
        [NORMAL, PROTAN, DEUTAN, TRITAN].map(|vision| {
            oklab(apply(vision, linear(color)).map(|channel| channel.clamp(0.0, 1.0)))
        })
    }

    /// The smallest distance between two colours over the four kinds of vision.
    fn distance(a: [u8; 3], b: [u8; 3]) -> f64 {
        let apart = |(a, b): ([f64; 3], [f64; 3])| {
            (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt()
        };
        views(a)
            .into_iter()
            .zip(views(b))
            .map(apart)
            .fold(f64::INFINITY, f64::min)
    }

    fn closest_pair(colors: &[[u8; 3]]) -> f64 {
        let pairs = colors
            .iter()
            .enumerate()
            .flat_map(|(i, &a)| colors[..i].iter().map(move |&b| distance(a, b)));
        pairs.fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn palette_colours_are_far_apart_for_every_kind_of_vision() {
        // A just noticeable difference is about 0.02.
        assert!(
            closest_pair(&PALETTE[..8]) > 0.09,
            "{}",
            closest_pair(&PALETTE[..8])
        );
        assert!(closest_pair(&PALETTE) > 0.05, "{}", closest_pair(&PALETTE));
    }

    #[test]
    fn palette_colours_read_on_black() {
        for color in PALETTE {
            let [r, g, b] = linear(color);
            let contrast = (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05) / 0.05;
            assert!(contrast > 2.9, "{color:02x?}: {contrast}");
        }
    }

    #[test]
    fn neighbours_after_the_palette_differ_and_nothing_comes_back() {
        let colors: Vec<_> = (0..400).map(|index| color(index).0).collect();
        for i in PALETTE.len()..colors.len() {
            assert!(
                distance(colors[i], colors[i - 1]) > 0.03,
                "{i}: {:02x?} {:02x?}",
                colors[i - 1],
                colors[i]
            );
        }
        let mut sorted = colors.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), colors.len());
    }

    #[test]
    fn ink_is_the_one_of_higher_wcag_contrast() {
        for index in 0..200 {
            let plate = color(index);
            let [r, g, b] = linear(plate.0);
            let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
            let (black, white) = ((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05));
            let chosen = if ink(plate) == Rgb([0, 0, 0]) {
                black
            } else {
                white
            };
            assert!(chosen > 4.0, "{index}: {chosen}");
            assert!(
                chosen >= black.max(white) * 0.9,
                "{index}: black {black}, white {white}"
            );
        }
    }
}
